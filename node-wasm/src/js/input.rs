//! What a page hands in, checked before anything happens.

use js_sys::{Array, Object, Uint8Array};
use node_proto::capability::LendPolicy;
use node_proto::ids::{Millicredits, ModelId, NodeId};
use node_proto::io::{Command, Line};
use node_proto::service::{Precision, Requirements, Scope, ServiceRequest, TEXT_BYTES_MAX, TEXTS_MAX};
use node_proto::work::{FUEL_MAX, MODULE_BYTES_MAX, Module, RUN_BYTES_MAX};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};

use super::convert::error;
use crate::platform::property;

/// What a run may use unless the page says something else: about a second on a laptop.
const FUEL_DEFAULT: u64 = 1 << 32;

/// Reads an options object; leaving it out is an empty one.
///
/// It goes through a JSON value, since only that lets a misspelt name be refused.
pub(super) fn read<T: DeserializeOwned>(value: JsValue, code: &str) -> Result<T, JsValue> {
    let value = if value.is_undefined() || value.is_null() {
        js_sys::Object::new().into()
    } else {
        value
    };
    let value: serde_json::Value =
        serde_wasm_bindgen::from_value(value).map_err(|reason| error(code, &reason))?;
    serde_json::from_value(value).map_err(|reason| error(code, &reason))
}

/// The second argument of `request`. A module is taken in by `hold`.
pub(super) fn service_request(
    service: &str,
    payload: JsValue,
    hold: impl FnOnce(&[u8]) -> Module,
) -> Result<ServiceRequest, JsValue> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Inference {
        texts: Vec<String>,
        model: Option<ModelId>,
    }
    if service == "computation" {
        return computation(&payload, hold);
    }
    if !["inference", "cache_query"].contains(&service) {
        return Err(error(
            "unknown_service",
            &format!("no node offers the service {service:?} yet"),
        ));
    }
    let Inference { texts, model } = read(payload, INVALID)?;
    if texts.is_empty() || texts.len() > TEXTS_MAX {
        return Err(error(
            INVALID,
            &format!("texts must have 1 to {TEXTS_MAX} entries, not {}", texts.len()),
        ));
    }
    if let Some(at) = texts.iter().position(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(error(
            INVALID,
            &format!("text {at} is longer than {TEXT_BYTES_MAX} bytes"),
        ));
    }
    match (service, model) {
        ("inference", model) => Ok(ServiceRequest::Inference { model, texts }),
        (_, Some(model)) => Ok(ServiceRequest::CacheQuery { model, texts }),
        (_, None) => Err(error(INVALID, &"a query for kept answers names its model")),
    }
}

/// What `request` takes for the service "computation". Bytes are not taken through JSON.
fn computation(payload: &JsValue, hold: impl FnOnce(&[u8]) -> Module) -> Result<ServiceRequest, JsValue> {
    const FIELDS: [&str; 3] = ["module", "inputs", "fuel"];
    let invalid = |what: String| error(INVALID, &what);
    let fields = payload
        .dyn_ref::<Object>()
        .ok_or_else(|| invalid("the payload must be an object".to_owned()))?;
    let mut names = Object::keys(fields)
        .into_iter()
        .filter_map(|name| name.as_string());
    if let Some(unknown) = names.find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(invalid(format!("a computation has no field {unknown:?}")));
    }
    let bytes = |value: JsValue, name: &str, bytes_max: usize| {
        let array = value
            .dyn_into::<Uint8Array>()
            .map_err(|_| invalid(format!("{name} must be a Uint8Array")))?;
        match array.length() as usize {
            length if length > bytes_max => Err(invalid(format!(
                "{name} has {length} bytes: {bytes_max} are allowed"
            ))),
            _ => Ok(array.to_vec()),
        }
    };
    let module = bytes(
        property(payload, "module").unwrap_or_default(),
        "module",
        MODULE_BYTES_MAX as usize,
    )?;
    let inputs = property(payload, "inputs").and_then(|inputs| inputs.dyn_into::<Array>().ok());
    let inputs = inputs.ok_or_else(|| invalid("inputs must be an array".to_owned()))?;
    if inputs.length() == 0 || inputs.length() as usize > TEXTS_MAX {
        return Err(invalid(format!(
            "inputs must have 1 to {TEXTS_MAX} entries, not {}",
            inputs.length()
        )));
    }
    let inputs = inputs.iter().enumerate();
    let inputs = inputs.map(|(at, input)| bytes(input, &format!("input {at}"), RUN_BYTES_MAX));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let fuel = match property(payload, "fuel") {
        None => FUEL_DEFAULT,
        // `FUEL_MAX` is exact in a float.
        Some(fuel) => match fuel.as_f64() {
            Some(fuel) if fuel >= 1.0 && fuel <= FUEL_MAX as f64 => fuel as u64,
            _ => return Err(invalid(format!("fuel must be a number from 1 to {FUEL_MAX}"))),
        },
    };
    Ok(ServiceRequest::Computation {
        module: hold(&module),
        fuel,
        inputs,
    })
}

/// The third argument of `request`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Conditions {
    deadline_ms: Option<u32>,
    price_max: Option<i64>,
    reputation_min: Option<f32>,
    scope: Option<Scope>,
    provider: Option<NodeId>,
    precision: Option<Precision>,
}

impl Conditions {
    pub(super) fn into_core(self) -> Result<Requirements, JsValue> {
        let default = Requirements::default();
        let reputation_min = self.reputation_min.unwrap_or(default.reputation_min);
        if !(0.0..=1.0).contains(&reputation_min) {
            return Err(error(INVALID, &"reputationMin must be between 0 and 1"));
        }
        if self.price_max.is_some_and(|price| price < 0) {
            return Err(error(INVALID, &"priceMax must not be negative"));
        }
        Ok(Requirements {
            deadline_ms: self.deadline_ms.unwrap_or(default.deadline_ms),
            price_max: self.price_max.map(Millicredits),
            reputation_min,
            scope: self.scope.unwrap_or(default.scope),
            provider: self.provider,
            precision: self.precision.unwrap_or(default.precision),
        })
    }
}

/// The argument of `lend`: what is left out stays as it is, and lending is switched on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Lend {
    enabled: Option<bool>,
    compute_share: Option<f32>,
    memory_bytes: Option<u64>,
    storage_bytes: Option<u64>,
    only_charging: Option<bool>,
    only_unmetered: Option<bool>,
    coordinate: Option<bool>,
}

impl Lend {
    pub(super) fn onto(self, policy: LendPolicy) -> Result<LendPolicy, JsValue> {
        let compute_share = self.compute_share.unwrap_or(policy.compute_share);
        if !(0.0..=1.0).contains(&compute_share) {
            return Err(error(INVALID, &"computeShare must be between 0 and 1"));
        }
        Ok(LendPolicy {
            enabled: self.enabled.unwrap_or(true),
            compute_share,
            memory_bytes: self.memory_bytes.unwrap_or(policy.memory_bytes),
            storage_bytes: self.storage_bytes.unwrap_or(policy.storage_bytes),
            only_charging: self.only_charging.unwrap_or(policy.only_charging),
            only_unmetered: self.only_unmetered.unwrap_or(policy.only_unmetered),
            coordinate: self.coordinate.or(policy.coordinate),
        })
    }
}

/// The third argument of `importBackup`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Import {
    #[serde(default)]
    pub(super) replace: bool,
}

/// The argument of `setCreditLine`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreditLine {
    member: Option<String>,
    limit: Limit,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Limit {
    Millicredits(i64),
    Named(NamedLimit),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum NamedLimit {
    Default,
    Unlimited,
}

impl CreditLine {
    pub(super) fn into_core(self) -> Result<Command, JsValue> {
        let line = match self.limit {
            Limit::Named(NamedLimit::Default) => Line::Default,
            Limit::Named(NamedLimit::Unlimited) => Line::Unlimited,
            Limit::Millicredits(most) if most >= 0 => Line::Limit {
                most: Millicredits(most),
            },
            Limit::Millicredits(_) => return Err(error(INVALID, &"limit must not be negative")),
        };
        let member = self.member.as_deref().map(peer).transpose()?;
        Ok(Command::CreditLine { member, line })
    }
}

/// A peer's name.
pub(super) fn peer(name: &str) -> Result<NodeId, JsValue> {
    name.parse::<NodeId>().map_err(|reason| error(INVALID, &reason))
}

/// A model's name.
pub(super) fn model(name: &str) -> Result<ModelId, JsValue> {
    name.parse::<ModelId>().map_err(|reason| error(INVALID, &reason))
}

/// The code of everything that a page can do better.
pub(super) const INVALID: &str = "invalid_input";
