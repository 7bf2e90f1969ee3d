//! Why a dial failed or a connection ended, in words that a person can do something with.

use std::error::Error;

use libp2p::swarm::{ConnectionError, DialError};

/// What the operating system, the browser and timers say when nobody is there.
const SILENCE: [&str; 2] = ["broken pipe", "Timeout has been reached"];

/// The innermost cause.
pub(super) fn of_dial(error: &DialError) -> String {
    let reason = match error {
        DialError::Transport(errors) => match errors.last() {
            Some((_, error)) => innermost(error),
            None => error.to_string(),
        },
        DialError::Denied { cause } => innermost(cause),
        other => other.to_string(),
    };
    if SILENCE.contains(&reason.as_str()) {
        "there is no answer".to_owned()
    } else {
        reason
    }
}

/// The innermost cause.
pub(super) fn of_end(error: &ConnectionError) -> String {
    let reason = innermost(error);
    if SILENCE.contains(&reason.as_str()) {
        "the connection broke".to_owned()
    } else {
        reason
    }
}

/// Whether a direct connection failed because the peer cannot be reached through the relay either.
pub(super) fn is_gone(reason: &str) -> bool {
    // The transport's own words before the relay's: its error arrives here inside others that hide its type.
    reason.starts_with(&webrtc_transport::Error::Circuit(String::new()).to_string())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
