//! Backing up and restoring.

/// Title of the section.
pub const TITLE: &str = "Back up";
/// What it is for.
pub const HINT: &str = "One file with this device's id, receipts and balance, locked with a passphrase. With it you go on after this browser's data were cleared, or from another device. Your texts and your group's invitation are not in it.";
/// Opens the dialog.
pub const BACK_UP: &str = "Back up…";
/// Chooses a file.
pub const RESTORE_FROM: &str = "Restore from a file";
/// Title of the dialog for the way back.
pub const RESTORE: &str = "Restore";
/// Title when it would replace another identity.
pub const REPLACE: &str = "Replace this device's identity?";
/// First field.
pub const PASSPHRASE: &str = "Passphrase";
/// Second field.
pub const REPEAT: &str = "The same once more";
/// What a passphrase is for.
pub const PASSPHRASE_HINT: &str = "At least 8 characters; four or five random words are good. Nobody can open the file without it, and nobody can reset it: write it down.";
/// They differ.
pub const MISMATCH: &str = "The two passphrases differ.";
/// What restoring does.
pub const RESTORE_HINT: &str = "Type the passphrase that this file was locked with.";
/// The file is of somebody else.
pub fn replace_hint(theirs: &str, mine: &str, balance: &str) -> String {
    format!(
        "The file is of {theirs}. This device is {mine}, with a balance of {balance}. It becomes {theirs}; its own id, receipts and balance are gone then, unless you back them up first."
    )
}
/// The careful way.
pub const FIRST: &str = "Back up this device first";
/// The step that cannot be undone.
pub const REPLACE_NOW: &str = "Replace it";
/// Makes the file.
pub const SAVE: &str = "Save the file";
/// Leaves the dialog.
pub const CANCEL: &str = "Cancel";
/// At work.
pub const LOCKING: &str = "Locking the file…";
/// At work.
pub const OPENING: &str = "Opening the file…";
/// The file is on its way.
pub const SAVED: &str = "The backup went to your downloads. Keep it apart from the passphrase, and make a new one now and then: receipts newer than the file must be fetched from those you traded with.";
/// It is done.
pub fn restored(id: &str) -> String {
    format!(
        "Restored. This device is {id}: use that id here only from now on. Before its next trade it asks the others for receipts newer than the file."
    )
}
/// Refused before it is read.
pub const TOO_LARGE: &str = "This file is too large to be a backup. Nothing was changed.";
/// The browser could not read it.
pub const UNREADABLE: &str = "The browser could not read this file. Nothing was changed.";
/// What went wrong, and what was kept.
pub fn refused(reason: &str) -> String {
    format!("{reason}. Nothing was changed.")
}
