//! What a handle asks of the driver.

use futures::channel::oneshot;
use js_sys::Uint8Array;
use libp2p::Multiaddr;
use node_proto::ids::{Hash, ModelId, NodeId};
use node_proto::io::Command;
use node_proto::storage::Keep;

use crate::backup::Backup;
use crate::error::{BackupError, CommandError, StorageError};
use crate::status::{Backend, LoadReport};

/// Orders that wait for the driver.
pub(crate) const ORDERS_MAX: usize = 256;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, CommandError>>;

pub(crate) type BackupReply<T> = oneshot::Sender<Result<T, BackupError>>;

pub(crate) type StorageReply<T> = oneshot::Sender<Result<T, StorageError>>;

/// One thing to do. A reply that nobody waits for any more is dropped silently.
pub(crate) enum Order {
    /// Hand this to the core.
    Core(Command),
    /// Connect to an address typed by hand; answers who is there.
    Dial {
        address: Multiaddr,
        reply: Reply<NodeId>,
    },
    /// Make a model ready.
    Load {
        model: ModelId,
        pin: Option<Backend>,
        reply: Reply<LoadReport>,
    },
    /// Forget a model and free what can be freed.
    Unload { model: ModelId },
    /// Try the relay now instead of waiting for the next attempt.
    Reconnect,
    /// Have an own blob kept by others.
    Keep {
        keep: Box<Keep>,
        content: Vec<u8>,
        reply: StorageReply<()>,
    },
    /// Bring a blob back.
    Retrieve {
        blob: Hash,
        bytes: u32,
        from: Option<NodeId>,
        reply: StorageReply<Vec<u8>>,
    },
    /// Write everything that is durable into a file.
    Export {
        passphrase: String,
        reply: BackupReply<Uint8Array>,
    },
    /// Close everything and put a backup in place.
    Restore { backup: Backup, reply: BackupReply<()> },
    /// Close everything.
    Stop {
        taken_over: bool,
        reply: oneshot::Sender<()>,
    },
}
