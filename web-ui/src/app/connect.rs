//! Starts the node and follows it: trade steps at once, everything else a few times a second at most.

use std::cell::Cell;
use std::rc::Rc;

use futures::StreamExt as _;
use gloo::timers::future::TimeoutFuture;
use js_sys::Uint8Array;
use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::NodeId;
use node_proto::view::Event;
use node_wasm::NodeHandle;
use node_wasm::error::{BackupError, CommandError, StartError};
use node_wasm::events::{NodeEvent, ShellEvent};
use node_wasm::options::StartOptions;
use node_wasm::status::TabStatus;

use super::state::{App, Phase};
use super::{ask, library, pages, platform};

/// Changes that come faster are shown together.
const REFRESH_MS: u32 = 80;
/// Ages on the page grow even when nothing happens.
const TICK_MS: u32 = 10_000;

/// Starts the node of this browser in this tab, unless another tab has it.
pub(crate) fn spawn(app: App) {
    platform::on_document("visibilitychange", move || refresh(app));
    spawn_local(tick(app));
    spawn_local(start(app, false));
}

/// Takes the node from the other tab.
pub(crate) fn take_over(app: App) {
    app.phase.set(Phase::Starting);
    spawn_local(start(app, true));
}

/// Changes the group. A node is in one group for its life, so a running one is stopped and started again.
pub(crate) fn enter(app: App, group: Option<String>) {
    let before = app.prefs.with_untracked(|prefs| prefs.group.clone());
    if before == group {
        return;
    }
    app.choose(|prefs| {
        prefs.former_group = before;
        prefs.group = group;
    });
    if let Some(node) = app.take_node() {
        app.phase.set(Phase::Starting);
        spawn_local(async move {
            node.stop().await;
            start(app, false).await;
        });
    }
}

/// Puts a backup in place and goes on with the node that it makes of this device; says which one that is.
pub(crate) async fn restore(
    app: App,
    file: &Uint8Array,
    passphrase: &str,
    replace: bool,
) -> Result<NodeId, BackupError> {
    let node = app.node().ok_or(CommandError::Stopped)?;
    let result = node.import_backup(file, passphrase, replace).await;
    if node.status().tab == TabStatus::Stopped {
        app.take_node();
        app.phase.set(Phase::Starting);
        spawn_local(start(app, false));
    }
    result
}

async fn start(app: App, take_over: bool) {
    let group = app.prefs.with_untracked(|prefs| prefs.group.clone());
    match NodeHandle::start(StartOptions {
        group,
        take_over,
        ..StartOptions::default()
    })
    .await
    {
        Ok(node) => follow(app, node).await,
        Err(StartError::RunsElsewhere) => app.phase.set(Phase::OtherTab { moved: false }),
        Err(error) => app.phase.set(Phase::Failed(error.to_string())),
    }
}

async fn follow(app: App, node: NodeHandle) {
    let mut events = node.events();
    app.set_node(node);
    refresh(app);
    app.phase.set(Phase::Ready);
    pages::fetch(app);
    if app.library().is_none() {
        library::open(app);
    }
    let pending = Rc::new(Cell::new(false));
    while let Some(event) = events.next().await {
        match event {
            NodeEvent::Core(Event::Trade { job, step, .. }) => ask::step(app, job, &step),
            NodeEvent::Shell(ShellEvent::Stopped {
                tab: TabStatus::TakenOver,
            }) => {
                app.take_node();
                app.phase.set(Phase::OtherTab { moved: true });
            }
            _ => schedule(app, &pending),
        }
    }
}

fn schedule(app: App, pending: &Rc<Cell<bool>>) {
    if pending.replace(true) {
        return;
    }
    let pending = pending.clone();
    spawn_local(async move {
        TimeoutFuture::new(REFRESH_MS).await;
        pending.set(false);
        refresh(app);
    });
}

/// Reads the node's state into the signals.
fn refresh(app: App) {
    let Some(node) = app.node() else { return };
    app.now.set(node.now());
    app.status.set(Some(node.status()));
    app.snapshot.set(Some(node.snapshot()));
}

async fn tick(app: App) {
    loop {
        TimeoutFuture::new(TICK_MS).await;
        if !platform::hidden() {
            refresh(app);
        }
    }
}
