//! Discovery: how members of a group find each other and what is offered, without a directory.
//!
//! A node files signed [`Registration`](crate::wire::Registration)s at **discovery points** (relays, later strong tabs): one
//! that says "I am here" under the group's presence key, one per offer under a key of service and model. Keys are keyed
//! hashes, so a discovery point learns neither the group nor the service, only who filed under the same key. Registrations
//! last for a stated duration and are renewed well before. Whoever looks for members or offers asks for a random sample of
//! bounded size: nobody broadcasts, and nobody needs the whole list.
//!
//! [`Registry`] is the discovery point's side; the node's side is part of [`Node`](crate::Node).

mod book;
mod pool;
mod registry;

pub(crate) use book::{KnownOffer, OfferBook};
pub use registry::{Registry, RegistryLimits, RegistryLimitsError};
