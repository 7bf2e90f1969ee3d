//! The streams that tests and benchmarks run; `js/node.js` is the other implementation of the same protocols.
//!
//! - [`ECHO`]: everything up to the end of the stream comes back, and then the end. It needs half-close.
//! - [`SINK`]: everything up to the end is counted; the count (big-endian, 8 bytes) comes back.
//! - [`TURN`]: each [`TURN_BYTES`] come back as soon as they are there.
//! - [`HOLD`]: one byte comes back, and nothing is read until the page lets go.

use std::{cell::RefCell, io, rc::Rc};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, channel::oneshot};
use libp2p::{Stream, StreamProtocol};
use libp2p_stream::Control;
use wasm_bindgen::JsError;
use wasm_bindgen_futures::spawn_local;

pub(crate) const ECHO: StreamProtocol = StreamProtocol::new("/interop/echo/1");
pub(crate) const SINK: StreamProtocol = StreamProtocol::new("/interop/sink/1");
pub(crate) const TURN: StreamProtocol = StreamProtocol::new("/interop/turn/1");
pub(crate) const HOLD: StreamProtocol = StreamProtocol::new("/interop/hold/1");

/// What goes back and forth on a [`TURN`] stream.
pub(crate) const TURN_BYTES: usize = 1024;

/// What a reader takes at once.
const READ_BYTES: usize = 64 * 1024;

/// Streams that wait to be read, each with what makes its reader start.
pub(crate) type Held = Rc<RefCell<Vec<oneshot::Sender<()>>>>;

/// Serves all four protocols for as long as the swarm runs.
pub(crate) fn serve(control: &mut Control, held: &Held) -> Result<(), JsError> {
    serve_each(control, ECHO, echo)?;
    serve_each(control, SINK, sink)?;
    serve_each(control, TURN, take_turns)?;
    let held = held.clone();
    serve_each(control, HOLD, move |stream| hold(stream, held.clone()))
}

fn serve_each<F>(
    control: &mut Control,
    protocol: StreamProtocol,
    run: impl Fn(Stream) -> F + 'static,
) -> Result<(), JsError>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let mut incoming = control.accept(protocol)?;
    spawn_local(async move {
        while let Some((_, stream)) = incoming.next().await {
            let serving = run(stream);
            // A stream that breaks is the other page's to report: it waits for an answer.
            spawn_local(async move { drop(serving.await) });
        }
    });
    Ok(())
}

async fn echo(mut stream: Stream) -> io::Result<()> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    stream.write_all(&bytes).await?;
    stream.close().await
}

async fn sink(stream: Stream) -> io::Result<()> {
    count(stream).await
}

async fn count(mut stream: Stream) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut received = 0_u64;
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            read => received += read as u64,
        }
    }
    stream.write_all(&received.to_be_bytes()).await?;
    stream.close().await
}

async fn take_turns(mut stream: Stream) -> io::Result<()> {
    let mut buffer = [0; TURN_BYTES];
    while stream.read_exact(&mut buffer).await.is_ok() {
        stream.write_all(&buffer).await?;
        stream.flush().await?;
    }
    stream.close().await
}

async fn hold(mut stream: Stream, held: Held) -> io::Result<()> {
    stream.write_all(&[1]).await?;
    stream.flush().await?;
    let (release, released) = oneshot::channel();
    held.borrow_mut().push(release);
    let _ = released.await;
    count(stream).await
}
