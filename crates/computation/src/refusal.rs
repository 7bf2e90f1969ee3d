//! Why a module is not run at all.

use std::fmt;

use thiserror::Error;

/// Longest text of somebody else's that an error repeats, in bytes.
const QUOTE_BYTES_MAX: usize = 160;

/// Why a module was refused. The same module is refused everywhere, and for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// More of something than a limit allows.
    #[error("{part}: {found}, and at most {limit} are taken")]
    TooMuch {
        /// Of what.
        part: Part,
        /// How much there is.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// Not WebAssembly, or WebAssembly with features that are not the same everywhere.
    #[error("not a module that can be run here: {reason} (at byte {offset})")]
    Invalid {
        /// What the validator said.
        reason: String,
        /// Where.
        offset: u64,
    },
    /// It wants something from outside.
    #[error("it imports {module}.{name}, but a module is given nothing except its input")]
    Import {
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
    },
    /// It would run code before it is called.
    #[error("it has a start function, but only `alloc` and `run` are called")]
    Start,
    /// Part of the calling convention is missing.
    #[error("it must export {export}")]
    Convention {
        /// The export, as a person would write it.
        export: &'static str,
    },
    /// It would trap before it is called.
    #[error("{part}: one lies outside of the memory or the table that the module starts with")]
    OutOfBounds {
        /// Data or element segments.
        part: Part,
    },
}

/// A part of a module that is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The whole module.
    ModuleBytes,
    /// The whole module with its meters.
    InstrumentedBytes,
    /// Function types.
    Types,
    /// Parameters or results of one type.
    Arity,
    /// Functions.
    Functions,
    /// Globals.
    Globals,
    /// Exports.
    Exports,
    /// Entries of a table.
    TableElements,
    /// Data segments.
    DataSegments,
    /// Element segments.
    ElementSegments,
    /// The code of one function.
    BodyBytes,
    /// Blocks within blocks.
    Nesting,
    /// Locals and operands of one function.
    FrameSlots,
    /// Memory at the start.
    MemoryPages,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ModuleBytes => "bytes of the module",
            Self::InstrumentedBytes => "bytes of the module with its meters",
            Self::Types => "function types",
            Self::Arity => "parameters or results of one function",
            Self::Functions => "functions",
            Self::Globals => "global variables",
            Self::Exports => "exports",
            Self::TableElements => "entries of the table",
            Self::DataSegments => "data segments",
            Self::ElementSegments => "element segments",
            Self::BodyBytes => "bytes of one function",
            Self::Nesting => "blocks within blocks",
            Self::FrameSlots => "stack slots of one function",
            Self::MemoryPages => "pages of memory at the start",
        })
    }
}

impl Refusal {
    /// Refuses what is beyond its limit.
    pub(crate) fn beyond(part: Part, found: impl TryInto<u64>, limit: impl TryInto<u64>) -> Result<(), Self> {
        // What does not fit into 64 bits is beyond any limit.
        let found = found.try_into().unwrap_or(u64::MAX);
        let limit = limit.try_into().unwrap_or(u64::MAX);
        if found > limit {
            return Err(Self::TooMuch { part, found, limit });
        }
        Ok(())
    }
}

impl From<wasmparser::BinaryReaderError> for Refusal {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid {
            reason: quote(error.message()),
            offset: error.offset(),
        }
    }
}

/// The beginning of a text that came from outside.
pub(crate) fn quote(text: &str) -> String {
    if text.len() <= QUOTE_BYTES_MAX {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(QUOTE_BYTES_MAX)])
}
