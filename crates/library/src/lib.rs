//! placeholder
pub mod cut;
pub mod document;
pub mod index;
mod library;
mod limits;
pub mod pieces;
pub use blob::Name;
pub use cut::TextError;
pub use document::{Kind, Provenance, Scope, UnknownKind};
pub use index::VectorError;
pub use library::{
    Added, Hit, Library, LibraryError, Loader, ModelError, NewDocument, PassageId, PassageText, Place,
};
pub use limits::{Limits, LimitsError};
pub use pieces::{Document, ModelId, PIECE_BYTES_MAX, PieceError, Tombstone, Write};
