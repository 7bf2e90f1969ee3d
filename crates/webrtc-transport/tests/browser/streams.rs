//! Streams of a connection that stands.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    future::{Either, join, join_all, select, try_join},
};
use futures_timer::Delay;
use libp2p_core::muxing::{StreamMuxer as _, StreamMuxerExt as _};
use wasm_bindgen_test::wasm_bindgen_test;
use webrtc_transport::{Config, Connection, Error, StreamError, session};

use crate::support::{accept, connected, exchange, fill, open, pipe, stream_pair};

#[wasm_bindgen_test]
async fn streams_open_both_ways_and_close_by_halves() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (mut from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    let (mut from_b, mut at_a) = stream_pair(&mut b, &mut a).await;

    from_a.write_all(b"question").await.unwrap();
    from_a.close().await.unwrap();
    let mut question = String::new();
    at_b.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    at_b.write_all(b"answer").await.unwrap();
    at_b.close().await.unwrap();
    let mut answer = String::new();
    from_a.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    assert_eq!(
        from_a.write(b"late").await.unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );

    from_b.write_all(b"the other way").await.unwrap();
    from_b.close().await.unwrap();
    let mut other = String::new();
    at_a.read_to_string(&mut other).await.unwrap();
    assert_eq!(other, "the other way");
}

#[wasm_bindgen_test]
async fn a_stream_that_was_written_to_and_dropped_delivers_everything() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (mut from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    // The last of it is still under way when the stream is dropped.
    let send = async move {
        from_a.write_all(&[7; 200_000]).await.unwrap();
        from_a.close().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, read) = join(send, at_b.read_to_end(&mut received)).await;
    assert_eq!(read.unwrap(), 200_000);
}

/// As the agreement on a protocol does whose dialler did not wait for it.
#[wasm_bindgen_test]
async fn what_a_writer_left_behind_is_read_even_after_words_to_it() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (mut from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    from_a.write_all(b"all I have to say").await.unwrap();
    from_a.close().await.unwrap();
    drop(from_a);
    Delay::new(Duration::from_millis(300)).await;
    at_b.write_all(b"agreed").await.unwrap();
    at_b.flush().await.unwrap();
    let mut received = String::new();
    at_b.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "all I have to say");
    // Whoever answers at length learns that nobody listens.
    assert!(at_b.write_all(&[7; 2_000]).await.is_err());
}

#[wasm_bindgen_test]
async fn an_unfinished_stream_is_reset() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    drop(from_a);
    assert_eq!(
        at_b.read(&mut [0; 8]).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(
        at_b.write(b"x").await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
}

#[wasm_bindgen_test]
async fn a_mebibyte_arrives_intact_both_ways_at_once() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (from_a, at_b) = stream_pair(&mut a, &mut b).await;
    join(exchange(from_a, 1), exchange(at_b, 2)).await;
}

#[wasm_bindgen_test]
async fn a_reader_that_stops_holds_its_sender_and_nobody_else() {
    let config = Config::default();
    let (mut a, mut b) = connected(&config).await;
    let (mut slow_a, mut slow_b) = stream_pair(&mut a, &mut b).await;
    let held = fill(&mut slow_a, 16 * 1024 * 1024).await.unwrap();
    assert!(held <= config.receive_bytes_max, "{held}");

    let (from_a, at_b) = stream_pair(&mut a, &mut b).await;
    join(exchange(from_a, 1), exchange(at_b, 2)).await;

    // Once it is read, everything arrives.
    let send = async {
        slow_a.write_all(&[7; 100_000]).await.unwrap();
        slow_a.close().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, read) = join(send, slow_b.read_to_end(&mut received)).await;
    assert_eq!(read.unwrap(), held + 100_000);
}

#[wasm_bindgen_test]
async fn a_remote_without_windows_is_reset_when_its_reader_lags_and_the_connection_lives() {
    let reader = Config {
        stream_receive_bytes_max: 64 * 1024,
        ..Config::default()
    };
    let without_windows = Config {
        windows: false,
        ..Config::default()
    };
    let (here, there) = pipe();
    let (mut a, mut b) = try_join(
        session::dial(here, &without_windows),
        session::accept(there, &reader),
    )
    .await
    .unwrap();
    let (mut from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    let flood = async {
        while from_a.write_all(&[0; 16 * 1024]).await.is_ok() && from_a.flush().await.is_ok() {
            Delay::new(Duration::from_millis(1)).await;
        }
    };
    let in_time = select(Box::pin(flood), Delay::new(Duration::from_secs(10))).await;
    assert!(matches!(in_time, Either::Left(_)), "the flood was not stopped");
    let error = at_b.read(&mut [0; 8]).await.unwrap_err();
    let reason = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<StreamError>());
    assert_eq!(reason, Some(&StreamError::Lagging));
    stream_pair(&mut b, &mut a).await;
}

#[wasm_bindgen_test]
async fn more_streams_than_the_limit_wait_for_a_place() {
    let config = Config {
        streams_max: 2,
        ..Config::default()
    };
    let (mut a, mut b) = connected(&config).await;
    let (first, _first_at_b) = stream_pair(&mut a, &mut b).await;
    let _second = stream_pair(&mut a, &mut b).await;
    poll_fn(|cx| {
        assert!(a.poll_outbound_unpin(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(first);
    open(&mut a).await;
}

async fn accepts_none(connection: &mut Connection, for_so_long: Duration) -> bool {
    let accepted = pin!(accept(connection));
    let first = select(accepted, Delay::new(for_so_long)).await;
    matches!(first, Either::Right(_))
}

#[wasm_bindgen_test]
async fn the_newest_channel_is_a_stream_from_its_first_message_on() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let mut opened = Vec::new();
    for _ in 0..3 {
        opened.push(open(&mut a).await);
    }
    for _ in 1..opened.len() {
        accept(&mut b).await;
    }
    assert!(accepts_none(&mut b, Duration::from_millis(300)).await);
    let newest = opened.last_mut().unwrap();
    newest.write_all(b"!").await.unwrap();
    newest.flush().await.unwrap();
    accept(&mut b).await.read_exact(&mut [0]).await.unwrap();
}

#[wasm_bindgen_test]
async fn streams_one_after_the_other_use_channels_opened_in_advance() {
    let (mut a, mut b) = connected(&Config::default()).await;
    for _ in 0..5 {
        let (mut there, mut back) = stream_pair(&mut a, &mut b).await;
        join(async { there.close().await.unwrap() }, async {
            back.close().await.unwrap()
        })
        .await;
        drop((there, back));
        // Long enough for the channel to open, which nobody is told of.
        assert!(accepts_none(&mut b, Duration::from_millis(200)).await);
    }
}

#[wasm_bindgen_test]
async fn the_other_side_learns_that_a_connection_is_closed() {
    let (mut a, mut b) = connected(&Config::default()).await;
    let (_from_a, mut at_b) = stream_pair(&mut a, &mut b).await;
    drop(a);
    assert!(at_b.read(&mut [0; 8]).await.is_err());
    let lost = poll_fn(|cx| match Pin::new(&mut b).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(error),
        _ => Poll::Pending,
    });
    // Far less than the seconds that ICE takes to notice that nobody answers.
    match select(lost, Delay::new(Duration::from_secs(2))).await {
        Either::Left((error, _)) => assert!(matches!(error, Error::Closed)),
        Either::Right(_) => panic!("the loss went unnoticed"),
    }
}

#[wasm_bindgen_test]
async fn a_peer_that_opens_streams_and_never_reads_holds_what_is_stated_and_nobody_else() {
    let config = Config::default();
    let (mut c, mut d) = connected(&config).await;
    // The greedy end allows itself more streams than the other does.
    let greedy = Config {
        streams_max: config.streams_max + 4,
        ..config.clone()
    };
    let (here, there) = pipe();
    let (mut a, mut b) = try_join(session::dial(here, &greedy), session::accept(there, &config))
        .await
        .unwrap();
    let mut unread = Vec::new();
    let mut written = Vec::new();
    for _ in 0..config.streams_max {
        let (opened, accepted) = stream_pair(&mut a, &mut b).await;
        unread.push(opened);
        written.push(accepted);
    }
    let mut refused = open(&mut a).await;
    refused.write_all(b"!").await.unwrap();
    // Its channel may be gone before the byte is sent.
    let _ = refused.flush().await;
    assert_eq!(
        refused.read(&mut [0]).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );

    let filled = join_all(written.iter_mut().map(|stream| fill(stream, 1024 * 1024))).await;
    let held: usize = filled.into_iter().map(Result::unwrap).sum();
    assert!(held >= config.streams_max, "{held}");
    assert!(held <= config.receive_bytes_max + config.send_bytes_max, "{held}");

    let (from_c, at_d) = stream_pair(&mut c, &mut d).await;
    join(exchange(from_c, 1), exchange(at_d, 2)).await;
}
