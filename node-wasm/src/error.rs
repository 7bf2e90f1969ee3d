//! Everything that this crate refuses, with a stable code for programs and a sentence for people.

use inference::EngineError;
use node_proto::ids::NodeId;
use node_proto::service::Failure;

/// Why a node did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Another tab of this browser is the node. Start again with `take_over` to use it here.
    #[error("the node runs in another tab of this browser")]
    RunsElsewhere,
    /// The other tab did not let go in time.
    #[error("the other tab did not stop its node in time: close it and try again")]
    TakeOverTimeout,
    /// The options are out of bounds.
    #[error("the options are not valid: {0}")]
    InvalidOptions(String),
    /// The invite is not one.
    #[error(transparent)]
    InvalidInvite(#[from] node_proto::group::InviteError),
    /// The stored identity or ledger cannot be read; nothing was overwritten.
    #[error("what this browser stored cannot be read: {0}")]
    Storage(String),
    /// The browser lacks something that nothing can replace.
    #[error("this browser cannot run a node: {0}")]
    Unsupported(String),
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The node was stopped, here or by another tab.
    #[error("the node was stopped")]
    Stopped,
    /// Too many commands wait already.
    #[error("the node is busy: too many commands wait already")]
    Busy,
    /// The address cannot be dialled from a browser.
    #[error("this address cannot be used: {0}")]
    InvalidAddress(String),
    /// Nobody answered there.
    #[error("nobody could be reached there: {0}")]
    DialFailed(String),
    /// The model is not in the relay's list.
    #[error("this model is not in the relay's list")]
    UnknownModel,
    /// The model cannot be used here.
    #[error("the model cannot be used here: {0}")]
    Model(String),
}

impl StartError {
    /// Stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::RunsElsewhere => "runs_elsewhere",
            Self::TakeOverTimeout => "take_over_timeout",
            Self::InvalidOptions(_) => "invalid_options",
            Self::InvalidInvite(_) => "invalid_invite",
            Self::Storage(_) => "storage",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

impl CommandError {
    /// Stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Busy => "busy",
            Self::InvalidAddress(_) => "invalid_address",
            Self::DialFailed(_) => "dial_failed",
            Self::UnknownModel => "unknown_model",
            Self::Model(_) => "model",
        }
    }
}

/// Why a backup was not made or not put in place. What the device keeps is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// Too easily guessed.
    #[error("a passphrase needs at least {} characters", PASSPHRASE_CHARS_MIN)]
    WeakPassphrase,
    /// The file is whole, and another passphrase closed it.
    #[error("this passphrase does not open the file")]
    WrongPassphrase,
    /// Not a backup, cut short, or changed.
    #[error("this file is not a whole backup")]
    Damaged,
    /// Larger than any backup.
    #[error("this file is too large to be a backup")]
    TooLarge,
    /// Written by a newer version of this software.
    #[error("this backup was made by a newer version (format {0}): load the page again, then restore it")]
    UnknownFormat(u32),
    /// Of another identity, named here, and replacing this device's was not asked for.
    #[error("this backup is of another identity, {0}")]
    OtherIdentity(NodeId),
    /// There is nothing to back up, and nowhere to restore to.
    #[error("this browser keeps no identity here, so it can neither be backed up nor restored")]
    Temporary,
    /// The browser's database or encryption refused.
    #[error("the browser refused: {0}")]
    Storage(String),
    /// The node took no orders.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Why a computation has no outcome here. It is a matter of this device: nothing is said about the module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// The browser would not start the worker.
    #[error("the computation worker could not be started: {0}")]
    Spawn(String),
    /// The worker died, or answered what nobody asked. The next use starts another one.
    #[error("the computation worker stopped: {0}")]
    Crashed(String),
    /// The deadline passed, and whatever was under way was ended.
    #[error("the computation was not over in time and was stopped")]
    Timeout,
    /// The owner ended it.
    #[error("the computation was stopped")]
    Terminated,
    /// Too much waits already.
    #[error("too many computations wait already")]
    Busy,
    /// The site's modules, by which a device checks its engine, cannot be had.
    #[error("the modules that check this device cannot be had: {0}")]
    NoSample(String),
    /// This browser computes a module otherwise than other machines do, so nobody could use its outcomes.
    #[error("this browser computes the module \"{module}\" wrongly")]
    WrongAnswer {
        /// Its name in the site's list.
        module: String,
    },
}

/// Why a model that a person brought was not taken in, run or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No such model was brought to this device.
    #[error("no model of this name was brought to this device")]
    Unknown,
    /// The list is full.
    #[error(
        "this device keeps {} models already: remove one first",
        inference::limits::OWN_MODELS_MAX
    )]
    TooMany,
    /// It cannot be computed exactly, or its files are not what they seem. Says what stands in the way.
    #[error("{0}")]
    Refused(String),
    /// The browser has lost its files.
    #[error("{0}")]
    Missing(String),
    /// What was given does not fit the model or the limits; the model can be used on.
    #[error("{0}")]
    Input(String),
    /// The caller had enough.
    #[error("it was cancelled")]
    Cancelled,
    /// The worker failed; the next use starts another one.
    #[error("{0}")]
    Engine(String),
    /// The node took no orders.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Why a blob is not kept by others, or did not come back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// This browser keeps nothing, or cannot encrypt.
    #[error("this browser keeps nothing here, or cannot encrypt")]
    Unsupported,
    /// What was asked for is out of bounds.
    #[error("{0}")]
    Input(String),
    /// The disk refused.
    #[error("this device could not keep it: {0}")]
    Disk(String),
    /// Whoever kept it does not give it.
    #[error("it is not to be had: {0}")]
    NotThere(String),
    /// What came back is not what was given away, or the ticket is another one's.
    #[error("what came back cannot be opened with this ticket")]
    Sealed,
    /// The node took no orders.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl StorageError {
    /// Stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Input(_) => "invalid_input",
            Self::Disk(_) => "storage",
            Self::NotThere(_) => "not_held",
            Self::Sealed => "wrong_ticket",
            Self::Command(reason) => reason.code(),
        }
    }
}

impl ModelError {
    /// Stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_model",
            Self::TooMany => "too_many_models",
            Self::Refused(_) => "model_refused",
            Self::Missing(_) => "model_missing",
            Self::Input(_) => "invalid_input",
            Self::Cancelled => "cancelled",
            Self::Engine(_) => "engine",
            Self::Command(reason) => reason.code(),
        }
    }
}

impl From<EngineError> for ModelError {
    fn from(error: EngineError) -> Self {
        match &error {
            EngineError::Busy => Self::Command(CommandError::Busy),
            EngineError::Model(_) => Self::Refused(error.to_string()),
            EngineError::Missing => Self::Missing(error.to_string()),
            EngineError::Input(_) | EngineError::TooManyTexts { .. } | EngineError::TextTooLong { .. } => {
                Self::Input(error.to_string())
            }
            _ => Self::Engine(error.to_string()),
        }
    }
}

/// Least length of a passphrase.
pub const PASSPHRASE_CHARS_MIN: usize = 8;

impl BackupError {
    /// Stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WeakPassphrase => "weak_passphrase",
            Self::WrongPassphrase => "wrong_passphrase",
            Self::Damaged => "backup_damaged",
            Self::TooLarge => "backup_too_large",
            Self::UnknownFormat(_) => "backup_format",
            Self::OtherIdentity(_) => "other_identity",
            Self::Temporary => "temporary_identity",
            Self::Storage(_) => "storage",
            Self::Command(reason) => reason.code(),
        }
    }
}

/// Why a request came to nothing: the core's reason, or the shell's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// The trade failed.
    #[error(transparent)]
    Trade(#[from] Failure),
    /// The node took no commands.
    #[error(transparent)]
    Command(#[from] CommandError),
}
