//! Streams over data channels: what the bytes mean and when a stream is over.
//!
//! A data channel has no half-close and no reset, so libp2p frames what it sends ([`frame`]) and runs a small state
//! machine ([`state`]) beside the data. Nor has it a receive window: [`budget`] has. All are pure; [`inbox`] joins them for
//! the receiving side of one channel.

pub(crate) mod budget;
pub(crate) mod frame;
pub(crate) mod inbox;
pub(crate) mod state;
