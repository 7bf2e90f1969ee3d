//! What a page gets: plain objects with camelCase names, numbers, strings and typed arrays.

use std::fmt::Display;

use computation::Ending;
use js_sys::{Array, Error, Float32Array, Object, Reflect, Uint8Array};
use node_proto::capability::{Capability, Tier};
use node_proto::ids::NodeId;
use node_proto::service::Failure;
use node_proto::view::{CreditView, Outcome, PeerView, ReputationView, Snapshot};
use node_proto::work::{RunOutcome, WorkOutput};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};

use crate::address::path_of;
use crate::events::NodeEvent;
use crate::status::{Role, ShellStatus, TransportKind};

/// The names under which `on` calls back.
pub(super) const EVENTS: [&str; 9] = [
    "trade", "served", "finished", "failed", "stored", "changed", "status", "missed", "stopped",
];

/// Objects nested deeper are not made by this crate.
const DEPTH_MAX: u32 = 16;

/// An `Error` with a stable code.
pub(super) fn error(code: &str, message: &dyn Display) -> JsValue {
    let error = Error::new(&message.to_string());
    set(&error, "code", &JsValue::from_str(code));
    error.into()
}

/// A failed trade, with the numbers that belong to its reason.
pub(super) fn failure(failure: &Failure) -> JsValue {
    let detail = to_js(failure).unwrap_or_default();
    // The core's serialised form carries the stable code as its tag.
    let code = Reflect::get(&detail, &JsValue::from_str("code"))
        .ok()
        .and_then(|code| code.as_string());
    let thrown = error(code.as_deref().unwrap_or("internal"), failure);
    set(&thrown, "detail", &detail);
    thrown
}

/// A value with camelCase names.
pub(super) fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    let serializer = serde_wasm_bindgen::Serializer::json_compatible();
    let value = value
        .serialize(&serializer)
        .map_err(|reason| error("internal", &reason))?;
    camel_case(&value, DEPTH_MAX);
    Ok(value)
}

/// An event's name and its detail.
pub(super) fn event(event: &NodeEvent) -> Result<(String, JsValue), JsValue> {
    let value = to_js(event)?;
    let name = Reflect::get(&value, &JsValue::from_str("event"))?
        .as_string()
        .unwrap_or_default();
    Ok((name, value))
}

/// The outcome of a request, vectors and outputs as typed arrays.
pub(super) fn outcome_to_js(outcome: &Outcome) -> Result<JsValue, JsValue> {
    #[derive(Serialize)]
    struct Plain<'a> {
        provider: NodeId,
        model: Option<node_proto::ids::ModelId>,
        backend: Option<&'a str>,
        price: node_proto::ids::Millicredits,
        factors: node_proto::price::Factors,
        verification: &'a node_proto::view::Verification,
        receipt: &'a node_proto::view::ReceiptView,
        took_ms: u32,
    }
    let result = to_js(&Plain {
        provider: outcome.provider,
        model: outcome.model,
        backend: outcome.backend.as_deref(),
        price: outcome.price,
        factors: outcome.factors,
        verification: &outcome.verification,
        receipt: &outcome.receipt,
        took_ms: outcome.took_ms,
    })?;
    match &outcome.output {
        WorkOutput::Embeddings {
            dimension, values, ..
        } => {
            // The core checked that the numbers are texts × dimension.
            let rows = values.chunks_exact((*dimension).max(1) as usize);
            let embeddings: Array = rows.map(|row| JsValue::from(Float32Array::from(row))).collect();
            set(&result, "embeddings", &embeddings);
        }
        WorkOutput::Runs { outcomes } => {
            let runs: Array = outcomes.iter().map(run_to_js).collect();
            set(&result, "runs", &runs);
        }
        // The core gives the vectors of what was kept.
        WorkOutput::Cached { .. } => {}
        WorkOutput::Held { answers } => set(&result, "answers", &to_js(answers)?),
    }
    Ok(result)
}

/// How a run ended: its output, or why there is none.
fn run_to_js(outcome: &RunOutcome) -> JsValue {
    let run = Object::new();
    // Fuel is far below 2^53.
    set(&run, "fuel", &JsValue::from_f64(outcome.fuel as f64));
    match Ending::from_bytes(&outcome.ending) {
        Ok(Ending::Output(output)) => set(&run, "output", &Uint8Array::from(&output[..])),
        Ok(Ending::Failed(failure)) => set(&run, "failure", &JsValue::from_str(&failure.to_string())),
        Err(error) => set(&run, "failure", &JsValue::from_str(&error.to_string())),
    }
    run.into()
}

/// The five measurements and what follows.
#[derive(Serialize)]
pub(super) struct Capabilities {
    pub(super) tier: Option<Tier>,
    #[serde(flatten)]
    pub(super) capability: Capability,
}

/// One peer, as the core and the shell know it together.
#[derive(Serialize)]
pub(super) struct Peer {
    id: NodeId,
    role: Role,
    transport: Option<TransportKind>,
    address: Option<String>,
    rtt_ms: Option<u32>,
    member: bool,
    tier: Option<Tier>,
    reputation: Option<ReputationView>,
    credit: Option<CreditView>,
}

/// The core's peers with their best connection, and the relay, which trades nothing.
pub(super) fn peers(snapshot: &Snapshot, status: &ShellStatus) -> Vec<Peer> {
    let best = |peer: NodeId| {
        let connections = status
            .connections
            .iter()
            .filter(move |connection| connection.peer == peer);
        connections.min_by_key(|connection| path_of(connection.transport))
    };
    let known = snapshot.peers.iter().map(|peer| Some(peer.id));
    let others = status.connections.iter().map(|connection| Some(connection.peer));
    let mut ids: Vec<NodeId> = known.chain(others).flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    let peer = |id: NodeId| {
        let (wire, view) = (best(id), snapshot.peers.iter().find(|view| view.id == id));
        let is_relay = status.relay.peer == Some(id) || wire.is_some_and(|wire| wire.role == Role::Relay);
        Peer {
            id,
            role: if is_relay { Role::Relay } else { Role::Node },
            transport: wire.map(|wire| wire.transport),
            address: wire.map(|wire| wire.address.clone()),
            rtt_ms: wire
                .and_then(|wire| wire.rtt_ms)
                .or(view.and_then(|view| view.rtt_ms)),
            member: view.is_some_and(|view: &PeerView| view.member),
            tier: view.and_then(|view| view.tier),
            reputation: view.map(|view| view.reputation.clone()),
            credit: view.and_then(|view| view.credit),
        }
    };
    ids.into_iter().map(peer).collect()
}

/// Renames `snake_case` to `camelCase`, in place and all the way down.
fn camel_case(value: &JsValue, depth: u32) {
    if depth == 0 || !value.is_object() {
        return;
    }
    if let Some(array) = value.dyn_ref::<Array>() {
        array.iter().for_each(|item| camel_case(&item, depth - 1));
        return;
    }
    let object: &Object = value.unchecked_ref();
    for name in Object::keys(object).iter() {
        let Ok(inner) = Reflect::get(object, &name) else {
            continue;
        };
        camel_case(&inner, depth - 1);
        let Some(camel) = name.as_string().as_deref().and_then(camel_name) else {
            continue;
        };
        set(object, &camel, &inner);
        // A property of an own plain object can be deleted.
        let _ = Reflect::delete_property(object, &name);
    }
}

/// `None`: it is in order.
fn camel_name(snake: &str) -> Option<String> {
    let (first, rest) = snake.split_once('_')?;
    let mut camel = first.to_owned();
    for word in rest.split('_') {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    Some(camel)
}

pub(super) fn set(object: &JsValue, name: &str, value: &JsValue) {
    // Setting a property of an own plain object cannot fail.
    let _ = Reflect::set(object, &JsValue::from_str(name), value);
}
