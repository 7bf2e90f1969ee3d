//! The relay as others see it: over HTTP, over libp2p and as a program.

mod http;
mod lan;
mod meeting;
mod program;
mod support;
