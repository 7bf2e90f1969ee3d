//! Blobs in the machine: what its shell tells of them, and what must hold of what the node wants done.

use blob::{CHUNK_BYTES, Outline};
use node_proto::{BlobInput, BlobOutput, Hash, HeldBy, Input, Part};

use super::machine::{Bytes, Machine};
use super::world::MODEL;
use super::world::blobs::part_of;

/// Two chunks.
pub(crate) fn content() -> Vec<u8> {
    vec![7; CHUNK_BYTES + 9]
}

/// What stands at a place of a content; nothing beyond its end.
pub(crate) fn given(content: &[u8], part: Part) -> Vec<u8> {
    part_of(content, part).unwrap_or_default()
}

fn part(value: u8) -> Part {
    match value % 4 {
        3 => Part::Outline,
        index => Part::Chunk(index.into()),
    }
}

impl Machine {
    /// The shell's part in a transfer, as it should be and as it should not.
    pub(super) fn blobs(&mut self, bytes: &mut Bytes<'_>) {
        let (how, value) = (bytes.byte(), bytes.byte());
        let content = content();
        let outline = Outline::of(&content).unwrap();
        let blob = Hash(*outline.name());
        let part = part(value);
        let input = match how % 8 {
            0 | 1 => BlobInput::Want {
                blob: if value & 0x40 == 0 {
                    blob
                } else {
                    Hash([value; 32])
                },
                bytes: content.len() as u64 + u64::from(value & 0x20) * u64::from(value),
                held_by: HeldBy::ProvidersOf(MODEL),
                outline: (value & 0x10 != 0).then(|| outline.to_bytes()),
                kept: (0..u32::from(value % 4)).collect(),
                has_origin: value & 0x08 != 0,
            },
            2 | 3 => {
                let mut bytes = given(&content, part);
                if value & 0x80 != 0 {
                    bytes.truncate(usize::from(value));
                }
                BlobInput::Fetched { blob, part, bytes }
            }
            4 => BlobInput::FetchEnded {
                blob,
                part,
                result: if value & 0x80 == 0 {
                    Ok(())
                } else {
                    Err("x".repeat(usize::from(value)))
                },
            },
            5 => BlobInput::Kept { blob, part },
            6 => BlobInput::Held(vec![blob; usize::from(value % 3)]),
            _ => BlobInput::Forget { blob },
        };
        self.input(Input::Blob(input));
    }

    /// Nothing is kept that is not the content.
    pub(super) fn carry_out_blob(&mut self, output: BlobOutput) {
        let input = match output {
            BlobOutput::Keep { blob, part, bytes } => {
                assert_eq!(bytes, given(&content(), part), "something else is kept");
                BlobInput::Kept { blob, part }
            }
            BlobOutput::Read { exchange, part, .. } => {
                let bytes = Some(given(&content(), part));
                BlobInput::Read { exchange, bytes }
            }
            BlobOutput::Fetch { .. } => return,
        };
        self.input(Input::Blob(input));
    }
}
