//! The signalling session: from a stream between two browsers to a direct connection.
//!
//! [`dial`] and [`accept`] run over anything that carries bytes both ways. The transport runs them over streams of the
//! signalling protocol; an application that signals in another way (a QR code, a server of its own) may call them
//! directly, but then has to know for itself who is at the other end: the session trusts the stream.

use std::{future::Future, pin::pin, rc::Rc, time::Duration};

use futures::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, FutureExt as _, Stream, StreamExt as _,
    future::{Either, select},
    stream::unfold,
};
use futures_timer::Delay;
use libp2p_core::upgrade::NegotiationError;
use web_sys::RtcSdpType;

use crate::{
    config::Config,
    error::{Error, Step},
    sdp::{self, Agreed},
    signalling::{
        SignallingError,
        candidate::Candidate,
        codec::{self, Message},
    },
};

use super::{connection::Connection, peer_connection::PeerConnection};

/// Time to say goodbye on the signalling stream; the direct connection stands already.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time to connect once the remote has hung up: what has been exchanged has to do.
const HUNG_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects as the side that makes the offer.
pub async fn dial<S>(stream: S, config: &Config) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite,
{
    dial_in_turn(stream, config, |_| ()).await
}

/// As [`dial`]; `offered` gets the offer, and what it returns lives as long as the session.
pub(crate) async fn dial_in_turn<S, T>(
    stream: S,
    config: &Config,
    offered: impl FnOnce(&str) -> T,
) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite,
{
    let (reader, mut writer) = stream.split();
    let mut messages = pin!(messages(reader));
    let peer = PeerConnection::new(Rc::new(config.clone()))?;
    peer.open_init_channel();
    // The offer goes out before it is set, because setting it starts the flow of candidates, which must come second.
    let offer = peer.create_offer().await?;
    let sent = announce(&offer, config);
    let _turn = offered(&sent);
    within(
        Step::Description,
        config.description_timeout,
        write(&mut writer, Message::Offer(sent.clone())),
    )
    .await?;
    peer.set_local(RtcSdpType::Offer, &offer).await?;

    let establish = async {
        let answer = within(Step::Description, config.description_timeout, next(&mut messages));
        let answer = answer.await.map_err(unsupported)?;
        let Message::Answer(answer) = answer else {
            return Err(SignallingError::Unexpected.into());
        };
        sdp::validate(&answer)?;
        peer.agree(Agreed::between(&sent, &answer));
        peer.set_remote(RtcSdpType::Answer, &answer).await?;
        within(
            Step::Connect,
            config.connect_timeout,
            connect(&peer, &mut messages),
        )
        .await
    };
    run(establish, send_candidates(&peer, &mut writer)).await?;
    say_goodbye(&mut writer).await;
    Ok(Connection::new(peer))
}

/// Connects as the side that answers an offer.
pub async fn accept<S>(stream: S, config: &Config) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite,
{
    accept_in_turn(stream, config, async |_| ()).await
}

/// As [`accept`]; `answering` gets the offer and may take its time, and what it returns lives as long as the session.
pub(crate) async fn accept_in_turn<S, T>(
    stream: S,
    config: &Config,
    answering: impl AsyncFnOnce(&str) -> T,
) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite,
{
    let (reader, mut writer) = stream.split();
    let mut messages = pin!(messages(reader));
    let offer = within(Step::Description, config.description_timeout, next(&mut messages)).await?;
    let Message::Offer(offer) = offer else {
        return Err(SignallingError::Unexpected.into());
    };
    sdp::validate(&offer)?;
    let turn = pin!(answering(&offer));
    // Once it has waited as long as a connection may take, it is this session's turn in any case.
    let _turn = select(turn, Delay::new(config.connect_timeout)).await;
    let peer = PeerConnection::new(Rc::new(config.clone()))?;
    peer.set_remote(RtcSdpType::Offer, &offer).await?;
    let answer = peer.create_answer().await?;
    let sent = announce(&answer, config);
    peer.agree(Agreed::between(&sent, &offer));
    within(
        Step::Description,
        config.description_timeout,
        write(&mut writer, Message::Answer(sent)),
    )
    .await?;
    peer.set_local(RtcSdpType::Answer, &answer).await?;

    let establish = within(
        Step::Connect,
        config.connect_timeout,
        connect(&peer, &mut messages),
    );
    run(establish, send_candidates(&peer, &mut writer)).await?;
    say_goodbye(&mut writer).await;
    Ok(Connection::new(peer))
}

/// Our description as the remote gets it.
fn announce(description: &str, config: &Config) -> String {
    if config.windows {
        sdp::announce(description, config.limits().initial_window_bytes())
    } else {
        description.to_owned()
    }
}

/// Drives both directions; only the one that receives can end the session.
async fn run(
    establish: impl Future<Output = Result<(), Error>>,
    send_candidates: impl Future<Output = std::convert::Infallible>,
) -> Result<(), Error> {
    match select(pin!(establish), pin!(send_candidates)).await {
        Either::Left((result, _)) => result,
        Either::Right((never, _)) => match never {},
    }
}

/// Feeds the remote's candidates to the browser until the connection stands.
async fn connect(
    peer: &PeerConnection,
    messages: &mut (impl Stream<Item = Result<Message, SignallingError>> + Unpin),
) -> Result<(), Error> {
    let mut received = 0;
    let mut connected = pin!(peer.connected().fuse());
    loop {
        let message = match select(&mut connected, messages.next()).await {
            Either::Left((result, _)) => return result,
            Either::Right((Some(Ok(message)), _)) => message,
            // A remote that is connected already hangs up, as does one that gave up; multiplexers do not tell the difference.
            Either::Right((None | Some(Err(SignallingError::Io(_))), _)) => {
                return select(connected, Delay::new(HUNG_UP_TIMEOUT))
                    .map(|first| match first {
                        Either::Left((result, _)) => result,
                        Either::Right(_) => Err(Error::NoPath),
                    })
                    .await;
            }
            Either::Right((Some(Err(error)), _)) => return Err(error.into()),
        };
        let Message::Candidate(json) = message else {
            return Err(SignallingError::Unexpected.into());
        };
        received += 1;
        if received > peer.config().candidates_max {
            return Err(SignallingError::TooManyCandidates.into());
        }
        if let Some(candidate) = Candidate::parse(&json)? {
            peer.add_candidate(&candidate);
        }
    }
}

/// Sends own candidates as they are found. A stream that breaks does not matter here: `connect` decides.
async fn send_candidates<W>(peer: &PeerConnection, writer: &mut W) -> std::convert::Infallible
where
    W: AsyncWrite + Unpin,
{
    loop {
        let sent = match peer.next_candidate().await.to_json() {
            Ok(json) => codec::write(writer, Message::Candidate(json)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "could not send a candidate");
            return std::future::pending().await;
        }
    }
}

/// The remote's messages. Unlike the reading of one message, the stream may be polled beside other things.
fn messages(reader: impl AsyncRead) -> impl Stream<Item = Result<Message, SignallingError>> {
    unfold(Some(Box::pin(reader)), |reader| async move {
        let mut reader = reader?;
        match codec::read(&mut reader).await {
            Ok(message) => message.map(|message| (Ok(message), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

async fn next(
    messages: &mut (impl Stream<Item = Result<Message, SignallingError>> + Unpin),
) -> Result<Message, Error> {
    Ok(messages.next().await.ok_or(SignallingError::HungUp)??)
}

/// Where the swarm opens streams without waiting for the protocol to be agreed on (`V1Lazy`), a peer that does not speak it
/// is noticed by the first thing that is read.
fn unsupported(error: Error) -> Error {
    match &error {
        Error::Signalling(SignallingError::Io(reason))
            if reason
                .get_ref()
                .is_some_and(|inner| inner.is::<NegotiationError>()) =>
        {
            Error::Unsupported
        }
        _ => error,
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), message: Message) -> Result<(), Error> {
    Ok(codec::write(writer, message).await?)
}

async fn say_goodbye(writer: &mut (impl AsyncWrite + Unpin)) {
    select(writer.close(), Delay::new(GOODBYE_TIMEOUT)).await;
}

/// Bounds a step in time.
pub(crate) async fn within<T>(
    step: Step,
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match select(pin!(work), Delay::new(limit)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Error::Timeout(step)),
    }
}
