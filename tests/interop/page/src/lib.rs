//! A page that holds nothing but the WebRTC transport in a swarm: the fixture of interoperability tests and benchmarks.
//!
//! The swarm has what any application of the transport would have (relay client, identify, ping) and three kinds of
//! protocols on top: `/knowledge/1` as this project's nodes speak it, and the streams of [`protocols`], which
//! `js/node.js` speaks too. What JavaScript calls is in [`node`].
#![cfg(target_family = "wasm")]

mod driver;
mod node;
mod protocols;
mod swarm;

pub use node::Node;
