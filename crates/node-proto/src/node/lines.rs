//! Credit lines between members of a private group: how much each may owe this node, as its owner sets.
//!
//! Among friends nobody counts, so the default is no limit; trades are receipted all the same. An owner may set a line for
//! everyone and another one for a single member. Between strangers (the open group) other rules hold, see
//! [`ledger`](crate::ledger). Stored under `c` (everyone) and `c` ‖ member.

use litemap::LiteMap;

use minicbor::{Decode, Encode};

use crate::config::Config;
use crate::ids::{Millicredits, NodeId};
use crate::io::{Line, Write};
use crate::wire::{WireError, from_cbor, to_cbor};

/// First byte of the key of a line.
pub(super) const LINE_PREFIX: u8 = b'c';

/// A limit as it is stored; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Limit(#[n(0)] Option<Millicredits>);

/// The lines that the owner set.
#[derive(Default)]
pub(super) struct CreditLines {
    everyone: Option<Limit>,
    members: LiteMap<NodeId, Limit>,
}

impl CreditLines {
    /// Takes back what [`set`](Self::set) wrote.
    pub(super) fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), WireError> {
        let limit: Limit = from_cbor(value)?;
        match key.get(1..) {
            Some([]) => self.everyone = Some(limit),
            Some(member) => {
                let member = member.try_into();
                let member =
                    member.map_err(|_| WireError::Malformed("the key of a credit line".to_owned()))?;
                self.members.insert(NodeId(member), limit);
            }
            None => return Err(WireError::Malformed("the key of a credit line".to_owned())),
        }
        Ok(())
    }

    /// Sets the line of one member, or of everyone without one of their own. A line too many is not taken.
    pub(super) fn set(&mut self, config: &Config, member: Option<NodeId>, line: Line) -> Option<Write> {
        let limit = match line {
            Line::Default => None,
            Line::Unlimited => Some(Limit(None)),
            Line::Limit { most } => Some(Limit(Some(most.max(Millicredits::ZERO)))),
        };
        let Some(member) = member else {
            self.everyone = limit;
            return Some(write(vec![LINE_PREFIX], limit));
        };
        match limit {
            Some(_) if self.members.len() >= config.peers_max && !self.members.contains_key(&member) => {
                return None;
            }
            Some(limit) => {
                self.members.insert(member, limit);
            }
            None => {
                self.members.remove(&member);
            }
        }
        let key = [&[LINE_PREFIX], member.as_bytes().as_slice()].concat();
        Some(write(key, limit))
    }

    /// How much a member may owe; `None` is unlimited.
    pub(super) fn of(&self, config: &Config, member: &NodeId) -> Option<Millicredits> {
        let own = self.members.get(member);
        own.map_or_else(|| self.everyone(config), |Limit(most)| *most)
    }

    /// The same for a member without a line of its own.
    pub(super) fn everyone(&self, config: &Config) -> Option<Millicredits> {
        self.everyone.map_or(config.group_line, |Limit(most)| most)
    }

    /// What was set for one member.
    pub(super) fn own(&self, member: &NodeId) -> Line {
        match self.members.get(member) {
            None => Line::Default,
            Some(Limit(None)) => Line::Unlimited,
            Some(Limit(Some(most))) => Line::Limit { most: *most },
        }
    }
}

fn write(key: Vec<u8>, limit: Option<Limit>) -> Write {
    match limit {
        Some(limit) => Write::Put {
            key,
            value: to_cbor(&limit),
        },
        None => Write::Delete { key },
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const FRIEND: NodeId = NodeId([1; 32]);
    const OTHER: NodeId = NodeId([2; 32]);

    fn limit(most: i64) -> Line {
        Line::Limit {
            most: Millicredits(most),
        }
    }

    #[test]
    fn a_members_own_line_goes_before_everyones() {
        let config = Config::default();
        let mut lines = CreditLines::default();
        assert_eq!(lines.of(&config, &FRIEND), None);
        let writes = [
            lines.set(&config, None, limit(100)).unwrap(),
            lines.set(&config, Some(FRIEND), Line::Unlimited).unwrap(),
        ];
        assert_eq!(lines.of(&config, &FRIEND), None);
        assert_eq!(lines.of(&config, &OTHER), Some(Millicredits(100)));
        assert_eq!(lines.everyone(&config), Some(Millicredits(100)));
        assert_eq!(
            (lines.own(&FRIEND), lines.own(&OTHER)),
            (Line::Unlimited, Line::Default)
        );
        let mut restored = CreditLines::default();
        for write in writes {
            let Write::Put { key, value } = write else {
                panic!("a line that is set is put")
            };
            restored.restore(&key, &value).unwrap();
            assert!(restored.restore(&[&key[..], &[0]].concat(), &value).is_err());
        }
        assert_eq!(restored.of(&config, &FRIEND), None);
        assert_eq!(restored.of(&config, &OTHER), Some(Millicredits(100)));
        let deleted = restored.set(&config, Some(FRIEND), Line::Default);
        assert!(matches!(deleted, Some(Write::Delete { .. })));
        assert_eq!(restored.of(&config, &FRIEND), Some(Millicredits(100)));
        restored.set(&config, None, limit(-5));
        assert_eq!(restored.of(&config, &OTHER), Some(Millicredits::ZERO));
    }

    #[test]
    fn lines_are_bounded() {
        let config = Config {
            peers_max: 1,
            ..Config::default()
        };
        let mut lines = CreditLines::default();
        assert!(lines.set(&config, Some(FRIEND), limit(1)).is_some());
        assert!(lines.set(&config, Some(OTHER), limit(1)).is_none());
        assert!(lines.set(&config, Some(FRIEND), limit(2)).is_some());
    }
}
