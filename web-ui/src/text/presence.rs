//! Who is here.

use super::count;

/// Everything is as it should be.
pub fn here(others: usize) -> String {
    match others {
        1 => "You are here. 1 other is here.".to_owned(),
        n => format!("You are here. {n} others are here."),
    }
}
/// The first seconds.
pub const LOOKING: &str = "You are here. Looking for others…";
/// Found, not yet connected.
pub fn connecting(others: usize) -> String {
    format!(
        "You are here. Connecting to {}…",
        count(others, "other", "others")
    )
}
/// Nobody.
pub const ALONE: &str =
    "You are here. The relay answers, but nobody else is here yet: press Invite for a link to share.";
/// No relay.
pub const NO_RELAY: &str = "The relay does not answer, so nobody can be found. Trying again by itself.";
/// No direct path.
pub const NO_DIRECT: &str = "Your network blocks direct connections: answers come through the relay, slower.";
/// No network.
pub const OFFLINE: &str = "You are offline.";
