//! Buying computations on the Market page.

use super::count;

/// Heading.
pub const HEADING: &str = "Have a program run on other devices";
/// Under it.
pub const HINT: &str = "A WebAssembly module without access to anything runs once for each input, wherever a device offers that. Results are the same bytes on every machine, so a second device can check them; only the work that was used is paid.";
/// Which one.
pub const PROGRAM: &str = "Program";
/// One's own.
pub const OWN: &str = "A module of your own…";
/// The list did not come.
pub const NO_LIST: &str =
    "The programs of this site cannot be listed now: close this and open it again to try once more.";
/// A program did not come.
pub const NOT_FETCHED: &str = "The program could not be fetched: try again.";
/// Opens the file dialog.
pub const CHOOSE_MODULE: &str = "Choose a .wasm file";
/// Label of the field.
pub const INPUT: &str = "Input";
/// For programs whose input is no text.
pub const INPUT_HEX: &str = "Input (hexadecimal)";
/// More than one.
pub const CHOOSE_INPUTS: &str = "Take files instead, each an input";
/// After they were chosen.
pub fn inputs(number: usize) -> String {
    count(number, "file is an input", "files are inputs")
}
/// Back to the field.
pub const TYPE_AGAIN: &str = "Type the input instead";
/// Label of the limit.
pub const FUEL: &str = "Most work for one input";
/// Its choices: units of fuel, and what to expect of them.
pub const FUELS: [(u64, &str); 4] = [
    (1 << 28, "a blink"),
    (1 << 32, "about a second"),
    (1 << 34, "about five seconds"),
    (1 << 36, "about twenty seconds"),
];
/// Before anything leaves the device.
pub fn privacy(scope: &str) -> String {
    format!(
        "The program and its inputs go to devices in “{scope}” that offer to run them. Their owners could read them; the relay cannot."
    )
}
/// Anyone.
pub const PRIVACY_ANYONE: &str = "The program and its inputs may go to any device that offers to run them, also outside your group. Their owners could read them; the relay cannot.";
/// The button.
pub const RUN: &str = "Run";
/// Gives up what is not done.
pub const CANCEL: &str = "Cancel";
/// How far.
pub fn progress(done: usize, all: usize) -> String {
    format!("{done} of {} done", count(all, "input", "inputs"))
}
/// What it came to.
pub fn bill(price: &str, devices: usize, checked: usize, all: usize) -> String {
    format!(
        "{price}, from {}; {checked} of {all} checked by a second device",
        count(devices, "device", "devices")
    )
}
/// Nothing chosen.
pub const NO_PROGRAM: &str = "Choose a program first.";
/// The field cannot be read.
pub const NO_HEX: &str = "The input is not hexadecimal: two digits for each byte.";
/// The file cannot be read.
pub const UNREADABLE: &str = "The browser could not read the file.";
/// Not text.
pub fn output(bytes: &str) -> String {
    format!("{bytes} that are no text")
}
/// Saves an output.
pub const SAVE: &str = "Save";
/// The field's own input.
pub const TYPED: &str = "Input";
