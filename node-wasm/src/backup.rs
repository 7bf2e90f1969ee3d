//! A device's identity and its ledger as one encrypted file, and the way back.
//!
//! ```text
//! file   = header ‖ AES-GCM-256(secret (32) ‖ the core's file) ‖ SHA-256 of everything before it
//! header = "KNOWBKUP" ‖ format (1) ‖ salt (16) ‖ nonce (12)
//! ```
//!
//! The key is PBKDF2-SHA-256 of the passphrase and the salt; the header is authenticated with the rest. The checksum tells
//! a file that was cut or changed on its way from a passphrase that is not the right one, which the cipher cannot. What
//! the ledger's part holds is [`node_proto::backup`]'s.
//!
//! Putting a backup in place is all or nothing. Of the same identity it is merged into the ledger by one transaction. Of
//! another one its ledger is written to a database of its own first; then one transaction makes key and database the
//! device's. Until then the device is what it was, and the merged ledger has been read by the core once before anything is
//! written.

use std::collections::BTreeMap;

use js_sys::Uint8Array;
use node_proto::backup::{self as core, BACKUP_BYTES_MAX};
use node_proto::ids::{NodeId, Timestamp};
use node_proto::io::Write;
use node_proto::sign::{Ed25519Signer, Signer as _};
use node_proto::{Config, Group, Node};
use wasm_bindgen::JsValue;
use web_sys::SubtleCrypto;

use crate::crypto::{self, NONCE_BYTES};
use crate::error::{BackupError, PASSPHRASE_CHARS_MIN};
use crate::store::ledger::{Ledger, Pair};
use crate::store::settings::Settings;
use crate::store::{Database, StoreError};
use crate::{identity, platform};

const MAGIC: &[u8; 8] = b"KNOWBKUP";
const FORMAT: u8 = 1;
const SALT_BYTES: usize = 16;
const SALT: usize = MAGIC.len() + 1;
const NONCE: usize = SALT + SALT_BYTES;
const HEADER_BYTES: usize = NONCE + NONCE_BYTES;
const SECRET_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 32;

/// Largest file that is opened. A page refuses a larger one before it reads it.
pub const FILE_BYTES_MAX: usize = HEADER_BYTES + SECRET_BYTES + BACKUP_BYTES_MAX + TAG_BYTES + CHECKSUM_BYTES;

/// An opened backup.
pub(crate) struct Backup {
    secret: [u8; SECRET_BYTES],
    file: Vec<u8>,
}

/// Everything that is durable now, under a passphrase.
pub(crate) async fn export(
    settings: &Settings,
    ledger: &Ledger,
    passphrase: &str,
) -> Result<Uint8Array, BackupError> {
    if passphrase.chars().count() < PASSPHRASE_CHARS_MIN {
        return Err(BackupError::WeakPassphrase);
    }
    let subtle = subtle()?;
    let secret = identity::secret(&subtle, settings).await?;
    let secret = secret.ok_or(BackupError::Temporary)?;
    let file = core::export(owner(&secret), ledger.load().await?);
    let plain = joined(&[
        &Uint8Array::from(secret.as_slice()),
        &Uint8Array::from(file.as_slice()),
    ]);
    let random: [u8; SALT_BYTES + NONCE_BYTES] =
        platform::random().map_err(|error| BackupError::Storage(error.to_string()))?;
    let header = [MAGIC.as_slice(), &[FORMAT], &random].concat();
    let key = key(&subtle, passphrase, &header).await?;
    let nonce = nonce(&header);
    let encrypted = crypto::encrypt(&subtle, &key, &nonce, &header, &plain);
    let body = joined(&[
        &Uint8Array::from(header.as_slice()),
        &encrypted.await.map_err(failed)?,
    ]);
    let checksum = crypto::sha256(&subtle, &body).await.map_err(failed)?;
    Ok(joined(&[&body, &checksum]))
}

impl Backup {
    /// Decrypts a file.
    pub(crate) async fn open(file: &Uint8Array, passphrase: &str) -> Result<Self, BackupError> {
        let bytes = file.length() as usize;
        if bytes > FILE_BYTES_MAX {
            return Err(BackupError::TooLarge);
        }
        let header = file.subarray(0, HEADER_BYTES as u32).to_vec();
        match header.strip_prefix(MAGIC).and_then(<[u8]>::first) {
            None => return Err(BackupError::Damaged),
            Some(&FORMAT) => {}
            Some(format) => return Err(BackupError::UnknownFormat((*format).into())),
        }
        if bytes < HEADER_BYTES + SECRET_BYTES + TAG_BYTES + CHECKSUM_BYTES {
            return Err(BackupError::Damaged);
        }
        let end = (bytes - CHECKSUM_BYTES) as u32;
        let subtle = subtle()?;
        let checksum = crypto::sha256(&subtle, &file.subarray(0, end)).await;
        if checksum.map_err(failed)?.to_vec() != file.subarray(end, bytes as u32).to_vec() {
            return Err(BackupError::Damaged);
        }
        let key = key(&subtle, passphrase, &header).await?;
        let encrypted = file.subarray(HEADER_BYTES as u32, end);
        let plain = crypto::decrypt(&subtle, &key, &nonce(&header), &header, &encrypted).await;
        let plain = plain.map_err(|_| BackupError::WrongPassphrase)?;
        let mut secret = [0; SECRET_BYTES];
        plain.subarray(0, SECRET_BYTES as u32).copy_to(&mut secret);
        let file = plain.subarray(SECRET_BYTES as u32, plain.length()).to_vec();
        Ok(Self { secret, file })
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> NodeId {
        owner(&self.secret)
    }

    /// Makes it what this device is; `ledger` is the one of `me`, who is at work here so far and has stopped.
    pub(crate) async fn put(
        &self,
        settings: &Settings,
        ledger: &Ledger,
        me: NodeId,
    ) -> Result<(), BackupError> {
        if self.owner() == me {
            return Ok(ledger.write(&self.onto(ledger.load().await?)?).await?);
        }
        let subtle = subtle()?;
        let former = identity::ledger_name(settings).await?;
        let name = format!("{}/ledger/{}", settings.storage(), self.owner());
        let own = Ledger::open(&name).await?;
        // What an attempt left behind that was interrupted is merged like anything else.
        own.write(&self.onto(own.load().await?)?).await?;
        own.close();
        identity::replace(&subtle, settings, &self.secret, &name).await?;
        ledger.close();
        // Nothing leads to it any more: one that stays takes room and does no harm.
        let _ = Database::remove(&former).await;
        Ok(())
    }

    /// What is to be written over what is stored, once the core has read the result.
    fn onto(&self, present: Vec<Pair>) -> Result<Vec<Write>, BackupError> {
        let mut pairs: BTreeMap<Vec<u8>, Vec<u8>> = present.into_iter().collect();
        let writes = core::import(self.owner(), &self.file, &pairs).map_err(|error| match error {
            core::BackupError::UnknownFormat(format) => BackupError::UnknownFormat(format),
            core::BackupError::Damaged | core::BackupError::OtherIdentity => BackupError::Damaged,
        })?;
        for write in &writes {
            if let Write::Put { key, value } = write {
                pairs.insert(key.clone(), value.clone());
            }
        }
        let signer = Box::new(Ed25519Signer::from_secret(&self.secret));
        let pairs: Vec<Pair> = pairs.into_iter().collect();
        Node::new(Config::default(), signer, Group::open(), 0, Timestamp(0), pairs)
            .map_err(|_| BackupError::Damaged)?;
        Ok(writes)
    }
}

fn owner(secret: &[u8; SECRET_BYTES]) -> NodeId {
    Ed25519Signer::from_secret(secret).id()
}

fn subtle() -> Result<SubtleCrypto, BackupError> {
    crypto::subtle().ok().flatten().ok_or(BackupError::Temporary)
}

async fn key(
    subtle: &SubtleCrypto,
    passphrase: &str,
    header: &[u8],
) -> Result<web_sys::CryptoKey, BackupError> {
    crypto::key_of(subtle, passphrase, &header[SALT..NONCE])
        .await
        .map_err(failed)
}

fn nonce(header: &[u8]) -> Uint8Array {
    Uint8Array::from(&header[NONCE..])
}

/// Several arrays as one.
fn joined(parts: &[&Uint8Array]) -> Uint8Array {
    let joined = Uint8Array::new_with_length(parts.iter().map(|part| part.length()).sum());
    let mut at = 0;
    for part in parts {
        joined.set(part, at);
        at += part.length();
    }
    joined
}

fn failed(error: JsValue) -> BackupError {
    BackupError::Storage(platform::text_of(&error))
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::identity::Identity;

    const PASSPHRASE: &str = "four words that nobody guesses";

    /// A device with a kept identity and one pair in its ledger.
    async fn device(line: u8) -> (Settings, Ledger, NodeId) {
        let settings = Settings::open(&format!("test-{:x}", platform::dice()))
            .await
            .unwrap();
        let me = Identity::kept(&settings).await.unwrap().signer.id();
        let ledger = Ledger::open(&identity::ledger_name(&settings).await.unwrap())
            .await
            .unwrap();
        let mut node = Node::new(
            Config::default(),
            Box::new(Identity::kept(&settings).await.unwrap().signer),
            Group::open(),
            0,
            Timestamp(0),
            Vec::<Pair>::new(),
        )
        .unwrap();
        let command = node_proto::Command::CreditLine {
            member: Some(NodeId([line; 32])),
            line: node_proto::Line::Unlimited,
        };
        node.handle_input(Timestamp(0), node_proto::Input::Command(command));
        while let Some(output) = node.poll_output() {
            if let node_proto::Output::Persist { writes, .. } = output {
                ledger.write(&writes).await.unwrap();
            }
        }
        (settings, ledger, me)
    }

    async fn keys(ledger: &Ledger) -> Vec<Vec<u8>> {
        let pairs = ledger.load().await.unwrap();
        pairs.into_iter().map(|(key, _)| key).collect()
    }

    async fn opened(file: &Uint8Array, passphrase: &str) -> Result<NodeId, BackupError> {
        Backup::open(file, passphrase).await.map(|backup| backup.owner())
    }

    #[wasm_bindgen_test]
    async fn only_the_passphrase_opens_it_and_damage_is_told_apart() {
        let (settings, ledger, me) = device(1).await;
        let short = export(&settings, &ledger, "short").await;
        assert_eq!(short.err(), Some(BackupError::WeakPassphrase));
        let file = export(&settings, &ledger, PASSPHRASE).await.unwrap();
        assert_eq!(opened(&file, PASSPHRASE).await, Ok(me));
        assert_eq!(
            opened(&file, "another one").await,
            Err(BackupError::WrongPassphrase)
        );
        let whole = file.to_vec();
        for place in [0, SALT, NONCE, HEADER_BYTES, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            let damaged = Uint8Array::from(damaged.as_slice());
            assert_eq!(opened(&damaged, PASSPHRASE).await, Err(BackupError::Damaged));
        }
        for bytes in [0, 8, HEADER_BYTES, whole.len() - 1] {
            let cut = Uint8Array::from(&whole[..bytes]);
            assert_eq!(opened(&cut, PASSPHRASE).await, Err(BackupError::Damaged));
        }
        let mut newer = whole;
        newer[MAGIC.len()] = 2;
        let newer = opened(&Uint8Array::from(newer.as_slice()), PASSPHRASE).await;
        assert_eq!(newer, Err(BackupError::UnknownFormat(2)));
    }

    #[wasm_bindgen_test]
    async fn another_device_becomes_what_the_file_is_and_keeps_nothing_of_its_own() {
        let (settings, ledger, me) = device(1).await;
        let file = export(&settings, &ledger, PASSPHRASE).await.unwrap();
        let backup = Backup::open(&file, PASSPHRASE).await.unwrap();
        let (other, its_ledger, it) = device(2).await;
        let former = identity::ledger_name(&other).await.unwrap();
        backup.put(&other, &its_ledger, it).await.unwrap();
        assert_eq!(Identity::kept(&other).await.unwrap().signer.id(), me);
        let now = Ledger::open(&identity::ledger_name(&other).await.unwrap())
            .await
            .unwrap();
        let restored = keys(&now).await;
        assert!(keys(&ledger).await.iter().all(|key| restored.contains(key)));
        assert!(!restored.contains(&[b"c".as_slice(), &[2; 32]].concat()));
        let former = Ledger::open(&former).await.unwrap();
        assert_eq!(keys(&former).await, Vec::<Vec<u8>>::new());
    }

    #[wasm_bindgen_test]
    async fn on_the_same_identity_nothing_present_is_lost() {
        let (settings, ledger, me) = device(1).await;
        let file = export(&settings, &ledger, PASSPHRASE).await.unwrap();
        let later = Write::Put {
            key: [b"c".as_slice(), &[3; 32]].concat(),
            value: ledger.load().await.unwrap()[0].1.clone(),
        };
        ledger.write(&[later]).await.unwrap();
        let before = keys(&ledger).await;
        let backup = Backup::open(&file, PASSPHRASE).await.unwrap();
        backup.put(&settings, &ledger, me).await.unwrap();
        let after = keys(&ledger).await;
        assert!(before.iter().all(|key| after.contains(key)));
    }

    #[wasm_bindgen_test]
    async fn a_file_that_the_core_refuses_changes_nothing() {
        let (settings, ledger, me) = device(1).await;
        let secret = [9; SECRET_BYTES];
        let nonsense = core::export(owner(&secret), [(vec![b'b'], vec![1, 2, 3])]);
        let backup = Backup {
            secret,
            file: nonsense,
        };
        assert_eq!(
            backup.put(&settings, &ledger, me).await,
            Err(BackupError::Damaged)
        );
        assert_eq!(Identity::kept(&settings).await.unwrap().signer.id(), me);
    }
}
