//! Modules in this page's memory: those that others run for this device, and those that it runs for others.
//!
//! They are not kept beyond the visit: a module is small, and whoever wants it run holds it. Beyond [`BYTES_MAX`] the one that
//! was used longest ago goes.

use std::collections::VecDeque;
use std::rc::Rc;

use blob::{CHUNK_BYTES, Outline};
use node_proto::ids::Hash;
use node_proto::transfer::Part;
use node_proto::work::{MODULE_BYTES_MAX, Module};

/// Bytes of all modules.
const BYTES_MAX: usize = 8 * MODULE_BYTES_MAX as usize;

/// The modules, the one that was used last at the end.
#[derive(Default)]
pub(crate) struct Modules {
    held: VecDeque<(Hash, Rc<[u8]>)>,
}

impl Modules {
    /// Takes a module in and names it. One that is too long is named and not kept: nobody would run it.
    pub(crate) fn hold(&mut self, module: &[u8]) -> Module {
        let blob = Hash(blob::name_of(module));
        let bytes = u32::try_from(module.len()).unwrap_or(u32::MAX);
        if bytes <= MODULE_BYTES_MAX && self.get(&blob).is_none() {
            self.held.push_back((blob, module.into()));
            let mut sum: usize = self.held.iter().map(|(_, module)| module.len()).sum();
            while sum > BYTES_MAX
                && let Some((_, oldest)) = self.held.pop_front()
            {
                sum -= oldest.len();
            }
        }
        Module { blob, bytes }
    }

    /// A module, which counts as used.
    pub(crate) fn get(&mut self, blob: &Hash) -> Option<Rc<[u8]>> {
        let place = self.held.iter().position(|(name, _)| name == blob)?;
        let found = self.held.remove(place)?;
        let module = found.1.clone();
        self.held.push_back(found);
        Some(module)
    }

    /// A part of a module, for somebody who is to run it.
    pub(crate) fn part(&mut self, blob: &Hash, part: Part) -> Option<Vec<u8>> {
        let module = self.get(blob)?;
        match part {
            Part::Outline => Some(Outline::of(&module).ok()?.to_bytes()),
            Part::Chunk(index) => {
                let chunk = module.chunks(CHUNK_BYTES).nth(index as usize)?;
                Some(chunk.to_vec())
            }
        }
    }
}
