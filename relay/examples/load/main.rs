//! Puts a relay under the load of a thousand tabs and says whether it held: `cargo xtask bench relay`.
//!
//! ```text
//!  1. so many nodes connect over WebSocket and reserve; the relay has exactly so many places
//!  2. they renew, twice each; none may be lost
//!  3. pairs of them open circuits, all at once, and exchange what signalling exchanges
//!  4. one more node asks for a place: it is refused in words, and everybody else renews once more
//! ```
//!
//! Every node is a real libp2p swarm in this process; the relay is a process of its own, whose memory the kernel reports.
//! The last line of standard output is JSON.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever fails here ends the measurement, with its reason"
)]

mod tab;

use std::{
    fs,
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use clap::Parser;
use futures::{StreamExt as _, future::join_all, stream};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol, swarm::SwarmEvent};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    sync::oneshot,
    time::timeout,
};

use tab::{Signal, Tab, Told, source_of, swarm};

/// How long a reservation lasts here; it is renewed after three quarters of that.
const RESERVATION_SECONDS: u32 = 40;
/// Connections that are made at the same time; the relay queues 256 upgraded sockets.
const CONNECTING_MAX: usize = 64;
/// Longest time for one phase.
const PHASE_MAX: Duration = Duration::from_secs(180);
/// What a full relay says, in libp2p's words.
const REFUSAL: &str = "limit";
/// What the relay may occupy.
const RSS_BYTES_MAX: u64 = 256 << 20;

/// The load.
#[derive(Parser)]
struct Options {
    /// The relay's binary.
    #[arg(long)]
    relay: PathBuf,
    /// Nodes that hold a reservation.
    #[arg(long, default_value_t = 1_000)]
    reservations: usize,
    /// Circuits at once.
    #[arg(long, default_value_t = 200)]
    circuits: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let folder = tempfile::tempdir().unwrap();
    let (relay, door) = start_relay(&options, &folder).await;
    let pid = relay.id().expect("the relay runs");

    let started = Instant::now();
    let mut tabs: Vec<Tab> = stream::iter(0..options.reservations)
        .map(|_| Tab::open(door.clone()))
        .buffer_unordered(CONNECTING_MAX)
        .collect()
        .await;
    let reserving_ms = started.elapsed().as_millis();
    eprintln!("{} nodes reserved in {reserving_ms} ms", tabs.len());

    let mut lost = renewals(&mut tabs, 2).await;
    eprintln!("two renewals each, {} lost", lost.len());
    let calls = Calls::sort(circuits(&tabs, options.circuits).await);
    eprintln!("{} of {} circuits", calls.took_ms.len(), options.circuits);
    let refusal = refused(&door).await;
    eprintln!("one more is told: {refusal}");
    lost.extend(renewals(&mut tabs, 1).await);

    let rss_bytes_max = peak_memory(pid);
    let held = format!("knowledge_relay_reservations {}\n", options.reservations);
    let held = get(&door, "/metrics").await.contains(&held);
    let passed = lost.is_empty()
        && calls.failed.is_empty()
        && held
        && refusal.contains(REFUSAL)
        && rss_bytes_max <= RSS_BYTES_MAX;
    let report = json!({
        "reservations": tabs.len(),
        "reserving_ms": reserving_ms,
        "renewals_each": 3,
        "reservations_lost": lost,
        "held_at_the_end": held,
        "circuits": calls.took_ms.len(),
        "circuits_failed": calls.failed,
        "circuit_ms_p50": calls.ms_at(50),
        "circuit_ms_p95": calls.ms_at(95),
        "newcomer_is_told": refusal,
        "rss_bytes_max": rss_bytes_max,
        "rss_bytes_bound": RSS_BYTES_MAX,
        "passed": passed,
    });
    println!("{report}");
    drop(relay);
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How the circuits went.
struct Calls {
    /// Of those that worked, ascending.
    took_ms: Vec<u64>,
    failed: Vec<String>,
}

impl Calls {
    fn sort(results: Vec<Result<Duration, String>>) -> Self {
        let mut calls = Self {
            took_ms: Vec::new(),
            failed: Vec::new(),
        };
        for result in results {
            match result {
                Ok(took) => calls.took_ms.push(u64::try_from(took.as_millis()).unwrap()),
                Err(reason) => calls.failed.push(reason),
            }
        }
        calls.took_ms.sort_unstable();
        calls
    }

    /// The time within which so many in a hundred were done.
    fn ms_at(&self, percent: usize) -> Option<u64> {
        let place = (self.took_ms.len() * percent / 100).min(self.took_ms.len().checked_sub(1)?);
        self.took_ms.get(place).copied()
    }
}

/// A relay with as many places as there are nodes, and its WebSocket address.
async fn start_relay(options: &Options, folder: &tempfile::TempDir) -> (Child, Multiaddr) {
    let site = folder.path().join("site");
    fs::create_dir_all(&site).unwrap();
    fs::write(site.join("index.html"), "<!doctype html><title>load</title>").unwrap();
    let mut relay = Command::new(&options.relay)
        .args(["--address", "127.0.0.1", "--port", "0", "--log", "error"])
        .args(["--reservations-max", &options.reservations.to_string()])
        .args(["--reservation-seconds", &RESERVATION_SECONDS.to_string()])
        .arg("--site-dir")
        .arg(site)
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the relay starts");
    let mut lines = BufReader::new(relay.stdout.take().expect("piped")).lines();
    let ready = lines.next_line().await.unwrap().expect("a line");
    let port: u16 = ready
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("ready <URL>");
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}/ws").parse().unwrap();
    let bootstrap: serde_json::Value = serde_json::from_str(&get(&address, "/bootstrap.json").await).unwrap();
    let peer: PeerId = bootstrap["peer_id"].as_str().unwrap().parse().unwrap();
    (relay, address.with(Protocol::P2p(peer)))
}

/// The body of an HTTP answer.
async fn get(door: &Multiaddr, path: &str) -> String {
    let port = door
        .iter()
        .find_map(|part| match part {
            Protocol::Tcp(port) => Some(port),
            _ => None,
        })
        .unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Waits until every node has renewed so often; returns what was lost.
async fn renewals(tabs: &mut [Tab], count: usize) -> Vec<String> {
    let waits = tabs.iter_mut().map(async |tab| {
        let mut seen = 0;
        while seen < count {
            match timeout(PHASE_MAX, tab.told.recv()).await {
                Ok(Some(Told::Renewed)) => seen += 1,
                Ok(Some(Told::Reserved)) => {}
                Ok(Some(Told::Lost(reason))) => return Some(reason),
                Ok(None) => return Some("the node ended".to_owned()),
                Err(_) => return Some("it was not renewed in time".to_owned()),
            }
        }
        None
    });
    join_all(waits).await.into_iter().flatten().collect()
}

/// The first half of the nodes calls the second half, all at once.
async fn circuits(tabs: &[Tab], count: usize) -> Vec<Result<Duration, String>> {
    let (callers, callees) = tabs.split_at(tabs.len() / 2);
    let calls = callers
        .iter()
        .zip(callees)
        .take(count)
        .map(async |(caller, callee)| {
            let (done, answer) = oneshot::channel();
            let order = Signal {
                to: callee.peer,
                done,
            };
            caller
                .orders
                .send(order)
                .await
                .map_err(|_| "the node ended".to_owned())?;
            timeout(PHASE_MAX, answer)
                .await
                .map_err(|_| "no answer in time".to_owned())?
                .map_err(|_| "the node ended".to_owned())?
        });
    join_all(calls).await
}

/// What a node is told for which there is no place.
async fn refused(door: &Multiaddr) -> String {
    let mut swarm = swarm();
    swarm.listen_on(door.clone().with(Protocol::P2pCircuit)).unwrap();
    let search = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ListenerClosed { reason, .. } => {
                    return reason.map_or_else(|error| source_of(&error), |()| "nothing".to_owned());
                }
                SwarmEvent::NewListenAddr { .. } => return "a place it was not to have".to_owned(),
                _ => {}
            }
        }
    };
    timeout(PHASE_MAX, search)
        .await
        .unwrap_or_else(|_| "nothing in time".to_owned())
}

/// The most memory that a process has occupied, as the kernel counts it.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}
