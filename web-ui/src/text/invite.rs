//! The invitation.

/// Title.
pub const TITLE: &str = "Invite to your group";
/// The secret.
pub const HINT: &str = "Whoever opens this link, on any device, is in your group. Its secret is the part behind #, which is never sent to a server: show it only to those you mean.";
/// Label of the link.
pub const LINK: &str = "Link";
/// Copies it.
pub const COPY: &str = "Copy";
/// Done.
pub const COPIED: &str = "Copied.";
/// The clipboard refused.
pub const COPY_FAILED: &str = "The browser did not allow copying: select the link and copy it by hand.";
/// Shares it.
pub const SHARE: &str = "Share…";
/// The picture's name.
pub const QR: &str = "QR code of the link";
/// The plain address.
pub const OPEN_HINT: &str = "The plain address, without the part behind #, leads to the relay's open group: whoever opens it sees and answers the others there.";
/// Back.
pub const LEAVE: &str = "Leave your group, back to everyone here";
/// After leaving.
pub const LEFT: &str = "You are with everyone here again. Whoever has the invitation is still in the group.";
/// The way back.
pub const UNDO: &str = "Back to the group";
/// No way back.
pub const FORGET: &str = "Forget it";
/// localhost.
pub const LOCAL_ONLY: &str = "This address works on this machine only. Start the relay with --lan to invite phones and other computers.";
/// No plain http on phones.
pub const INSECURE: &str =
    "This address is not secure (http): browsers on other devices will not keep a key or use graphics there.";
