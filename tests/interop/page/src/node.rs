//! What JavaScript calls. Every method takes and returns plain values, because a test's driver sits in another process.

use std::{cell::RefCell, future::Future, rc::Rc, time::Duration};

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _, SinkExt as _,
    channel::{mpsc, oneshot},
    future::{Either, select, try_join_all},
};
use futures_timer::Delay;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, multiaddr::Protocol};
use libp2p_stream::Control;
use wasm_bindgen::{JsError, prelude::wasm_bindgen};

use crate::{
    driver::{COMMANDS_MAX, Command, Driver, Reply},
    protocols::{self, ECHO, HOLD, Held, SINK, TURN, TURN_BYTES},
    swarm,
};

/// A held writer is taken to be stuck when it could not write for this long.
const STUCK: Duration = Duration::from_millis(1_500);

/// A swarm with the WebRTC transport.
#[wasm_bindgen]
pub struct Node {
    id: PeerId,
    commands: mpsc::Sender<Command>,
    control: Control,
    /// Streams of peers that are not read yet.
    held: Held,
    /// Own streams that are kept open.
    kept: Rc<RefCell<Vec<Stream>>>,
}

#[wasm_bindgen]
impl Node {
    /// Starts a node that can dial and does not listen.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Result<Node, JsError> {
        console_error_panic_hook::set_once();
        let swarm = swarm::build()?;
        let id = *swarm.local_peer_id();
        let mut control = swarm.behaviour().streams.new_control();
        let held = Held::default();
        protocols::serve(&mut control, &held)?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        wasm_bindgen_futures::spawn_local(Driver::new(swarm, receiver).run());
        Ok(Self {
            id,
            commands,
            control,
            held,
            kept: Rc::default(),
        })
    }

    /// The own peer id.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    /// Becomes reachable through a relay and returns the address to dial.
    pub async fn listen(&self, relay: String) -> Result<String, JsError> {
        let address: Multiaddr = format!("{relay}/p2p-circuit/webrtc").parse()?;
        let own = format!("{address}/p2p/{}", self.id);
        self.ask(|reply| Command::Listen(address, reply)).await?;
        // The relay names further addresses of its own; browsers can dial the one that we were given.
        Ok(own)
    }

    /// Connects and returns how long that took, in milliseconds.
    pub async fn dial(&self, address: String) -> Result<f64, JsError> {
        let address: Multiaddr = address.parse()?;
        let Some(Protocol::P2p(peer)) = address.iter().last() else {
            return Err(JsError::new("the address names no peer"));
        };
        let started = now_ms()?;
        self.ask(|reply| Command::Dial(peer, address, reply)).await?;
        Ok(now_ms()? - started)
    }

    /// Resolves when the peer is reached directly and in no other way.
    pub async fn direct(&self, peer: String) -> Result<(), JsError> {
        let peer = peer.parse()?;
        self.ask(|reply| Command::Direct(peer, reply)).await
    }

    /// The agent version that identify got from the peer.
    pub async fn identified(&self, peer: String) -> Result<String, JsError> {
        let peer = peer.parse()?;
        self.ask(|reply| Command::Identified(peer, reply)).await
    }

    /// The round trip of the next ping, in milliseconds.
    pub async fn ping(&self, peer: String) -> Result<f64, JsError> {
        let peer = peer.parse()?;
        self.ask(|reply| Command::Ping(peer, reply)).await
    }

    /// Asks over `/knowledge/1` and returns the answer.
    pub async fn request(&self, peer: String, body: Vec<u8>) -> Result<Vec<u8>, JsError> {
        let peer = peer.parse()?;
        self.ask(|reply| Command::Request(peer, body, reply)).await
    }

    /// Closes every connection to the peer.
    pub async fn close(&self, peer: String) -> Result<(), JsError> {
        let peer = peer.parse()?;
        self.ask(|reply| Command::Close(peer, reply)).await
    }

    /// Sends bytes, ends its half of the stream and compares what comes back after that. Returns how many came.
    pub async fn echo(&self, peer: String, bytes: usize) -> Result<usize, JsError> {
        let sent: Vec<u8> = (0..bytes).map(|index| (index % 251) as u8).collect();
        let mut stream = self.open(&peer, ECHO).await?;
        stream.write_all(&sent).await?;
        stream.close().await?;
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await?;
        if received != sent {
            return Err(JsError::new("the echo differs from what was sent"));
        }
        Ok(received.len())
    }

    /// Sends `total` bytes in writes of `piece` and returns the milliseconds until the peer has counted all of them.
    pub async fn send(&self, peer: String, total: usize, piece: usize) -> Result<f64, JsError> {
        let data = vec![7; piece];
        let mut stream = self.open(&peer, SINK).await?;
        let started = now_ms()?;
        let mut left = total;
        while left > 0 {
            let part = left.min(piece);
            stream.write_all(&data[..part]).await?;
            left -= part;
        }
        stream.close().await?;
        expect_count(&mut stream, total).await?;
        Ok(now_ms()? - started)
    }

    /// The milliseconds of each of `count` round trips on one open stream, with a pause before each.
    pub async fn turns(&self, peer: String, count: usize, pause_ms: u32) -> Result<Vec<f64>, JsError> {
        let mut stream = self.open(&peer, TURN).await?;
        // The first one also negotiates the protocol.
        turn(&mut stream).await?;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            pause(pause_ms).await;
            times.push(turn(&mut stream).await?);
        }
        stream.close().await?;
        Ok(times)
    }

    /// The milliseconds of each of `count` round trips on a stream of its own, from before it is opened.
    pub async fn fresh_turns(&self, peer: String, count: usize, pause_ms: u32) -> Result<Vec<f64>, JsError> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            pause(pause_ms).await;
            let started = now_ms()?;
            let mut stream = self.open(&peer, TURN).await?;
            turn(&mut stream).await?;
            times.push(now_ms()? - started);
            stream.close().await?;
        }
        Ok(times)
    }

    /// The milliseconds of each of `count` requests over `/knowledge/1` with as much to say as a turn.
    pub async fn requests(&self, peer: String, count: usize, pause_ms: u32) -> Result<Vec<f64>, JsError> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            pause(pause_ms).await;
            let started = now_ms()?;
            let answer = self.request(peer.clone(), vec![3; TURN_BYTES]).await?;
            times.push(now_ms()? - started);
            if answer.len() != TURN_BYTES {
                return Err(JsError::new("the answer is not the request reversed"));
            }
        }
        Ok(times)
    }

    /// Opens streams that the peer does not read, writes to all of them until that no longer works, keeps them and
    /// returns how many bytes the transport took.
    pub async fn stall(&self, peer: String, streams: usize, bytes_max: usize) -> Result<f64, JsError> {
        let mut opened = Vec::with_capacity(streams);
        for _ in 0..streams {
            let mut stream = self.open(&peer, HOLD).await?;
            stream.flush().await?;
            stream.read_exact(&mut [0]).await?;
            opened.push(stream);
        }
        let filled = try_join_all(opened.iter_mut().map(|stream| fill(stream, bytes_max))).await?;
        self.kept.borrow_mut().extend(opened);
        // Far below 2^53.
        Ok(filled.into_iter().sum::<usize>() as f64)
    }

    /// Reads the streams that peers wait for us to read.
    pub fn release(&self) {
        for release in self.held.borrow_mut().drain(..) {
            // A stream that is gone needs no reader.
            let _ = release.send(());
        }
    }

    /// Ends the streams that were kept and returns how many bytes the peer has counted on all of them.
    pub async fn finish(&self) -> Result<f64, JsError> {
        let kept: Vec<Stream> = self.kept.borrow_mut().drain(..).collect();
        let mut counted = 0;
        for mut stream in kept {
            stream.close().await?;
            counted += read_count(&mut stream).await?;
        }
        // Far below 2^53.
        Ok(counted as f64)
    }
}

impl Node {
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, JsError> {
        let (reply, answer) = oneshot::channel();
        self.commands.clone().send(command(reply)).await?;
        match answer.await {
            Ok(result) => result.map_err(|reason| JsError::new(&reason)),
            Err(_) => Err(JsError::new("the connection closed before there was an answer")),
        }
    }

    fn open(
        &self,
        peer: &str,
        protocol: StreamProtocol,
    ) -> impl Future<Output = Result<Stream, JsError>> + use<> {
        let peer = peer.parse::<PeerId>();
        let mut control = self.control.clone();
        async move { Ok(control.open_stream(peer?, protocol).await?) }
    }
}

/// Writes until a write is pending for long, and returns how many bytes were taken.
async fn fill(stream: &mut Stream, bytes_max: usize) -> std::io::Result<usize> {
    let data = vec![7; 16 * 1024];
    let mut taken = 0;
    while taken < bytes_max {
        let write = std::pin::pin!(stream.write(&data));
        match select(write, Delay::new(STUCK)).await {
            Either::Left((written, _)) => taken += written?,
            Either::Right(_) => break,
        }
    }
    Ok(taken)
}

/// Lets what the last turn left behind be cleared away, so that the next is measured alone. None at all for zero.
async fn pause(ms: u32) {
    if ms > 0 {
        Delay::new(Duration::from_millis(ms.into())).await;
    }
}

async fn turn(stream: &mut Stream) -> Result<f64, JsError> {
    let mut buffer = [3; TURN_BYTES];
    let started = now_ms()?;
    stream.write_all(&buffer).await?;
    stream.flush().await?;
    stream.read_exact(&mut buffer).await?;
    Ok(now_ms()? - started)
}

async fn read_count(stream: &mut Stream) -> Result<u64, JsError> {
    let mut count = [0; 8];
    stream.read_exact(&mut count).await?;
    Ok(u64::from_be_bytes(count))
}

async fn expect_count(stream: &mut Stream, expected: usize) -> Result<(), JsError> {
    let counted = read_count(stream).await?;
    if counted == expected as u64 {
        Ok(())
    } else {
        Err(JsError::new(&format!("{counted} of {expected} bytes arrived")))
    }
}

fn now_ms() -> Result<f64, JsError> {
    let performance = web_sys::window().and_then(|window| window.performance());
    performance
        .map(|performance| performance.now())
        .ok_or_else(|| JsError::new("not in a page"))
}
