//! The network's meeting point: a small native program that a person runs once for a household, a class or a
//! team. It serves the page, lets browsers reach each other and remembers nothing about what they trade.
//!
//! # What it does
//!
//! - **Page** ([`page`]): the site's files, `/bootstrap.json`, `/healthz` and `/metrics` over HTTP or HTTPS.
//! - **Meeting** ([`net`]): a libp2p node on the page's own port (WebSocket), on UDP (webrtc-direct) and on
//!   TCP. It relays circuits, over which two browsers exchange the signalling of their direct connection, and
//!   answers discovery: who offers what, in which group.
//! - **Known answers** ([`answers`]): some of the operator's secret pool for each caller.
//! - **Local network** ([`lan`]): a certificate authority of its own, so that phones nearby get a secure page.
//!
//! # Architecture invariants
//!
//! - What the network *decides* is in `node-proto`; this crate opens sockets, keeps limits and passes frames.
//! - Nothing read from a socket is allocated for before its length is checked, and every table has a limit.
//! - The relay never dials: all its connections were opened by others.
//! - Standard output carries exactly one line, `ready <URL>`, for programs that wait for it; everything meant
//!   for people goes to standard error.

pub mod addresses;
pub mod answers;
pub mod error;
pub mod ice;
pub mod keys;
pub mod lan;
pub mod limits;
pub mod metrics;
pub mod net;
pub mod options;
pub mod page;
mod run;
pub mod stun;
pub mod tls;

pub use error::Error;
pub use options::Options;
pub use run::Relay;
