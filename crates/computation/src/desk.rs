//! The worker's side of [`protocol`](crate::protocol).

use crate::limits::Limits;
use crate::prepared::Prepared;
use crate::protocol::{ProtocolError, Reply, Request};

/// The worker's side: a module, once there is one.
pub struct Desk {
    limits: Limits,
    prepared: Option<Prepared>,
}

impl Desk {
    /// Without a module.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            prepared: None,
        }
    }

    /// Does what a message asks.
    pub fn answer(&mut self, message: &[u8]) -> Reply {
        match Request::from_bytes(message) {
            Ok(request) => self.serve(request),
            Err(ProtocolError) => Reply::Misunderstood,
        }
    }

    /// Does what a request asks, but for measuring, which needs a network and a clock.
    pub fn serve(&mut self, request: Request) -> Reply {
        match (request, &self.prepared) {
            (Request::Prepare { module }, _) => self.prepare(&module),
            (Request::Run { id, input, fuel }, Some(prepared)) => Reply::Ended {
                id,
                outcome: prepared.run(&input, fuel),
            },
            (Request::Run { .. }, None) | (Request::Measure { .. }, _) => Reply::Misunderstood,
        }
    }

    fn prepare(&mut self, module: &[u8]) -> Reply {
        self.prepared = None;
        match Prepared::new(module, self.limits) {
            Ok(prepared) => {
                let start_units = prepared.start_units();
                self.prepared = Some(prepared);
                Reply::Prepared { start_units }
            }
            Err(failure) => Reply::Unprepared { failure },
        }
    }
}
