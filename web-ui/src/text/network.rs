//! The Network page.

/// No connections.
pub const EMPTY: &str = "No connections. The relay is tried again by itself.";
/// The graph's name.
pub fn graph(peers: usize, servers: usize) -> String {
    format!(
        "This device in the middle, connected to {} and {}",
        super::count(peers, "peer", "peers"),
        super::count(servers, "server", "servers")
    )
}
/// Table's caption.
pub const CONNECTIONS: &str = "Connections";
/// Column heads.
pub const PEER: &str = "Who";
/// Role.
pub const ROLE: &str = "What";
/// The relay's role.
pub const RELAY: &str = "relay";
/// Any other's.
pub const NODE: &str = "device";
/// A member.
pub const MEMBER: &str = "group member";
/// Way.
pub const PATH: &str = "How";
/// Round trip.
pub const RTT: &str = "Round trip";
/// A transport, in words.
pub fn transport(slug: &str) -> &'static str {
    match slug {
        "webrtc" => "direct (WebRTC)",
        "webrtc-direct" => "server (WebRTC)",
        "websocket" => "server (WebSocket)",
        "relayed" => "relayed: slower, small requests only",
        "tcp" => "server (TCP)",
        _ => "another way",
    }
}
/// Diagnosis.
pub const DIAGNOSIS: &str = "Diagnosis";
/// Fine.
pub const OK: &str = "Direct connections work.";
/// Early.
pub const STARTING: &str = "Connecting to the relay…";
/// Through the relay so far.
pub const CONNECTING: &str = "Connected through the relay; a direct connection is being made.";
/// No network.
pub const OFFLINE: &str = "No peers because this device is offline.";
/// No relay.
pub fn no_relay(detail: &str) -> String {
    format!("No peers because the relay does not answer: {detail}")
}
/// Alone.
pub const ALONE: &str = "No peers because nobody else has this page open in your group. Invite someone.";
/// Blocked.
pub fn no_direct(failed: u32, detail: &str) -> String {
    format!(
        "No direct connection because {} failed: {detail}. Answers come through the relay, slower.",
        super::count(failed as usize, "attempt", "attempts")
    )
}
/// The relay's state.
pub const RELAY_HEADING: &str = "Relay";
/// Being made.
pub fn relay_connecting(attempt: u32) -> String {
    match attempt {
        0 | 1 => "connecting…".to_owned(),
        n => format!("connecting, attempt {n}…"),
    }
}
/// It stands.
pub const RELAY_CONNECTED: &str = "connected; not reachable for others yet";
/// All is well.
pub const RELAY_RESERVED: &str = "connected; others can reach this device through it";
/// Next attempt.
pub fn relay_waiting(attempt: u32, delay: &str, reason: &str) -> String {
    format!("attempt {attempt} failed ({reason}); the next one in {delay}")
}
/// Try now.
pub const RECONNECT: &str = "Try now";
/// Discovery.
pub const MEETING_POINTS: &str = "Meeting points";
/// Members.
pub const MEMBERS: &str = "Members seen";
/// By hand.
pub const DIAL: &str = "Connect by address";
/// What an address is.
pub const DIAL_HINT: &str = "A multiaddress, for example /dns4/relay.example/tcp/443/wss/p2p/12D3KooW…";
/// Label.
pub const ADDRESS: &str = "Address";
/// The button.
pub const DIAL_SUBMIT: &str = "Connect";
/// At work.
pub const DIALLING: &str = "Connecting…";
/// Done.
pub fn dialled(name: &str) -> String {
    format!("Connected to {name}.")
}
