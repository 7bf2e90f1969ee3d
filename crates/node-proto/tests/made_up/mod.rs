//! A half-block of somebody, for tests that only care whose it is and where in the chain. The crate's own tests include it, too.

use node_proto::ledger::{Block, Check};
use node_proto::wire::OBJECT_VERSION;
use node_proto::{AgreementId, Factors, Hash, Millicredits, NodeId, Scope, Verification};

/// A payment of one millicredit; a test names what else matters to it.
pub(crate) fn block(author: NodeId, sequence: u64, agreement: u8) -> Block {
    Block {
        version: OBJECT_VERSION,
        author,
        epoch: 1,
        sequence,
        previous: Hash([0; 32]),
        counterparty: NodeId([9; 32]),
        agreement: AgreementId([agreement; 32]),
        delta: Millicredits(-1),
        service: 0,
        model: None,
        units: 1,
        factors: Factors {
            base_cost: 1,
            quality_multiplier: 1,
            market_demand: 1,
            reputation_factor: 1,
        },
        scope: Scope::Anyone,
        mark: Hash([0; 32]),
        check: Check::from(&Verification::Unchecked),
        link: None,
        at_ms: 0,
    }
}
