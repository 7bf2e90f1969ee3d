//! What a page and its computation worker say to each other, as CBOR.
//!
//! A worker says once that it listens ([`Reply::Ready`]): what is posted before that is lost. Then it is for one module: the page
//! sends it once ([`Request::Prepare`]), then its inputs one after the other ([`Request::Run`]), and each is answered with exactly
//! one [`Reply`]. While a module computes the worker reads nothing, so nothing is cancelled by a message: the page keeps the
//! deadline and terminates the worker, and what was under way has no outcome.

use thiserror::Error;

use crate::cbor::{Reader, Writer};
use crate::outcome::{Failure, Outcome};

/// From the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Checks, meters and compiles a module, in the place of any before it.
    Prepare {
        /// The module as it is sold.
        module: Vec<u8>,
    },
    /// Computes one input.
    Run {
        /// Comes back with the outcome.
        id: u64,
        /// The input.
        input: Vec<u8>,
        /// Units that it may use.
        fuel: u64,
    },
    /// Computes the samples of a site's own modules, and says how fast. The prepared module stays.
    Measure {
        /// The site's origin.
        site: String,
    },
}

/// From the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The module is ready.
    Prepared {
        /// Fuel that every run of it takes before it begins.
        start_units: u64,
    },
    /// The module is not run here.
    Unprepared {
        /// Why.
        failure: Failure,
    },
    /// A run ended.
    Ended {
        /// The request's.
        id: u64,
        /// How.
        outcome: Outcome,
    },
    /// The request made no sense: there is no module yet, or it could not be read.
    Misunderstood,
    /// The worker listens. Said unasked, and first.
    Ready,
    /// This engine computes rightly, and so fast.
    Measured {
        /// Units of fuel.
        units_per_second: u64,
    },
    /// This engine computes a module otherwise than other machines do.
    Miscomputed {
        /// Its name in the site's list.
        module: String,
    },
    /// It cannot be said how this engine computes.
    Unmeasured {
        /// Why.
        reason: String,
    },
}

/// Bytes that are no message of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is no message between a page and its computation worker")]
pub struct ProtocolError;

impl Request {
    /// The message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            Self::Prepare { module } => {
                writer.case(0, 1);
                writer.bytes(module);
            }
            Self::Run { id, input, fuel } => {
                writer.case(1, 3);
                writer.number(*id);
                writer.bytes(input);
                writer.number(*fuel);
            }
            Self::Measure { site } => {
                writer.case(2, 1);
                writer.text(site);
            }
        }
        writer.finish()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader(bytes);
        let request = Self::read(&mut reader);
        request
            .and_then(|request| reader.finish(request))
            .ok_or(ProtocolError)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.case()? {
            0 => {
                reader.list(1)?;
                let module = reader.bytes()?;
                Some(Self::Prepare { module })
            }
            1 => {
                reader.list(3)?;
                Some(Self::Run {
                    id: reader.number()?,
                    input: reader.bytes()?,
                    fuel: reader.number()?,
                })
            }
            2 => {
                reader.list(1)?;
                let site = reader.text()?;
                Some(Self::Measure { site })
            }
            _ => None,
        }
    }
}

impl Reply {
    /// The message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            Self::Prepared { start_units } => {
                writer.case(0, 1);
                writer.number(*start_units);
            }
            Self::Unprepared { failure } => {
                writer.case(1, 1);
                failure.write(&mut writer);
            }
            Self::Ended { id, outcome } => {
                writer.case(2, 2);
                writer.number(*id);
                outcome.write(&mut writer);
            }
            Self::Misunderstood => writer.case(3, 0),
            Self::Ready => writer.case(4, 0),
            Self::Measured { units_per_second } => {
                writer.case(5, 1);
                writer.number(*units_per_second);
            }
            Self::Miscomputed { module } => {
                writer.case(6, 1);
                writer.text(module);
            }
            Self::Unmeasured { reason } => {
                writer.case(7, 1);
                writer.text(reason);
            }
        }
        writer.finish()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader(bytes);
        let reply = Self::read(&mut reader);
        reply.and_then(|reply| reader.finish(reply)).ok_or(ProtocolError)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let case = reader.case()?;
        reader.list(match case {
            3 | 4 => 0,
            2 => 2,
            _ => 1,
        })?;
        Some(match case {
            0 => Self::Prepared {
                start_units: reader.number()?,
            },
            1 => Self::Unprepared {
                failure: Failure::read(reader)?,
            },
            2 => Self::Ended {
                id: reader.number()?,
                outcome: Outcome::read(reader)?,
            },
            3 => Self::Misunderstood,
            4 => Self::Ready,
            5 => Self::Measured {
                units_per_second: reader.number()?,
            },
            6 => Self::Miscomputed {
                module: reader.text()?,
            },
            7 => Self::Unmeasured {
                reason: reader.text()?,
            },
            _ => return None,
        })
    }
}
