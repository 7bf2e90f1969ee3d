//! The shared library, as far as one device holds it: documents cut into passages, their vectors, and the search among them.
//!
//! Like the network's core it knows no clock, randomness, browser or file. Texts, vectors and the time come in; answers and
//! what must be kept come out. The same code runs in a tab, in a native test and in the simulator.
//!
//! ```text
//!  text ──▶ add, edit, forget ──▶ [`Library`] ──▶ take_writes ──▶ the shell keeps them ──▶ [`Loader`] at the next start
//!                                  │      ▲
//!            waiting ◀─────────────┘      └────── put_vector
//!               └──▶ the shell reads the piece, a model embeds the passage ──▶─┘
//!
//!  question ──▶ a model ──▶ search ──▶ [`Hit`]s ──▶ locate ──▶ the shell reads the piece ──▶ [`PassageText`]
//! ```
//!
//! A **document** is a text under its name, the BLAKE3 hash of it ([`blob`]), with where it comes from and who may see it. The same text
//! is one document, however often it is added. HTML becomes Markdown before it gets its name.
//!
//! ```text
//!  add ──▶ there ──forget──▶ forgotten ──erase──▶ gone ──undo_forget──▶ may be added again
//!            ▲                  │
//!            └───undo_forget────┘          there ──edit──▶ gone, replaced by the next version
//! ```
//!
//! What is gone leaves a [`Tombstone`]: a copy of the text that comes back from elsewhere is refused.
//!
//! A **passage** is a range of a document's text, short enough for a model ([`cut`]). For each model in use it has a vector or
//! waits for one. A vector is one byte a component and one scale ([`index`]), and every question looks at all of them.
//!
//! Memory holds the tables of passages and the vectors: about 22 MB for 50,000 passages of 384 dimensions. Texts are on the
//! disk alone, in **pieces** of bounded length ([`pieces`]), and are proved when they are read. A damaged piece is refused on its
//! own; vectors that are lost with one are waited for again.
//!
//! Of what others know, a device has summaries, and asks those whose knowledge lies near a question ([`overlay`]).
//!
//! Everything that comes in is bounded by [`Limits`], and time and memory grow in proportion to it.
//!
//! ```
//! use library::{Kind, Library, Limits, NewDocument, Provenance, Scope};
//!
//! const MODEL: [u8; 32] = [1; 32];
//! let mut library = Library::new(Limits::default())?;
//! library.open_model(MODEL, 2)?;
//! let provenance = Provenance { title: "Bread".into(), added_at_ms: 1_700_000_000_000, ..Provenance::default() };
//! library.add(NewDocument { kind: Kind::Markdown, text: "# Dough\nKnead it well.", provenance })?;
//! for passage in library.waiting(&MODEL, None, 32) {
//!     library.put_vector(&MODEL, passage, &[0.6, 0.8])?;
//! }
//! let hits = library.search(&MODEL, &[0.6, 0.8], 10, Scope::Device)?;
//! assert!(hits[0].cosine > 0.99);
//! assert_eq!(library.take_writes().len(), 3); // vectors, text, document
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cut;
mod document;
pub mod index;
mod library;
mod limits;
pub mod overlay;
pub mod pieces;

pub use blob::Name;
pub use cut::TextError;
pub use document::{Kind, Provenance, Scope, UnknownKind};
pub use index::VectorError;
pub use library::{
    Added, Hit, Library, LibraryError, Loader, ModelError, NewDocument, PassageId, PassageText, Place,
};
pub use limits::{Limits, LimitsError};
pub use pieces::{Document, ModelId, PieceError, Tombstone, Write};
