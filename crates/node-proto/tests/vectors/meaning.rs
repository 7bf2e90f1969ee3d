//! What an encoding says, as JSON that a reader in any language can turn back into the same bytes.
//!
//! Numbers, texts and nulls stand for themselves, `{"bytes": hex}` for a byte string, an array for an array. A structure
//! is `[[name, value], …]` in the order of its places, an enumeration with content `{"number", "name", "fields"}`.

use node_proto::cache::CachedRow;
use node_proto::ledger::{Block, Check, FraudProof};
use node_proto::wire::{
    Agreement, Demand, Head, Offer, Partial, Proposal, Registration, ResultHead, Signed, Verdict,
};
use node_proto::{Factors, Hash, ModelId, NodeId};
use serde_json::{Value, json};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes(bytes: &[u8]) -> Value {
    json!({ "bytes": hex(bytes) })
}

pub(crate) fn kind(number: u8, name: &str, fields: Value) -> Value {
    json!({ "number": number, "name": name, "fields": fields })
}

pub(crate) fn signed(signed: &Signed) -> Value {
    json!([
        ["body", bytes(&signed.body)],
        ["signature", bytes(&signed.signature)]
    ])
}

fn node(id: &NodeId) -> Value {
    bytes(id.as_bytes())
}

fn model(id: Option<&ModelId>) -> Value {
    id.map_or(Value::Null, |id| bytes(id.as_bytes()))
}

fn factors(factors: &Factors) -> Value {
    json!([
        ["base cost", factors.base_cost],
        ["quality multiplier", factors.quality_multiplier],
        ["market demand", factors.market_demand],
        ["reputation factor", factors.reputation_factor],
    ])
}

pub(crate) fn head(head: &Head) -> Value {
    json!([
        ["epoch", head.epoch],
        ["sequence", head.sequence],
        ["hash", bytes(&head.hash.0)]
    ])
}

pub(crate) fn demand(demand: &Demand) -> Value {
    let mut said = json!([
        ["nonce", bytes(&demand.nonce)],
        ["scope", demand.scope as u8],
        ["service", demand.service],
        ["model", model(demand.model.as_ref())],
        ["texts", demand.items],
        ["tokens", demand.tokens],
        ["deadline ms", demand.deadline_ms],
        ["head", demand.head.as_ref().map_or(Value::Null, head)],
    ]);
    if let (Some(said), Some(keys)) = (said.as_array_mut(), &demand.keys) {
        said.push(json!(["names of texts", hashes(keys)]));
    }
    if let (Some(said), Some(bytes)) = (said.as_array_mut(), demand.bytes) {
        said.push(json!(["names of texts", null]));
        said.push(json!(["bytes", bytes]));
    }
    said
}

fn offer(offer: &Offer) -> Value {
    json!([
        ["service", offer.service],
        ["model", model(offer.model.as_ref())],
        ["model name", offer.model_name],
        ["unit price", offer.unit_price.0],
        ["factors", factors(&offer.factors)],
        ["capacity", offer.capacity],
        ["ms per unit", offer.unit_ms],
        ["precision", offer.precision as u8],
    ])
}

pub(crate) fn registration(registration: &Registration) -> Value {
    let presence = registration.presence.as_ref();
    json!([
        ["version", registration.version],
        ["owner", node(&registration.owner)],
        ["sequence", registration.sequence],
        ["key", bytes(&registration.key.0)],
        ["time to live ms", registration.ttl_ms],
        ["tag", bytes(&registration.tag.0)],
        ["addresses", registration.addresses],
        [
            "presence",
            presence.map(|presence| json!([["tier", presence.tier.map(|tier| tier as u8)]]))
        ],
        ["offer", registration.offer.as_ref().map(offer)],
    ])
}

pub(crate) fn proposal(proposal: &Proposal) -> Value {
    json!([
        ["version", proposal.version],
        ["provider", node(&proposal.provider)],
        ["requester", node(&proposal.requester)],
        ["demand", bytes(&proposal.demand.0)],
        ["model", model(proposal.model.as_ref())],
        ["precision", proposal.precision as u8],
        ["price", proposal.price.0],
        ["factors", factors(&proposal.factors)],
        ["promised ms", proposal.promised_ms],
        ["valid ms", proposal.valid_ms],
    ])
}

pub(crate) fn agreement(terms: &Agreement) -> Value {
    json!([
        ["version", terms.version],
        ["requester", node(&terms.requester)],
        ["provider", node(&terms.provider)],
        ["proposal", bytes(&terms.proposal.0)],
        ["scope", terms.scope as u8],
        ["service", terms.service],
        ["model", model(terms.model.as_ref())],
        ["precision", terms.precision as u8],
        ["comparison rule", terms.rule as u8],
        ["least cosine ppm", terms.cosine_min_ppm],
        ["texts", terms.items],
        ["tokens", terms.tokens],
        ["input hash", bytes(&terms.input.0)],
        ["price", terms.price.0],
        ["factors", factors(&terms.factors)],
        ["promised ms", terms.promised_ms],
    ])
}

pub(crate) fn hashes(hashes: &[Hash]) -> Value {
    hashes.iter().map(|hash| bytes(&hash.0)).collect()
}

pub(crate) fn cached_row(row: &CachedRow, values: &[u8]) -> Value {
    json!([
        ["signer", node(&row.signer)],
        ["head", signed(&row.head)],
        ["place", row.place],
        ["way up", hashes(&row.path)],
        ["values", bytes(values)],
    ])
}

pub(crate) fn result_head(head: &ResultHead) -> Value {
    let mut said = json!([
        ["version", head.version],
        ["agreement", bytes(head.agreement.as_bytes())],
        ["output hash", bytes(&head.output.0)],
        ["engine ms", head.took_ms],
    ]);
    if let (Some(said), Some(origin)) = (said.as_array_mut(), &head.origin) {
        let origin = json!([
            ["model", bytes(origin.model.as_bytes())],
            ["precision", origin.precision as u8],
            ["computed at", origin.computed_at],
            ["root of rows", bytes(&origin.rows.0)],
            ["rows", origin.count],
        ]);
        said.push(json!(["origin", origin]));
    }
    said
}

pub(crate) fn partial(partial: &Partial) -> Value {
    json!([
        ["version", partial.version],
        ["agreement", bytes(partial.agreement.as_bytes())],
        ["units done", partial.units],
    ])
}

pub(crate) fn verdict(verdict: &Verdict) -> Value {
    json!([
        ["version", verdict.version],
        ["agreement", bytes(verdict.agreement.as_bytes())],
        [
            "output hash",
            verdict.output.map_or(Value::Null, |output| bytes(&output.0))
        ],
        ["cosine seen ppm", verdict.cosine_ppm],
        ["cosine required ppm", verdict.required_ppm],
    ])
}

fn check(check: &Check) -> Value {
    json!([
        ["method", check.method],
        ["probes", check.probes],
        ["compared", check.compared],
        ["lowest cosine ppm", check.cosine_ppm],
        ["second provider", check.second.as_ref().map_or(Value::Null, node)],
    ])
}

pub(crate) fn block(block: &Block) -> Value {
    json!([
        ["version", block.version],
        ["author", node(&block.author)],
        ["epoch", block.epoch],
        ["sequence", block.sequence],
        ["previous", bytes(&block.previous.0)],
        ["counterparty", node(&block.counterparty)],
        ["agreement", bytes(block.agreement.as_bytes())],
        ["delta", block.delta.0],
        ["service", block.service],
        ["model", model(block.model.as_ref())],
        ["units", block.units],
        ["factors", factors(&block.factors)],
        ["scope", block.scope as u8],
        ["mark", bytes(&block.mark.0)],
        ["check", check(&block.check)],
        ["link", block.link.map_or(Value::Null, |link| bytes(&link.0))],
        ["author's clock ms", block.at_ms],
    ])
}

pub(crate) fn fraud_proof(proof: &FraudProof) -> Value {
    json!([
        ["author", node(&proof.author)],
        ["first", signed(&proof.first)],
        ["second", signed(&proof.second)],
    ])
}
