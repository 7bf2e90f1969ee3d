//! The header and the notices.

/// Shown until the node runs.
pub const STARTING: &str = "Starting…";
/// The group of the plain address.
pub const OPEN_GROUP: &str = "Everyone here";
/// What the open group means.
pub const OPEN_GROUP_HINT: &str = "The relay's open group: whoever opens this address is in it.";
/// A group of one's own.
pub const OWN_GROUP: &str = "Your group";
/// What that means.
pub const OWN_GROUP_HINT: &str = "Only devices that opened the group's invitation are in it.";
/// The button.
pub const INVITE: &str = "Invite";
/// Beside the balance.
pub const BALANCE: &str = "Balance";
/// The title of the balance.
pub fn balance_hint(settled: &str, pending: &str, allowance: &str) -> String {
    format!(
        "{settled} settled, {pending} waiting for the other side's signature. Strangers let a newcomer owe up to {allowance}."
    )
}
/// No network.
pub const OFFLINE: &str = "You are offline. What is kept on this device stays readable; asking and lending go on when the network is back.";
/// A new version.
pub const UPDATE: &str = "A new version is ready. Running trades end before you switch; nothing is lost.";
/// Takes it.
pub const UPDATE_NOW: &str = "Reload now";
/// Leaves it.
pub const UPDATE_LATER: &str = "Later";
/// A second tab.
pub const OTHER_TAB: &str = "Your node runs in another tab of this browser. One device is one node: two with one key would spend the same credits twice.";
/// The node went to another tab.
pub const TAKEN_OVER: &str = "Your node moved to another tab of this browser.";
/// Takes it here.
pub const USE_HERE: &str = "Use it here";
/// While it moves.
pub const TAKING_OVER: &str = "Moving it here…";
/// The node did not start.
pub fn start_failed(reason: &str) -> String {
    format!("The node did not start: {reason}. What this browser keeps is unchanged.")
}
/// Tries again.
pub const TRY_AGAIN: &str = "Try again";
/// A page beyond the first is being fetched.
pub const PAGE_COMING: &str = "Fetching this page…";
/// It did not come.
pub const PAGE_FAILED: &str = "This page could not be fetched. It is needed from the relay once.";
/// A temporary identity.
pub const TEMPORARY_INSECURE: &str = "This address is not secure (http), so the browser keeps no key: identity and balance of this device last until the tab closes. Open the page by https to keep them.";
/// A browser without locks.
pub const TEMPORARY_NO_LOCKS: &str = "This browser cannot keep two tabs apart, so identity and balance of this device last until the tab closes.";
/// Private mode.
pub const TEMPORARY_NO_STORAGE: &str = "This browser keeps nothing (private mode or a full disk): identity and balance of this device last until the tab closes.";
/// The browser's settings store refuses.
pub const NOT_KEPT: &str = "This browser did not keep your texts: they are lost when the tab closes.";
