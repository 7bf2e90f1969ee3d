//! The relay as others see it: over HTTP, over libp2p and as a program.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step of a test is the test's failure"
)]

mod answers;
mod http;
mod ice;
mod lan;
mod meeting;
mod program;
mod support;
