//! From a signalling stream to a connection, or to the error that says why not.

use std::time::Duration;

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    future::{Either, join, select},
};
use futures_timer::Delay;
use wasm_bindgen_test::wasm_bindgen_test;
use webrtc_transport::{Config, Error, SdpError, SignallingError, Step, session};

use crate::{
    raw::{ANSWER, CANDIDATE, OFFER, Raw, message, opened, read_message},
    support::{accept, connected, exchange, open, pipe, stream_pair},
};

const LINE: &str = r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","sdpMid":"0"}"#;

/// What an answering end makes of these bytes, after which the dialler hangs up.
async fn accepting(bytes: &[u8], config: &Config) -> Error {
    let (mut here, there) = pipe();
    here.write_all(bytes).await.unwrap();
    here.close().await.unwrap();
    session::accept(there, config).await.unwrap_err()
}

/// What an answering end makes of these bytes after a sound offer; the dialler stays.
async fn accepting_after_offer(bytes: &[u8], config: &Config) -> Error {
    let raw = Raw::new();
    let (mut here, there) = pipe();
    let offer = message(OFFER, &raw.empty_offer().await);
    here.write_all(&offer).await.unwrap();
    here.write_all(bytes).await.unwrap();
    let error = session::accept(there, config).await.unwrap_err();
    drop(here);
    error
}

/// What a dialling end makes of these bytes in place of an answer.
async fn dialling(bytes: &[u8], config: &Config) -> Error {
    let (here, mut there) = pipe();
    there.write_all(bytes).await.unwrap();
    there.close().await.unwrap();
    session::dial(here, config).await.unwrap_err()
}

fn impatient() -> Config {
    Config {
        description_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(200),
        ..Config::default()
    }
}

#[wasm_bindgen_test]
async fn what_an_offer_may_not_be_has_an_error_each() {
    let config = impatient();
    let no_fingerprint =
        "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\n";
    let too_long = format!("v=0\r\n{}", "a=x\r\n".repeat(2_000));

    let error = accepting(&[], &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::HungUp)),
        "{error}"
    );
    let error = accepting(&[0xff, 0xff, 0xff], &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::TooLong(_))),
        "{error}"
    );
    let error = accepting(&[2, 0x08, 9], &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::Malformed)),
        "{error}"
    );
    let error = accepting(&[9, 0x08, 0], &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::Io(_))),
        "{error}"
    );
    for kind in [ANSWER, CANDIDATE] {
        let error = accepting(&message(kind, "v"), &config).await;
        assert!(
            matches!(error, Error::Signalling(SignallingError::Unexpected)),
            "{error}"
        );
    }
    for (sdp, expected) in [
        ("", SdpError::Malformed),
        (
            "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
            SdpError::NotDataOnly,
        ),
        (no_fingerprint, SdpError::NoFingerprint),
        (too_long.as_str(), SdpError::TooLong),
    ] {
        let error = accepting(&message(OFFER, sdp), &config).await;
        assert!(
            matches!(error, Error::Sdp(reason) if reason == expected),
            "{error}"
        );
    }
}

#[wasm_bindgen_test]
async fn what_may_not_follow_an_offer_has_an_error_each() {
    let config = Config::default();
    let endless = message(CANDIDATE, LINE).repeat(config.candidates_max + 1);
    let error = accepting_after_offer(&endless, &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::TooManyCandidates)),
        "{error}"
    );
    // Ends of candidates count too: they are as cheap to send.
    let endless = message(CANDIDATE, "null").repeat(config.candidates_max + 1);
    let error = accepting_after_offer(&endless, &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::TooManyCandidates)),
        "{error}"
    );
    let error = accepting_after_offer(&message(CANDIDATE, "{}"), &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::Candidate)),
        "{error}"
    );
    let error = accepting_after_offer(&message(OFFER, "v=0"), &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::Unexpected)),
        "{error}"
    );
}

#[wasm_bindgen_test]
async fn what_an_answer_may_not_be_has_an_error_each() {
    let config = impatient();
    let error = dialling(&[], &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::HungUp)),
        "{error}"
    );
    let error = dialling(&message(OFFER, "v=0"), &config).await;
    assert!(
        matches!(error, Error::Signalling(SignallingError::Unexpected)),
        "{error}"
    );
    let error = dialling(&message(ANSWER, "v=0"), &config).await;
    assert!(matches!(error, Error::Sdp(SdpError::NotDataOnly)), "{error}");
    // Sound as far as we look, and nonsense to the browser.
    let nonsense = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
                    a=ice-ufrag:a\r\na=ice-pwd:b\r\na=fingerprint:sha-256 00\r\n";
    let error = dialling(&message(ANSWER, nonsense), &config).await;
    assert!(
        matches!(
            error,
            Error::Browser {
                operation: "set the remote description",
                ..
            }
        ),
        "{error}"
    );
}

#[wasm_bindgen_test]
async fn every_step_of_a_session_has_its_time() {
    let config = impatient();
    let (here, _there) = pipe();
    let error = session::dial(here, &config).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Step::Description)), "{error}");
    let (_here, there) = pipe();
    let error = session::accept(there, &config).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Step::Description)), "{error}");
    let error = accepting_after_offer(&[], &config).await;
    assert!(matches!(error, Error::Timeout(Step::Connect)), "{error}");
}

#[wasm_bindgen_test]
async fn a_certificate_other_than_the_described_one_is_no_path() {
    let (here, mut there) = pipe();
    let raw = Raw::new();
    let answer = async {
        let (_, offer) = read_message(&mut there).await;
        let answer = raw.answer(&offer).await;
        let at = answer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
        let mut forged = answer.clone();
        let other = if answer[at..].starts_with("00") {
            "11"
        } else {
            "00"
        };
        forged.replace_range(at..at + 2, other);
        there.write_all(&message(ANSWER, &forged)).await.unwrap();
    };
    let (dialled, ()) = join(session::dial(here, &Config::default()), answer).await;
    let error = dialled.unwrap_err();
    assert!(matches!(error, Error::NoPath), "{error}");
}

#[wasm_bindgen_test]
async fn a_dialler_may_close_its_init_channel_at_once() {
    let (mut here, there) = pipe();
    let raw = Raw::new();
    let init = raw.open("init");
    let offer = raw.offer().await;
    init.close();
    here.write_all(&message(OFFER, &offer)).await.unwrap();
    let config = Config::default();
    let dial = async {
        let (_, answer) = read_message(&mut here).await;
        raw.take_answer(&answer).await;
        let channel = raw.open("");
        opened(&channel).await;
        channel.send_with_u8_array(&[4, 0x12, 2, b'h', b'i']).unwrap();
        channel
    };
    let answer = async {
        let mut connection = session::accept(there, &config).await.unwrap();
        let mut stream = accept(&mut connection).await;
        let mut received = [0; 2];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"hi");
    };
    join(dial, answer).await;
}

#[wasm_bindgen_test]
async fn a_listener_may_close_the_init_channel_at_once() {
    let (here, mut there) = pipe();
    let raw = Raw::new();
    let answer = async {
        let (_, offer) = read_message(&mut there).await;
        let answer = raw.answer(&offer).await;
        there.write_all(&message(ANSWER, &answer)).await.unwrap();
    };
    let (dialled, ()) = join(session::dial(here, &Config::default()), answer).await;
    let mut connection = dialled.unwrap();
    // The first of them may get the number that `init` had.
    for _ in 0..3 {
        let mut stream = open(&mut connection).await;
        stream.write_all(b"hi").await.unwrap();
        stream.flush().await.unwrap();
        let mut received = [0; 2];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"hi");
    }
}

#[wasm_bindgen_test]
async fn a_failing_session_leaves_other_connections_alone() {
    let config = Config::default();
    let (mut a, mut b) = connected(&config).await;
    let (from_a, at_b) = stream_pair(&mut a, &mut b).await;
    let endless = message(CANDIDATE, LINE).repeat(config.candidates_max + 1);
    let floods = async {
        for _ in 0..8 {
            accepting_after_offer(&endless, &config).await;
        }
    };
    let traffic = join(exchange(from_a, 1), exchange(at_b, 2));
    let both = join(floods, traffic);
    match select(Box::pin(both), Delay::new(Duration::from_secs(30))).await {
        Either::Left(_) => {}
        Either::Right(_) => panic!("the connection was held up"),
    }
}
