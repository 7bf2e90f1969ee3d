//! `cargo xtask bench`: this project beside what else there is, measured turn by turn on the same machine.
//!
//! A benchmark runs both sides in alternation, so that whatever else the machine does falls on both, and compares the
//! two runs of each turn. A bound counts as broken when the whole interval of the ratio is above it ([`ratio`]). What the
//! core does has no other side: it is held to times of its own ([`core`]). What models find in text is no time at all, and
//! has no bound: it is stated ([`static_model`]).

mod core;
mod inference;
mod ratio;
mod relay;
mod static_model;
mod transport;

use std::process::ExitCode;

use clap::Subcommand;

use crate::error::Error;
use crate::workspace::Workspace;

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Choosing among 10,000 offers, and learning from a trade with 10,000 known peers.
    Core(core::Options),
    /// The kernels on WebGPU and on the CPU beside onnxruntime-web's.
    Inference(inference::Options),
    /// A relay under the load of a thousand native nodes.
    Relay(relay::Options),
    /// The static model beside MiniLM: what they find in manuals, and what a text takes.
    StaticModel(static_model::Options),
    /// The WebRTC transport beside a bare data channel and js-libp2p, in one pair of browsers.
    Transport(transport::Options),
}

/// Measures, prints a table, writes the numbers to `proof/`, and fails when a bound is broken.
pub(crate) fn run(workspace: &Workspace, bench: &Bench) -> Result<ExitCode, Error> {
    match bench {
        Bench::Core(options) => core::run(workspace, options),
        Bench::Inference(options) => inference::run(workspace, options),
        Bench::Relay(options) => relay::run(workspace, options),
        Bench::StaticModel(options) => static_model::run(workspace, options),
        Bench::Transport(options) => transport::run(workspace, options),
    }
}
