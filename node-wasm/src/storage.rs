//! Files that others keep for this device: encrypted here, and opened here with the ticket.
//!
//! What others get is `nonce ‖ AES-256-GCM(key, file)`. The key is drawn for each file and is in the ticket alone, which whoever stores
//! the file is given; it goes to nobody. Without the ticket the file is lost, and who has it can read the file wherever it is kept.

use js_sys::Uint8Array;
use node_proto::ids::{Hash, Millicredits, NodeId};
use node_proto::io::Command;
use node_proto::service::Scope;
use node_proto::storage::{Keep, StoredView};
use node_proto::verification::storage::{QUESTIONS_MAX, Questions};
use node_proto::work::STORED_BYTES_MAX;

use crate::crypto::{self, NONCE_BYTES};
use crate::error::{CommandError, StorageError};
use crate::handle::NodeHandle;
use crate::order::Order;
use crate::platform;

/// What AES-GCM adds.
const SEAL_BYTES: usize = 16;
/// The longest file that can be kept.
pub const FILE_BYTES_MAX: usize = STORED_BYTES_MAX as usize - NONCE_BYTES - SEAL_BYTES;
/// Questions beside those that are needed if all goes well: providers come and go.
const QUESTIONS_SPARE: u64 = 16;
const HOUR_MS: u64 = 3_600_000;

/// How a file is to be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoreOptions {
    /// By how many providers.
    pub copies: u32,
    /// For how long, hours.
    pub hours: u32,
    /// What is paid for at a time, hours.
    pub slice_hours: u32,
    /// The most that a slice may cost at one provider.
    pub price_max: Option<Millicredits>,
    /// Who may keep it. Nobody but the holder of the ticket can read it.
    pub scope: Scope,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            copies: 2,
            hours: 24 * 7,
            slice_hours: 24,
            price_max: None,
            scope: Scope::Group,
        }
    }
}

/// Names a file that others keep, and opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The name of what others keep.
    pub blob: Hash,
    /// How many bytes that has.
    pub bytes: u32,
    key: [u8; 32],
}

impl Ticket {
    /// As text: the blob's CID, its length and the key in hexadecimal digits, with points between them.
    #[must_use]
    pub fn text(&self) -> String {
        let key: String = self.key.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}.{}.{key}", blob::to_cid(&self.blob.0), self.bytes)
    }

    /// From text.
    ///
    /// # Errors
    /// If it is not a ticket.
    pub fn parse(text: &str) -> Result<Self, StorageError> {
        let parse = || {
            let mut parts = text.trim().split('.');
            let blob = Hash(blob::from_cid(parts.next()?).ok()?);
            let bytes = parts.next()?.parse().ok()?;
            let key: Hash = parts.next()?.parse().ok()?;
            let key = key.0;
            let ticket = Self { blob, bytes, key };
            (parts.next().is_none() && bytes <= STORED_BYTES_MAX).then_some(ticket)
        };
        parse().ok_or_else(|| StorageError::Input("this is not a ticket".to_owned()))
    }
}

impl NodeHandle {
    /// Encrypts a file and has it kept by others, beside this device as long as they do. Returns once it is written down here; that it is
    /// placed, and what becomes of it, come as [`Event::Stored`](node_proto::view::Event::Stored) and show in the snapshot.
    ///
    /// # Errors
    /// If the file is empty or too long, the options are out of bounds, or this browser keeps nothing or cannot encrypt.
    pub async fn store(&self, file: &Uint8Array, options: StoreOptions) -> Result<Ticket, StorageError> {
        let bytes = file.length() as usize;
        if bytes == 0 || bytes > FILE_BYTES_MAX {
            return Err(StorageError::Input(format!(
                "a file that others keep has between 1 and {FILE_BYTES_MAX} bytes"
            )));
        }
        let mut keep = Box::new(Keep {
            // What it is, is known once it is sealed.
            blob: Hash([0; 32]),
            bytes: (NONCE_BYTES + bytes + SEAL_BYTES) as u32,
            copies: options.copies,
            slice_hours: options.slice_hours,
            until: self.now().plus_ms(u64::from(options.hours) * HOUR_MS),
            scope: options.scope,
            price_max: options.price_max,
            questions: Questions::default(),
        });
        keep.check()
            .map_err(|failure| StorageError::Input(failure.to_string()))?;
        let slices = u64::from(options.hours.div_ceil(options.slice_hours));
        let questions = (slices + 1) * u64::from(options.copies) * 2 + QUESTIONS_SPARE;
        if slices == 0 || questions > QUESTIONS_MAX as u64 {
            return Err(StorageError::Input(
                "a file is kept for some slices of time, not none and not thousands".to_owned(),
            ));
        }
        let unsupported = |_| StorageError::Unsupported;
        let key = platform::random().map_err(unsupported)?;
        let nonce = platform::random().map_err(unsupported)?;
        let seed = u64::from_le_bytes(platform::random().map_err(unsupported)?);
        let content = seal(&key, &nonce, file).await?;
        keep.blob = Hash(blob::name_of(&content));
        keep.questions = Questions::prepare(seed, &self.status().me, &content, questions as usize);
        let ticket = Ticket {
            blob: keep.blob,
            bytes: keep.bytes,
            key,
        };
        self.ask(|reply| Order::Keep { keep, content, reply }).await?;
        Ok(ticket)
    }

    /// Brings a file back and opens it.
    ///
    /// # Errors
    /// If it is not a ticket, nobody is known to keep the file or gives it, or what came cannot be opened.
    pub async fn retrieve(&self, ticket: &Ticket, from: Option<NodeId>) -> Result<Uint8Array, StorageError> {
        let (blob, bytes) = (ticket.blob, ticket.bytes);
        let content = self
            .ask(|reply| Order::Retrieve {
                blob,
                bytes,
                from,
                reply,
            })
            .await?;
        open(&ticket.key, &content).await
    }

    /// Files that others keep for this device.
    #[must_use]
    pub fn stored(&self) -> Vec<StoredView> {
        self.snapshot().stored
    }

    /// Asks everyone who keeps a file now whether they still do, and pays them for one more slice.
    ///
    /// # Errors
    /// If the node was stopped, or too many commands wait.
    pub fn prolong(&self, blob: Hash) -> Result<(), CommandError> {
        self.command(Command::Prolong { blob })
    }

    /// Has a file kept no more.
    ///
    /// # Errors
    /// If the node was stopped, or too many commands wait.
    pub fn release(&self, blob: Hash) -> Result<(), CommandError> {
        self.command(Command::Release { blob })
    }
}

async fn seal(key: &[u8; 32], nonce: &[u8; NONCE_BYTES], file: &Uint8Array) -> Result<Vec<u8>, StorageError> {
    let subtle = crypto::subtle().ok().flatten().ok_or(StorageError::Unsupported)?;
    let unsupported = |_| StorageError::Unsupported;
    let key = crypto::key_from(&subtle, key).await.map_err(unsupported)?;
    let sealed = crypto::encrypt(&subtle, &key, &Uint8Array::from(&nonce[..]), b"", file).await;
    let sealed = sealed.map_err(unsupported)?;
    let mut content = nonce.to_vec();
    content.resize(NONCE_BYTES + sealed.length() as usize, 0);
    if let Some(rest) = content.get_mut(NONCE_BYTES..) {
        sealed.copy_to(rest);
    }
    Ok(content)
}

async fn open(key: &[u8; 32], content: &[u8]) -> Result<Uint8Array, StorageError> {
    let subtle = crypto::subtle().ok().flatten().ok_or(StorageError::Unsupported)?;
    let (nonce, sealed) = content
        .split_at_checked(NONCE_BYTES)
        .ok_or(StorageError::Sealed)?;
    let key = crypto::key_from(&subtle, key)
        .await
        .map_err(|_| StorageError::Unsupported)?;
    let (nonce, sealed) = (Uint8Array::from(nonce), Uint8Array::from(sealed));
    let opened = crypto::decrypt(&subtle, &key, &nonce, b"", &sealed);
    opened.await.map_err(|_| StorageError::Sealed)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_was_written() {
        let ticket = Ticket {
            blob: Hash([7; 32]),
            bytes: 1_000,
            key: [9; 32],
        };
        assert!(Ticket::parse(&ticket.text()).unwrap() == ticket);
        let text = ticket.text();
        for wrong in [
            "",
            "a.b.c",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}.x"),
        ] {
            assert!(Ticket::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    async fn what_was_sealed_opens_with_its_key_alone() {
        let file = Uint8Array::from(&b"a file"[..]);
        let sealed = seal(&[1; 32], &[2; NONCE_BYTES], &file).await.unwrap();
        assert_eq!(sealed.len(), 6 + NONCE_BYTES + SEAL_BYTES);
        assert_eq!(open(&[1; 32], &sealed).await.unwrap().to_vec(), b"a file");
        assert_eq!(open(&[3; 32], &sealed).await.unwrap_err(), StorageError::Sealed);
        assert_eq!(
            open(&[1; 32], &sealed[..5]).await.unwrap_err(),
            StorageError::Sealed
        );
    }
}
