//! Invites: a link whose fragment carries a group's secret.
//!
//! The fragment of an address is never sent to a server, so the relay that serves the page learns nothing of the
//! secret. Whoever opens the link is in the group.

use node_proto::group::{GroupSecret, InviteError};

/// The fragment's key.
const KEY: &str = "g=";

/// A group that people are invited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite(GroupSecret);

impl Invite {
    /// An invite to the group of a secret.
    #[must_use]
    pub fn new(secret: GroupSecret) -> Self {
        Self(secret)
    }

    /// Reads the text as it stands in a link after `#g=`.
    ///
    /// # Errors
    /// If it is damaged, or of a newer version.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        text.parse().map(Self)
    }

    /// Reads the fragment of the page's address, with or without `#`. `None`: it carries no invite.
    ///
    /// # Errors
    /// If there is an invite and it is damaged.
    pub fn from_fragment(fragment: &str) -> Result<Option<Self>, InviteError> {
        let fragment = fragment.strip_prefix('#').unwrap_or(fragment);
        fragment
            .split('&')
            .find_map(|pair| pair.strip_prefix(KEY))
            .map(Self::parse)
            .transpose()
    }

    /// The text that [`parse`](Self::parse) reads.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.to_invite()
    }

    /// The link that invites to the group, on the page at `origin`.
    #[must_use]
    pub fn link(&self, origin: &str) -> String {
        format!("{}/#{KEY}{}", origin.trim_end_matches('/'), self.text())
    }

    /// The secret itself.
    #[must_use]
    pub fn secret(&self) -> &GroupSecret {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_survives_the_way_through_an_address_bar() {
        let invite = Invite::new(GroupSecret::from_bytes([7; 32]));
        let link = invite.link("https://relay.example/");
        let (page, fragment) = link.split_once('#').unwrap();
        assert_eq!(page, "https://relay.example/");
        assert_eq!(Invite::from_fragment(fragment), Ok(Some(invite.clone())));
        assert_eq!(
            Invite::from_fragment(&format!("#x=1&{fragment}")),
            Ok(Some(invite))
        );
    }

    #[test]
    fn a_fragment_without_invite_is_the_open_group() {
        assert_eq!(Invite::from_fragment(""), Ok(None));
        assert_eq!(Invite::from_fragment("#market"), Ok(None));
    }

    #[test]
    fn a_damaged_invite_is_refused() {
        let complete = Invite::new(GroupSecret::from_bytes([7; 32])).text();
        let cut = &complete[..complete.len() - 1];
        for wrong in ["", "abc", "!!!!!!!!!!!!!!!!!!!!!!", cut, &"A".repeat(1000)] {
            assert!(Invite::from_fragment(&format!("g={wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert!(!format!("{:?}", Invite::new(GroupSecret::from_bytes([7; 32]))).contains('7'));
    }
}
