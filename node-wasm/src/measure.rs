//! The five measurements and the surroundings of this device.
//!
//! What the browser merely says is marked as a hint; what it does not say is `None`. Nothing here takes longer than a
//! frame or two: the real measure of processing is the engine's, once a model is loaded.

use futures::channel::mpsc;
use gloo::events::EventListener;
use js_sys::Promise;
use node_proto::capability::{Environment, Measurements, Reading};
use node_proto::ids::Timestamp;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{EventTarget, Navigator, StorageManager};

use crate::clock::Clock;
use crate::platform::{self, property};
use crate::status::StorageStatus;

/// Floating-point operations for one token of the reference model: two for each of the 10.6 million weights of
/// MiniLM-L6's layers, per its published configuration (6 layers, 384 wide, 1,536 in between).
const FLOP_PER_TOKEN: f64 = 2.0 * 6.0 * (4.0 * 384.0 * 384.0 + 2.0 * 384.0 * 1536.0);
/// The engine computes with four lanes where this module, compiled for size and every browser, has one.
const ENGINE_LANES: f64 = 4.0;
/// Side of the matrices that are multiplied.
const SIDE: usize = 96;
/// Longest time for the micro-benchmark, milliseconds.
const BENCH_MS_MAX: f64 = 12.0;
/// Share of a device's memory that a tab may count on.
const TAB_MEMORY_SHARE: f64 = 0.25;

/// What can be told of the device apart from the network, which the swarm measures.
pub(crate) async fn device(clock: Clock) -> Measurements {
    let now = clock.now();
    let Ok(window) = platform::window() else {
        return Measurements::default();
    };
    let navigator = window.navigator();
    let battery = battery(&navigator).await;
    let hint = |value| Reading {
        value,
        at: now,
        measured: false,
    };
    Measurements {
        processing_tokens_per_s: Some(hint(tokens_per_s())),
        memory_bytes: number(&navigator, "deviceMemory")
            .map(|gib| hint(gib * f64::from(1 << 30) * TAB_MEMORY_SHARE)),
        battery_level: battery
            .as_ref()
            .and_then(|battery| number(battery, "level"))
            .map(|value| Reading {
                value,
                at: now,
                measured: true,
            }),
        network_rtt_ms: None,
        storage_bytes: storage().await.free().map(|bytes| Reading {
            value: bytes as f64,
            at: now,
            measured: true,
        }),
    }
}

/// A reading of the swarm or the engine.
pub(crate) fn measured(value: f64, at: Timestamp) -> Reading {
    Reading {
        value,
        at,
        measured: true,
    }
}

/// What changes by the minute.
pub(crate) async fn environment() -> Environment {
    let Ok(window) = platform::window() else {
        return Environment::default();
    };
    let navigator = window.navigator();
    let connection = property(&navigator, "connection");
    let hidden = window.document().is_some_and(|document| document.hidden());
    Environment {
        charging: battery(&navigator)
            .await
            .and_then(|battery| boolean(&battery, "charging")),
        metered: connection.as_ref().and_then(metered),
        hidden,
        mobile: is_mobile(&navigator),
    }
}

/// Usage, quota and whether the browser promised to keep it.
pub(crate) async fn storage() -> StorageStatus {
    let Some(manager) = storage_manager() else {
        return StorageStatus::default();
    };
    let estimate = match manager.estimate() {
        Ok(promise) => JsFuture::from(promise).await.ok(),
        Err(_) => None,
    };
    let persisted = match manager.persisted() {
        Ok(promise) => JsFuture::from(promise).await.ok(),
        Err(_) => None,
    };
    let bytes = |name| {
        estimate
            .as_ref()
            .and_then(|estimate| number(estimate, name))
            .map(|bytes| bytes as u64)
    };
    StorageStatus {
        usage_bytes: bytes("usage"),
        quota_bytes: bytes("quota"),
        persisted: persisted.and_then(|value| value.as_bool()),
        ledger_error: None,
    }
}

/// Asks the browser not to evict what is stored. Its answer may wait for a person for ever, so nobody waits for it.
pub(crate) fn ask_to_persist() {
    if let Some(Ok(promise)) = storage_manager().map(|manager| manager.persist()) {
        wasm_bindgen_futures::spawn_local(async move {
            // A refusal shows in the status.
            let _ = JsFuture::from(promise).await;
        });
    }
}

impl StorageStatus {
    fn free(&self) -> Option<u64> {
        Some(self.quota_bytes?.saturating_sub(self.usage_bytes?))
    }
}

/// Says when the surroundings changed; what they are now is read by [`environment`].
pub(crate) struct Watch {
    _listeners: Vec<EventListener>,
}

impl Watch {
    /// One place in the channel is enough: a change that meets a full one is read together with it.
    pub(crate) async fn start(changed: mpsc::Sender<()>) -> Self {
        let mut targets: Vec<(EventTarget, &'static str)> = Vec::new();
        if let Ok(window) = platform::window() {
            let navigator = window.navigator();
            targets.extend(
                window
                    .document()
                    .map(|document| (document.into(), "visibilitychange")),
            );
            if let Some(connection) = property(&navigator, "connection") {
                targets.extend(connection.dyn_into().map(|target| (target, "change")));
            }
            if let Some(battery) = battery(&navigator).await {
                let battery: EventTarget = battery.unchecked_into();
                targets.push((battery.clone(), "chargingchange"));
                targets.push((battery, "levelchange"));
            }
            targets.push((window.clone().into(), "online"));
            targets.push((window.into(), "offline"));
        }
        let listen = |(target, event): (EventTarget, &'static str)| {
            let mut changed = changed.clone();
            EventListener::new(&target, event, move |_| {
                let _ = changed.try_send(());
            })
        };
        Self {
            _listeners: targets.into_iter().map(listen).collect(),
        }
    }
}

/// Tokens of the reference model per second, estimated from a matrix product on this thread.
fn tokens_per_s() -> f64 {
    let left: Vec<f32> = (0..SIDE * SIDE).map(|i| (i % 7) as f32).collect();
    let right: Vec<f32> = (0..SIDE * SIDE).map(|i| (i % 5) as f32).collect();
    let mut product = vec![0.0; SIDE * SIDE];
    let started = platform::monotone_ms();
    let (mut rounds, mut took_ms) = (0_u32, 0.0);
    while took_ms < BENCH_MS_MAX {
        multiply(&left, &right, &mut product);
        rounds += 1;
        took_ms = platform::monotone_ms() - started;
    }
    // Without this the compiler may leave the products out.
    std::hint::black_box(&product);
    let flop = 2.0 * (SIDE * SIDE * SIDE) as f64 * f64::from(rounds);
    ENGINE_LANES * flop / (took_ms / 1_000.0) / FLOP_PER_TOKEN
}

/// Row by row, so that the inner loop runs along memory.
fn multiply(left: &[f32], right: &[f32], product: &mut [f32]) {
    for (row, out) in left.chunks_exact(SIDE).zip(product.chunks_exact_mut(SIDE)) {
        out.fill(0.0);
        for (&factor, line) in row.iter().zip(right.chunks_exact(SIDE)) {
            for (sum, &value) in out.iter_mut().zip(line) {
                *sum += factor * value;
            }
        }
    }
}

async fn battery(navigator: &Navigator) -> Option<JsValue> {
    let get: js_sys::Function = property(navigator, "getBattery")?.dyn_into().ok()?;
    let promise: Promise = get.call0(navigator).ok()?.dyn_into().ok()?;
    JsFuture::from(promise).await.ok()
}

/// A phone's contract, or the person asked to save data.
fn metered(connection: &JsValue) -> Option<bool> {
    let saves = boolean(connection, "saveData");
    let kind = property(connection, "type").and_then(|kind| kind.as_string());
    match (saves, kind.as_deref()) {
        (Some(true), _) | (_, Some("cellular")) => Some(true),
        (_, Some("ethernet" | "wifi")) => Some(false),
        _ => None,
    }
}

fn is_mobile(navigator: &Navigator) -> bool {
    let declared = property(navigator, "userAgentData").and_then(|data| boolean(&data, "mobile"));
    declared.unwrap_or_else(|| {
        navigator
            .user_agent()
            .is_ok_and(|agent| agent.contains("Mobi") || agent.contains("Android"))
    })
}

/// There is none outside a secure context.
fn storage_manager() -> Option<StorageManager> {
    let navigator = platform::window().ok()?.navigator();
    property(&navigator, "storage").map(JsCast::unchecked_into)
}

fn number(object: &JsValue, name: &str) -> Option<f64> {
    property(object, name)?.as_f64()
}

fn boolean(object: &JsValue, name: &str) -> Option<bool> {
    property(object, name)?.as_bool()
}
