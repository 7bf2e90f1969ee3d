//! What a document is besides its text: where it comes from, and who may see it.

use minicbor::{Decode, Encode};

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Paragraphs between blank lines; neighbours share a passage while they fit.
    Plain,
    /// The same, each paragraph a passage of its own: notes, of which one has nothing to do with the next.
    Notes,
    /// Markdown: headings, fenced code, lists; everything else counts as text.
    Markdown,
    /// HTML. It becomes Markdown when it is taken, and is Markdown from then on.
    Html,
}

/// A file or share of a kind that is not text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no plain text, Markdown or HTML")]
pub struct UnknownKind(pub String);

impl Kind {
    /// By the name of a file.
    ///
    /// # Errors
    /// If its ending is none of a text's.
    pub fn of_file(name: &str) -> Result<Self, UnknownKind> {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending.to_ascii_lowercase().as_str() {
            "txt" | "text" => Ok(Self::Plain),
            "md" | "markdown" => Ok(Self::Markdown),
            "html" | "htm" | "xhtml" => Ok(Self::Html),
            _ => Err(UnknownKind(excerpt(name))),
        }
    }

    /// By the media type that a browser gives with a file or share; parameters after a `;` are ignored.
    ///
    /// # Errors
    /// If it is none of a text.
    pub fn of_media_type(media_type: &str) -> Result<Self, UnknownKind> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "text/plain" => Ok(Self::Plain),
            "text/markdown" => Ok(Self::Markdown),
            "text/html" | "application/xhtml+xml" => Ok(Self::Html),
            _ => Err(UnknownKind(excerpt(media_type))),
        }
    }
}

/// So much of a name that a message stays readable.
fn excerpt(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Who may see a document, from the narrowest to the widest; the scopes of the network's requests, with the same numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Scope {
    /// This device only.
    #[n(0)]
    Device = 0,
    /// The person's own devices.
    #[n(1)]
    Own = 1,
    /// Members of the group.
    #[default]
    #[n(2)]
    Group = 2,
    /// Anyone.
    #[n(3)]
    Anyone = 3,
}

/// Where a document comes from. Nothing of it is part of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Provenance {
    /// For people; empty if there is none.
    #[n(0)]
    pub title: String,
    /// A file's name, an address, or whatever the person says.
    #[n(1)]
    pub source: Option<String>,
    /// Who wrote it.
    #[n(2)]
    pub author: Option<String>,
    /// When it was added, milliseconds since the Unix epoch.
    #[n(3)]
    pub added_at_ms: u64,
    /// Who may see it.
    #[n(4)]
    pub scope: Scope,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_name_and_media_type() {
        assert_eq!(Kind::of_file("Notes.MD"), Ok(Kind::Markdown));
        assert_eq!(Kind::of_file("a.b.txt"), Ok(Kind::Plain));
        assert_eq!(Kind::of_file("photo.jpg"), Err(UnknownKind("photo.jpg".into())));
        assert!(Kind::of_file("README").is_err());
        assert_eq!(Kind::of_media_type("text/html; charset=utf-8"), Ok(Kind::Html));
        assert!(Kind::of_media_type("application/pdf").is_err());
    }

    #[test]
    fn scopes_are_ordered_from_narrow_to_wide() {
        assert!(Scope::Device < Scope::Own && Scope::Own < Scope::Group && Scope::Group < Scope::Anyone);
    }
}
