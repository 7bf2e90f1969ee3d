//! `cargo bench -p node-proto --bench market`: how long choosing among 10,000 known offers takes.
//!
//! A whole request up to the demands that go out, through the public interface: drawing, judging, checking signatures,
//! asking. The bound is one millisecond at the median. The measuring is a loop and a clock, since what is measured is
//! a thousand times longer than the clock's own resolution. `cargo xtask bench core` reads the last line.

mod report;
#[path = "../tests/town/mod.rs"]
mod town;

use std::time::{Duration, Instant};

use report::Report;

use node_proto::{Command, Input, JobId, Node, NodeId, Output, Path, Requirements, ServiceRequest};
use town::{MODEL, NOW, Town};

const OFFERS: u32 = 10_000;
const RUNS: u64 = 500;
const BOUND: Duration = Duration::from_millis(1);

fn main() {
    let town = Town::new(OFFERS);
    let mut node = town.known_by_one();
    // Connected to a few of them, as a tab is.
    for record in town.offers.iter().take(16) {
        connect(&mut node, record.owner);
    }
    let mut times: Vec<Duration> = (1..=report::runs(RUNS))
        .map(|job| choose(&mut node, JobId(job)))
        .collect();
    Report {
        what: format!("choose among {OFFERS} offers"),
        percent: 50,
        bound: BOUND,
    }
    .print(&mut times);
}

fn connect(node: &mut Node, peer: NodeId) {
    let path = Path::Direct;
    node.handle_input(NOW, Input::Connected { peer, path });
    while node.poll_output().is_some() {}
}

fn choose(node: &mut Node, job: JobId) -> Duration {
    let request = ServiceRequest::Inference {
        model: Some(MODEL),
        texts: vec!["what is asked".to_owned(); 8],
    };
    let requirements = Requirements::default();
    let command = Command::Request {
        job,
        request,
        requirements,
    };
    let began = Instant::now();
    node.handle_input(NOW, Input::Command(command));
    let took = began.elapsed();
    let asked =
        std::iter::from_fn(|| node.poll_output()).filter(|output| matches!(output, Output::Request { .. }));
    assert!(asked.count() >= 4, "nobody was asked");
    node.handle_input(NOW, Input::Command(Command::Cancel { job }));
    while node.poll_output().is_some() {}
    took
}
