//! On whom a node hangs up when there are too many connections.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::io::Path;

/// Strangers, told apart by a number.
fn peer(number: usize) -> NodeId {
    let mut bytes = [200; 32];
    bytes[0] = u8::try_from(number).unwrap();
    NodeId(bytes)
}

/// Lets one more connect, by its number; tells on whom the node hangs up.
fn connect(node: &mut Node, at: u64, number: usize) -> Vec<NodeId> {
    let (peer, path) = (peer(number), Path::Direct);
    node.handle_input(Timestamp(at), Input::Connected { peer, path });
    hung_up(node)
}

fn hung_up(node: &mut Node) -> Vec<NodeId> {
    let outputs = std::iter::from_fn(|| node.poll_output());
    let peers = outputs.filter_map(|output| match output {
        Output::HangUp { peer } => Some(peer),
        _ => None,
    });
    peers.collect()
}

/// As many connections as are held, made at 1, 2, 3, ….
fn crowd(node: &mut Node, others: usize) -> usize {
    let held = node.config.connections_held_max - others;
    for number in 0..held {
        assert!(connect(node, 1 + number as u64, number).is_empty());
    }
    held
}

#[test]
fn whoever_was_not_used_for_the_longest_time_makes_room() {
    let mut node = Pair::new().node;
    let next = crowd(&mut node, 1);
    let idle_ms = u64::from(node.config.connection_idle_ms);
    // Nobody is idle for long enough yet, the buyer of the pair the longest.
    assert!(connect(&mut node, idle_ms - 1, next).is_empty());
    assert!(node.network.peer_connections() > node.config.connections_held_max);
    node.handle_timeout(Timestamp(idle_ms));
    assert_eq!(hung_up(&mut node).len(), 1);
    node.used(&peer(0));
    assert_eq!(connect(&mut node, 2 * idle_ms, next + 1), [peer(1)]);
    assert_eq!(connect(&mut node, 2 * idle_ms, next + 2), [peer(2)]);
    assert_eq!(node.network.peer_connections(), node.config.connections_held_max);
}

#[test]
fn whoever_something_hangs_on_stays() {
    let mut pair = Pair::new();
    let (terms, _) = pair.quoted();
    let agreement = Signed::seal(&pair.buyer, &terms);
    let request = pair.agree(agreement);
    assert!(matches!(pair.ask(&request), Response::Agreed { .. }));
    let node = &mut pair.node;
    node.config.connection_idle_ms = 1_000;
    let next = crowd(node, 1);
    let (relay, available) = (peer(0), true);
    node.handle_input(
        Timestamp(60),
        Input::DiscoveryPoint {
            peer: relay,
            available,
        },
    );
    // Asked something, and not answered yet.
    let request = Request::Cancel {
        agreement: AgreementId([7; 32]),
    };
    let purpose = Purpose::Cancel {
        agreement: AgreementId([7; 32]),
    };
    node.request(peer(1), &request, purpose, 600_000);
    let (server, path) = (peer(2), Path::Server);
    node.handle_input(Timestamp(60), Input::Connected { peer: server, path });
    // The server takes no place of a peer.
    assert!(connect(node, 70, next).is_empty());
    // A while later, and before the agreement that nobody sends the input of is over.
    let at = u64::from(node.config.connection_idle_ms) + 100;
    assert!(at < u64::from(node.config.input_ms));
    assert_eq!(connect(node, at, next + 1), [peer(3)]);
}
