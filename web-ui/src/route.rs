//! The part of the address behind `#`: which page is open, or an invitation.
//!
//! A fragment never reaches a server, which is why a group's secret travels there. It is taken out of the address bar as
//! soon as it was read, so that it is not shared by accident with a screenshot or a copied address.

/// The pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Page {
    /// What do we know about this?
    #[default]
    Ask,
    /// Who offers what, at what price, and why that price?
    Market,
    /// Whom can I rely on, and how sure is that?
    Reputation,
    /// What does my device do, and how much?
    Node,
    /// Who is connected, and how?
    Network,
}

impl Page {
    /// In the order of the navigation.
    pub const ALL: [Self; 5] = [
        Self::Ask,
        Self::Market,
        Self::Reputation,
        Self::Node,
        Self::Network,
    ];

    /// Its name in the address and in test ids.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Market => "market",
            Self::Reputation => "reputation",
            Self::Node => "node",
            Self::Network => "network",
        }
    }

    /// The fragment that opens it.
    pub fn href(self) -> String {
        format!("#/{}", self.slug())
    }
}

/// What a fragment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// Open a page.
    Page(Page),
    /// Join a group. The text is handed to the node as it is, which alone judges whether it is a secret.
    Invite(String),
    /// Nothing that is known here.
    Other,
}

/// Longest invitation that is looked at; a secret is far shorter.
const INVITE_CHARS_MAX: usize = 256;

impl Fragment {
    /// Reads a fragment with or without its `#`. None at all is the first page.
    pub fn parse(fragment: &str) -> Self {
        let body = fragment.strip_prefix('#').unwrap_or(fragment);
        if let Some(secret) = body.strip_prefix("g=") {
            return Self::Invite(secret.chars().take(INVITE_CHARS_MAX).collect());
        }
        match body.trim_matches('/') {
            "" => Self::Page(Page::default()),
            slug => Page::ALL
                .into_iter()
                .find(|page| page.slug() == slug)
                .map_or(Self::Other, Self::Page),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_finds_its_way_back() {
        for page in Page::ALL {
            assert_eq!(Fragment::parse(&page.href()), Fragment::Page(page));
        }
        for empty in ["", "#", "#/"] {
            assert_eq!(Fragment::parse(empty), Fragment::Page(Page::Ask), "{empty}");
        }
        for unknown in ["#/nowhere", "#g", "#main"] {
            assert_eq!(Fragment::parse(unknown), Fragment::Other, "{unknown}");
        }
    }

    #[test]
    fn an_invitation_keeps_its_secret_and_is_bounded() {
        assert_eq!(Fragment::parse("#g=s3cret="), Fragment::Invite("s3cret=".into()));
        let Fragment::Invite(long) = Fragment::parse(&format!("#g={}", "x".repeat(10_000))) else {
            panic!("an invitation");
        };
        assert_eq!(long.len(), INVITE_CHARS_MAX);
    }
}
