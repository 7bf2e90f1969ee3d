//! Models of one's own, on the Node page.

/// The section.
pub const TITLE: &str = "Your models";
/// What it is for.
pub const HINT: &str = "Bring an ONNX file from this device, with its tokenizer.json and config.json if it reads text. It is checked and measured here; nothing is sent anywhere.";
/// The way in.
pub const BRING: &str = "Bring a model…";
/// Under way, first half.
pub fn reading(name: &str) -> String {
    format!("Reading {name}…")
}
/// Under way, at half.
pub fn checking(name: &str) -> String {
    format!("Checking and measuring {name}…")
}
/// Came in.
pub fn added(name: &str) -> String {
    format!("{name} is on this device.")
}
/// Did not.
pub fn refused(name: &str, reason: &str) -> String {
    format!("{name} was not added. {reason}.")
}
/// Nothing among the files can be one.
pub const NO_MODEL: &str = "None of these files is a model: its name ends in .onnx.";
/// Several at once.
pub const ONE_MODEL: &str = "Bring one .onnx file at a time.";
/// Nothing brought yet.
pub const EMPTY: &str = "None yet.";
/// One line: size, speed, backend.
pub fn facts(size: &str, speed: &str, backend: &str) -> String {
    format!("{size}, {speed} on {backend}")
}
/// A speed.
pub fn a_run(took: &str) -> String {
    format!("{took} a run")
}
/// Faster than that.
pub const A_MOMENT: &str = "under 1 ms a run";
/// No speed.
pub const NOT_MEASURED: &str = "not measured";
/// It goes with the page.
pub fn not_kept(reason: &str) -> String {
    format!("Only until this page is closed: the browser did not keep it ({reason}).")
}
/// Removes one.
pub const REMOVE: &str = "Remove";
/// Names which.
pub fn remove(name: &str) -> String {
    format!("Remove {name}")
}
/// Once more.
pub const REALLY: &str = "Its files are deleted from this browser.";
/// No.
pub const KEEP: &str = "Keep it";
/// Gone.
pub fn removed(name: &str) -> String {
    format!("{name} was removed.")
}
