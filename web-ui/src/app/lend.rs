//! The lending switch, its limits, and the reason beside it when lending pauses.

use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::capability::{LendPolicy, PauseReason};
use node_proto::io::Command;
use node_proto::view::LendingView;
use node_wasm::status::{ModelState, ShellStatus};

use super::models;
use super::state::{App, use_app};
use crate::format;
use crate::text;
use crate::text::node as words;

const MEGABYTE: u64 = 1_000_000;

/// Turns lending on or off. The node loads the model by itself; only a pinned backend is asked for by name, first, so
/// that the model is prepared once.
fn switch(app: App, on: bool) {
    let pinned = app.prefs.with_untracked(|prefs| prefs.pin.is_some());
    let first = app.status.with_untracked(|status| {
        status
            .as_ref()
            .and_then(|status| status.models.first().map(|m| m.id))
    });
    if let Some(model) = first.filter(|_| pinned) {
        if on {
            models::load(app, model)
        } else {
            models::unload(app, model)
        }
    }
    // After the load, which takes its turn like this: else the node would choose a model by itself meanwhile.
    spawn_local(async move { change(app, |policy| policy.enabled = on) });
}

/// Changes the limits, from what was chosen last: what is shown lags behind by a moment, in which a second change would
/// undo the first.
fn change(app: App, change: impl FnOnce(&mut LendPolicy)) {
    if let Some(node) = app.node() {
        let mut policy = node.lend_policy();
        change(&mut policy);
        app.command(Command::Lend(policy));
    }
}

/// The state as one word for tests and styles, and as a sentence with the reason.
fn state(lending: &LendingView, obstacle: Option<String>) -> (&'static str, String) {
    if !lending.policy.enabled {
        return ("off", words::OFF.to_owned());
    }
    match lending.paused {
        Some(PauseReason::NoModel) => obstacle.map_or_else(
            || ("preparing", words::PREPARING.to_owned()),
            |reason| ("paused", reason),
        ),
        Some(reason) => ("paused", text::pause(reason).to_owned()),
        None if !lending.offering => ("preparing", words::LENDING_SOON.to_owned()),
        None if lending.running > 0 => ("lending", words::lending(lending.running)),
        None => ("lending", words::LENDING_IDLE.to_owned()),
    }
}

/// Why no model gets ready, if that is so.
fn obstacle(status: &ShellStatus) -> Option<String> {
    // Which model is lent is the node's choice.
    let refused = status.models.iter().find_map(|model| match &model.state {
        ModelState::Refused { reason } => Some(words::refused(reason)),
        _ => None,
    });
    refused.or_else(|| status.models_unavailable.as_deref().map(words::no_models))
}

#[component]
pub(crate) fn Lend() -> impl IntoView {
    let app = use_app();
    let lending = app.part(|snapshot| snapshot.lending.clone());
    let obstacle = app.shell_part(obstacle);
    let policy = Memo::new(move |_| lending.get().map(|lending| lending.policy).unwrap_or_default());
    let known = Memo::new(move |_| lending.with(Option::is_some));
    let shown = Memo::new(move |_| lending.with(|l| l.as_ref().map(|l| state(l, obstacle.get().flatten()))));
    let offline = move || !known.get();
    view! {
        <section class="card lend" aria-labelledby="lend-heading">
            <div class="row spread">
                <h2 id="lend-heading"><label for="lend">{words::LEND}</label></h2>
                <input id="lend" type="checkbox" role="switch" class="switch" data-testid="lend" aria-describedby="lend-state"
                    disabled=offline prop:checked=move || policy.get().enabled
                    on:change:target=move |event| { switch(app, event.target().checked()); }/>
            </div>
            <p class="lend-state" id="lend-state" role="status" data-testid="lend-state"
                data-state=move || shown.get().map_or("off", |(state, _)| state)>
                {move || shown.get().map_or_else(|| text::shell::STARTING.to_owned(), |(_, sentence)| sentence)}
            </p>
            <Preparing/>
            <p class="hint">{words::LEND_HINT}</p>
            <fieldset disabled=offline>
                <legend>{words::LIMITS}</legend>
                <Slider id="lend-cpu" name=words::COMPUTE min=5 max=100 step=5
                    value=Signal::derive(move || (policy.get().compute_share * 100.0).round() as u64)
                    say=|percent| (format!("{percent} %"), words::compute_hint(percent as u32).to_owned())
                    set=move |percent| change(app, |p| p.compute_share = percent as f32 / 100.0)/>
                <Slider id="lend-memory" name=words::MEMORY min=100 max=4_000 step=100
                    value=Signal::derive(move || policy.get().memory_bytes / MEGABYTE)
                    say=|megabytes| (format::bytes(megabytes * MEGABYTE), words::memory_hint(megabytes).to_owned())
                    set=move |megabytes| change(app, |p| p.memory_bytes = megabytes * MEGABYTE)/>
                <Slider id="lend-storage" name=words::STORAGE min=50 max=2_000 step=50
                    value=Signal::derive(move || policy.get().storage_bytes / MEGABYTE)
                    say=|megabytes| (format::bytes(megabytes * MEGABYTE), words::storage_hint(megabytes))
                    set=move |megabytes| change(app, |p| p.storage_bytes = megabytes * MEGABYTE)/>
                <Check id="lend-charging" name=words::CHARGING hint=words::CHARGING_HINT
                    value=Signal::derive(move || policy.get().only_charging)
                    set=move |on| change(app, |p| p.only_charging = on)/>
                <Check id="lend-unmetered" name=words::UNMETERED hint=words::UNMETERED_HINT
                    value=Signal::derive(move || policy.get().only_unmetered)
                    set=move |on| change(app, |p| p.only_unmetered = on)/>
            </fieldset>
        </section>
    }
}

/// How far the model is that lending waits for.
#[component]
fn Preparing() -> impl IntoView {
    let app = use_app();
    let progress = app.shell_part(|status| {
        status.models.iter().find_map(|model| match model.state {
            ModelState::Downloading {
                bytes,
                total,
                from_peers,
            } => Some((bytes, total, from_peers)),
            _ => None,
        })
    });
    move || {
        progress.get().flatten().map(|(bytes, total, from_peers)| {
            let said = models::downloading(bytes, total, from_peers);
            view! {
                <p class="download">
                    <progress max=total.to_string() value=bytes.to_string() aria-label=said.clone()></progress>
                    <span class="num">{said.clone()}</span>
                </p>
            }
        })
    }
}

/// A limit. It says what a position means while it is moved, and takes effect when it is let go.
#[component]
fn Slider(
    id: &'static str,
    name: &'static str,
    min: u64,
    max: u64,
    step: u64,
    value: Signal<u64>,
    say: fn(u64) -> (String, String),
    set: impl Fn(u64) + 'static,
) -> impl IntoView {
    let dragged = RwSignal::new(None::<u64>);
    let shown = Memo::new(move |_| dragged.get().unwrap_or_else(|| value.get()));
    let said = move || say(shown.get());
    Effect::new(move || {
        value.track();
        dragged.set(None);
    });
    let read = |text: String| text.parse::<u64>().ok();
    view! {
        <div class="slider">
            <label for=id>{name}</label>
            <output for=id><span class="num strong">{move || said().0}</span>" "<span class="hint">{move || said().1}</span></output>
            <input id=id type="range" data-testid=id min=min.to_string() max=max.to_string() step=step.to_string()
                aria-valuetext=move || { let (amount, meaning) = said(); format!("{amount}, {meaning}") }
                prop:value=move || shown.get().to_string()
                on:input:target=move |event| dragged.set(read(event.target().value()))
                on:change:target=move |event| if let Some(value) = read(event.target().value()) { set(value) }/>
        </div>
    }
}

#[component]
fn Check(
    id: &'static str,
    name: &'static str,
    hint: &'static str,
    value: Signal<bool>,
    set: impl Fn(bool) + 'static,
) -> impl IntoView {
    let hint_id = format!("{id}-hint");
    view! {
        <div class="check">
            <input id=id type="checkbox" data-testid=id aria-describedby=hint_id.clone() prop:checked=move || value.get()
                on:change:target=move |event| set(event.target().checked())/>
            <label for=id>{name}</label>
            <small id=hint_id>{hint}</small>
        </div>
    }
}
