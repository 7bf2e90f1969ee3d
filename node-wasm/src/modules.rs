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
        part_of(&self.get(blob)?, part)
    }
}

/// A part of what a blob's name stands for; `None` where it has no such part.
pub(crate) fn part_of(content: &[u8], part: Part) -> Option<Vec<u8>> {
    match part {
        Part::Outline => Some(Outline::of(content).ok()?.to_bytes()),
        Part::Chunk(index) => {
            let chunk = content.chunks(CHUNK_BYTES).nth(index as usize)?;
            Some(chunk.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn module(number: u8, bytes: usize) -> Vec<u8> {
        vec![number; bytes]
    }

    #[test]
    fn parts_make_the_module_that_its_name_proves() {
        let mut modules = Modules::default();
        let content = module(7, CHUNK_BYTES + 5);
        let Module { blob, bytes } = modules.hold(&content);
        let outline = modules.part(&blob, Part::Outline).unwrap();
        let outline = Outline::verify(blob.0, bytes.into(), &outline).unwrap();
        assert_eq!(outline, Outline::of(&content).unwrap());
        let parts = [0, 1].map(|index| modules.part(&blob, Part::Chunk(index)).unwrap());
        assert_eq!(parts.concat(), content);
        assert_eq!(modules.part(&blob, Part::Chunk(2)), None);
        assert_eq!(modules.part(&Hash([0; 32]), Part::Outline), None);
    }

    #[test]
    fn what_was_used_longest_ago_leaves_first_and_what_is_too_long_never_stays() {
        let mut modules = Modules::default();
        let most = MODULE_BYTES_MAX as usize;
        let names: Vec<Hash> = (0..8)
            .map(|number| modules.hold(&module(number, most)).blob)
            .collect();
        assert!(modules.get(&names[0]).is_some(), "eight fit");
        modules.hold(&module(8, 1));
        assert!(modules.get(&names[1]).is_none());
        assert!(modules.get(&names[0]).is_some());
        let long = modules.hold(&module(9, most + 1));
        assert_eq!(long.bytes, MODULE_BYTES_MAX + 1);
        assert!(modules.get(&long.blob).is_none());
    }
}
