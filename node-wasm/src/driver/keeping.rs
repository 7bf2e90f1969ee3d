//! Backups: making one beside the node's work, and putting one in place when the node has stopped.

use std::rc::Rc;

use futures::future::FutureExt as _;
use js_sys::Uint8Array;

use super::Driver;
use super::tasks::Done;
use crate::backup::{self, Backup};
use crate::error::BackupError;
use crate::order::BackupReply;
use crate::status::{IdentityStatus, TabStatus};
use crate::store::ledger::Ledger;
use crate::store::settings::Settings;

/// A backup that waits for the node's end, and for whom.
pub(super) struct Restoring {
    backup: Backup,
    settings: Rc<Settings>,
    reply: BackupReply<()>,
}

impl Driver {
    pub(super) fn export(&mut self, passphrase: String, reply: BackupReply<Uint8Array>) {
        let kept = self.kept();
        self.tasks.push(
            async move {
                let result = match kept {
                    Some((settings, ledger)) => backup::export(&settings, &ledger, &passphrase).await,
                    None => Err(BackupError::Temporary),
                };
                // Whoever asked may have gone.
                let _ = reply.send(result);
                Done::Kept
            }
            .boxed_local(),
        );
    }

    pub(super) fn restore(&mut self, backup: Backup, reply: BackupReply<()>) {
        let Some((settings, _)) = self.kept() else {
            let _ = reply.send(Err(BackupError::Temporary));
            return;
        };
        self.restoring = Some(Restoring {
            backup,
            settings,
            reply,
        });
        self.stopping = Some((TabStatus::Stopped, None));
    }

    /// Nothing writes to the ledger any more.
    pub(super) async fn put_in_place(&mut self) -> Option<(BackupReply<()>, Result<(), BackupError>)> {
        let Restoring {
            backup,
            settings,
            reply,
        } = self.restoring.take()?;
        let me = self.shared.status.borrow().me;
        let result = backup.put(&settings, &self.ledger, me).await;
        Some((reply, result))
    }

    /// Where a kept identity and its ledger are.
    fn kept(&self) -> Option<(Rc<Settings>, Rc<Ledger>)> {
        let kept = matches!(self.shared.status.borrow().identity, IdentityStatus::Kept { .. });
        let settings = self.settings.clone().filter(|_| kept)?;
        Some((settings, self.ledger.clone()))
    }
}
