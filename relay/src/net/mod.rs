//! The relay as a libp2p node.
//!
//! [`websocket`] turns sockets that the page's server upgraded into libp2p connections, [`behaviour`] says
//! which protocols are spoken within which limits, [`places`] says who may be reached through this relay, and [`node`] is
//! the loop that drives them.

pub mod behaviour;
pub mod node;
pub mod places;
pub mod websocket;
