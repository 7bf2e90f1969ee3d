//! What a page and its computation worker say to each other, as CBOR.
//!
//! A worker says once that it listens ([`Reply::Ready`]): what is posted before that is lost. Then it is for one module: the page
//! sends it once ([`Request::Prepare`]), then its inputs one after the other ([`Request::Run`]), and each is answered with exactly
//! one [`Reply`]. While a module computes the worker reads nothing, so nothing is cancelled by a message: the page keeps the
//! deadline and terminates the worker, and what was under way has no outcome.

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::outcome::{Failure, Outcome};

/// From the page.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// Checks, meters and compiles a module, in the place of any before it.
    #[n(0)]
    Prepare {
        /// The module as it is sold.
        #[cbor(n(0), with = "minicbor::bytes")]
        module: Vec<u8>,
    },
    /// Computes one input.
    #[n(1)]
    Run {
        /// Comes back with the outcome.
        #[n(0)]
        id: u64,
        /// The input.
        #[cbor(n(1), with = "minicbor::bytes")]
        input: Vec<u8>,
        /// Units that it may use.
        #[n(2)]
        fuel: u64,
    },
}

/// From the worker.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Reply {
    /// The module is ready.
    #[n(0)]
    Prepared {
        /// Fuel that every run of it takes before it begins.
        #[n(0)]
        start_units: u64,
    },
    /// The module is not run here.
    #[n(1)]
    Unprepared {
        /// Why.
        #[n(0)]
        failure: Failure,
    },
    /// A run ended.
    #[n(2)]
    Ended {
        /// The request's.
        #[n(0)]
        id: u64,
        /// How.
        #[n(1)]
        outcome: Outcome,
    },
    /// The request made no sense: there is no module yet, or it could not be read.
    #[n(3)]
    Misunderstood,
    /// The worker listens. Said unasked, and first.
    #[n(4)]
    Ready,
}

/// Bytes that are no message of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is no message between a page and its computation worker")]
pub struct ProtocolError;

impl Request {
    /// The message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProtocolError> {
        decode(bytes)
    }
}

impl Reply {
    /// The message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProtocolError> {
        decode(bytes)
    }
}

fn encode(message: &impl Encode<()>) -> Vec<u8> {
    // Writing to memory does not fail.
    minicbor::to_vec(message).unwrap_or_default()
}

fn decode<'a, T: Decode<'a, ()>>(bytes: &'a [u8]) -> Result<T, ProtocolError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let message = decoder.decode().map_err(|_| ProtocolError)?;
    if decoder.position() == bytes.len() {
        Ok(message)
    } else {
        Err(ProtocolError)
    }
}
