//! The JavaScript API: the class `KnowledgeNode`, for pages that are not ours.
//!
//! The class is a thin translation of [`NodeHandle`]: values are plain objects with camelCase names (`types.ts` has
//! them all), promises reject with an `Error` whose `code` is stable, and no call blocks the page.

mod convert;
mod input;
mod own;
mod storage;
mod tensor;

use litemap::LiteMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::StreamExt as _;
use js_sys::{Function, Promise, Uint8Array};
use node_proto::io::Command;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use self::convert::{error, outcome_to_js, to_js};
use crate::error::{BackupError, CommandError, RequestError};
use crate::events::Events;
use crate::handle::NodeHandle;
use crate::invite::Invite;
use crate::options::StartOptions;
use crate::status::TabStatus;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.ts");

/// Callbacks of one node.
const LISTENERS_MAX: usize = 64;
/// Receipts with one peer, unless another number is asked for.
const RECEIPTS_DEFAULT: u32 = 100;

#[wasm_bindgen]
extern "C" {
    type ImportMeta;

    #[wasm_bindgen(method, getter)]
    fn url(this: &ImportMeta) -> Option<String>;

    #[wasm_bindgen(thread_local_v2, js_namespace = import, js_name = meta)]
    static IMPORT_META: ImportMeta;
}

/// A node of the knowledge network in this page.
#[wasm_bindgen(skip_typescript)]
#[derive(Default)]
pub struct KnowledgeNode {
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    handle: RefCell<Option<NodeHandle>>,
    /// Those of the last start.
    options: RefCell<StartOptions>,
    starting: Cell<bool>,
    listeners: RefCell<LiteMap<u64, (String, Function)>>,
    next_listener: Cell<u64>,
}

#[wasm_bindgen]
impl KnowledgeNode {
    /// A node that is not started.
    #[wasm_bindgen(constructor, skip_typescript)]
    #[must_use]
    pub fn new() -> Self {
        console_error_panic_hook::set_once();
        Self::default()
    }

    /// The text of an invite to a new group.
    #[wasm_bindgen(js_name = newGroup, skip_typescript)]
    pub fn new_group() -> Result<String, JsValue> {
        NodeHandle::new_group()
            .map(|invite| invite.text())
            .map_err(|reason| error(reason.code(), &reason))
    }

    /// Starts the node.
    #[wasm_bindgen(skip_typescript)]
    pub async fn start(&self, options: JsValue) -> Result<(), JsValue> {
        let mut options: StartOptions = input::read(options, "invalid_options")?;
        options.relay = options.relay.or_else(module_origin);
        if self.state.handle.borrow().is_some() || self.state.starting.replace(true) {
            return Err(error(
                "already_started",
                &"this node is started already: make a second one for a second node",
            ));
        }
        self.state.options.replace(options);
        let started = begin(&self.state).await;
        self.state.starting.set(false);
        started
    }

    /// This node's name.
    #[wasm_bindgen(getter, js_name = peerId, skip_typescript)]
    pub fn peer_id(&self) -> Option<String> {
        self.state
            .handle
            .borrow()
            .as_ref()
            .map(|handle| handle.status().me.to_string())
    }

    /// The text that invites to this node's group.
    #[wasm_bindgen(getter, skip_typescript)]
    pub fn invite(&self) -> Option<String> {
        self.state
            .handle
            .borrow()
            .as_ref()
            .and_then(NodeHandle::invite)
            .as_ref()
            .map(Invite::text)
    }

    /// Everyone who is connected or was traded with.
    #[wasm_bindgen(skip_typescript)]
    pub fn peers(&self) -> Result<JsValue, JsValue> {
        let handle = self.handle()?;
        to_js(&convert::peers(&handle.snapshot(), &handle.status()))
    }

    /// The shell's state.
    #[wasm_bindgen(skip_typescript)]
    pub fn status(&self) -> Result<JsValue, JsValue> {
        to_js(&self.handle()?.status())
    }

    /// Connects to an address.
    #[wasm_bindgen(skip_typescript)]
    pub async fn dial(&self, multiaddr: String) -> Result<String, JsValue> {
        let peer = self.handle()?.dial(&multiaddr).await.map_err(command_error)?;
        Ok(peer.to_string())
    }

    /// What this device measured and what follows from it.
    #[wasm_bindgen(skip_typescript)]
    pub fn capabilities(&self) -> Result<JsValue, JsValue> {
        let snapshot = self.handle()?.snapshot();
        to_js(&convert::Capabilities {
            tier: snapshot.tier,
            capability: snapshot.capability,
        })
    }

    /// Offers seen in the group.
    #[wasm_bindgen(skip_typescript)]
    pub fn offers(&self) -> Result<JsValue, JsValue> {
        to_js(&self.handle()?.snapshot().offers)
    }

    /// Switches lending on, off or to other limits, and tells what came of it.
    #[wasm_bindgen(skip_typescript)]
    pub fn lend(&self, options: JsValue) -> Result<JsValue, JsValue> {
        let options: input::Lend = input::read(options, "invalid_input")?;
        let handle = self.handle()?;
        let policy = options.onto(handle.lend_policy())?;
        let lending = handle.snapshot().lending;
        handle
            .command(Command::Lend(policy.clone()))
            .map_err(command_error)?;
        to_js(&node_proto::view::LendingView { policy, ..lending })
    }

    /// Buys a service.
    #[wasm_bindgen(skip_typescript)]
    pub async fn request(
        &self,
        service: String,
        payload: JsValue,
        requirements: JsValue,
    ) -> Result<JsValue, JsValue> {
        let handle = self.handle()?;
        let request = input::service_request(&service, payload, |module| handle.hold_module(module))?;
        let requirements: input::Conditions = input::read(requirements, "invalid_input")?;
        let (_, outcome) = handle.request(request, requirements.into_core()?);
        match outcome.await {
            Ok(outcome) => outcome_to_js(&outcome),
            Err(RequestError::Trade(failure)) => Err(convert::failure(&failure)),
            Err(RequestError::Command(reason)) => Err(command_error(reason)),
        }
    }

    /// Credits.
    #[wasm_bindgen(skip_typescript)]
    pub fn balance(&self) -> Result<JsValue, JsValue> {
        to_js(&self.handle()?.snapshot().balance)
    }

    /// The newest receipts.
    #[wasm_bindgen(skip_typescript)]
    pub fn receipts(&self) -> Result<JsValue, JsValue> {
        to_js(&self.handle()?.snapshot().receipts)
    }

    /// What this node knows of a peer's conduct.
    #[wasm_bindgen(skip_typescript)]
    pub fn reputation(&self, peer: &str) -> Result<JsValue, JsValue> {
        let peer = input::peer(peer)?;
        to_js(&self.handle()?.reputation(&peer))
    }

    /// The own receipts with a peer.
    #[wasm_bindgen(js_name = receiptsWith, skip_typescript)]
    pub fn receipts_with(&self, peer: &str, count: Option<u32>) -> Result<JsValue, JsValue> {
        let peer = input::peer(peer)?;
        let count = count.unwrap_or(RECEIPTS_DEFAULT) as usize;
        to_js(&self.handle()?.receipts_with(&peer, count))
    }

    /// How much a member of the group, or everyone, may owe this node.
    #[wasm_bindgen(js_name = setCreditLine, skip_typescript)]
    pub fn set_credit_line(&self, line: JsValue) -> Result<(), JsValue> {
        let line: input::CreditLine = input::read(line, "invalid_input")?;
        let command = line.into_core()?;
        self.handle()?.command(command).map_err(command_error)
    }

    /// Identity and ledger as one encrypted file.
    #[wasm_bindgen(js_name = exportBackup, skip_typescript)]
    pub async fn export_backup(&self, passphrase: String) -> Result<Uint8Array, JsValue> {
        let exported = self.handle()?.export_backup(passphrase).await;
        exported.map_err(backup_error)
    }

    /// Puts a backup in place and goes on as what it is of.
    #[wasm_bindgen(js_name = importBackup, skip_typescript)]
    pub async fn import_backup(
        &self,
        file: Uint8Array,
        passphrase: String,
        options: JsValue,
    ) -> Result<(), JsValue> {
        let input::Import { replace } = input::read(options, "invalid_input")?;
        let handle = self.handle()?;
        let imported = handle.import_backup(&file, &passphrase, replace).await;
        if handle.status().tab == TabStatus::Stopped {
            begin(&self.state).await?;
        }
        imported.map(drop).map_err(backup_error)
    }

    /// Calls back on events of a name; returns a function that ends that.
    #[wasm_bindgen(skip_typescript)]
    pub fn on(&self, event: String, callback: JsValue) -> Result<JsValue, JsValue> {
        let callback: Function = callback
            .dyn_into()
            .map_err(|_| error("invalid_input", &"the second argument of on() must be a function"))?;
        if !convert::EVENTS.contains(&event.as_str()) {
            return Err(error(
                "invalid_input",
                &format!("there is no event of the name {event:?}"),
            ));
        }
        let mut listeners = self.state.listeners.borrow_mut();
        if listeners.len() >= LISTENERS_MAX {
            return Err(error("busy", &"too many callbacks are registered"));
        }
        let id = self
            .state
            .next_listener
            .replace(self.state.next_listener.get() + 1);
        listeners.insert(id, (event, callback));
        let state = Rc::downgrade(&self.state);
        let end = Closure::<dyn Fn()>::new(move || {
            if let Some(state) = state.upgrade() {
                state.listeners.borrow_mut().remove(&id);
            }
        });
        Ok(end.into_js_value())
    }

    /// Stops the node.
    #[wasm_bindgen(skip_typescript)]
    pub async fn stop(&self) {
        let handle = self.state.handle.borrow().clone();
        if let Some(handle) = handle {
            handle.stop().await;
        }
    }

    fn handle(&self) -> Result<NodeHandle, JsValue> {
        let handle = self.state.handle.borrow().clone();
        handle.ok_or_else(|| error("not_started", &"the node is not started: await start() first"))
    }
}

/// Starts a node in place of the one before, if there was one; callbacks stay.
async fn begin(state: &Rc<State>) -> Result<(), JsValue> {
    let options = state.options.borrow().clone();
    let started = NodeHandle::start(options).await;
    let handle = started.map_err(|reason| error(reason.code(), &reason))?;
    let events = handle.events();
    state.handle.replace(Some(handle));
    wasm_bindgen_futures::spawn_local(tell(state.clone(), events));
    Ok(())
}

/// Passes events on. A callback that throws harms nobody but itself.
async fn tell(state: Rc<State>, mut events: Events) {
    while let Some(event) = events.next().await {
        let Ok((name, detail)) = convert::event(&event) else {
            continue;
        };
        let callbacks: Vec<Function> = {
            let listeners = state.listeners.borrow();
            listeners
                .values()
                .filter(|(wanted, _)| *wanted == name)
                .map(|(_, callback)| callback.clone())
                .collect()
        };
        for callback in callbacks {
            if let Err(thrown) = callback.call1(&JsValue::UNDEFINED, &detail) {
                // Shows in the console as any unhandled error does.
                let _ = Promise::reject(&thrown);
            }
        }
    }
}

/// Where this module came from; `None` if it is not an http address, as in a bundle.
fn module_origin() -> Option<String> {
    let url = IMPORT_META.with(ImportMeta::url)?;
    let url = web_sys::Url::new(&url).ok()?;
    url.protocol().starts_with("http").then(|| url.origin())
}

fn command_error(reason: CommandError) -> JsValue {
    error(reason.code(), &reason)
}

fn backup_error(reason: BackupError) -> JsValue {
    error(reason.code(), &reason)
}
