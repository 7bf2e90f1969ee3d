//! Models on the Node page: what can be loaded, what it costs to download, and what became of each backend.

use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::ModelId;
use node_wasm::status::{Backend, BackendOutcome, BackendReport, LoadReport, ModelState, ModelStatus};

use super::own::{self, Bring};
use super::state::{App, use_app};
use crate::format;
use crate::text::node as words;

/// A backend's name in settings, test ids and receipts.
pub(crate) const fn slug(backend: Backend) -> &'static str {
    match backend {
        Backend::Wonnx => "wonnx",
        Backend::Webgpu => "webgpu",
        Backend::Cpu => "cpu",
        Backend::Tract => "tract",
    }
}

pub(crate) fn load(app: App, model: ModelId) {
    let Some(node) = app.node() else { return };
    let pin = app.prefs.with_untracked(|prefs| prefs.pin);
    spawn_local(async move {
        let result = node.load_model(model, pin).await;
        app.report(result.map(|_| ()));
    });
}

pub(crate) fn unload(app: App, model: ModelId) {
    if let Some(node) = app.node() {
        app.report(node.unload(model));
    }
}

#[component]
pub(crate) fn Models() -> impl IntoView {
    let app = use_app();
    let models = app.shell_part(|status| {
        let all = status.models.iter().chain(&status.own_models);
        all.chain(&status.adding).cloned().collect::<Vec<_>>()
    });
    let ids =
        Memo::new(move |_| models.with(|m| m.iter().flatten().map(|model| model.id).collect::<Vec<_>>()));
    let unavailable = app.shell_part(|status| status.models_unavailable.clone());
    let model = move |id: ModelId| {
        Memo::new(move |_| models.with(|m| m.iter().flatten().find(|m| m.id == id).cloned()))
    };
    view! {
        <section class="card" aria-labelledby="models-heading">
            <h2 id="models-heading">{words::MODELS}</h2>
            <Show when=move || ids.with(Vec::is_empty)>
                <p class="empty">{move || unavailable.get().flatten().unwrap_or_else(|| words::MODELS_EMPTY.to_owned())}</p>
            </Show>
            <For each=move || ids.get() key=|id| *id let:id><Model model=model(id)/></For>
            <Bring/>
            <Pin/>
        </section>
    }
}

#[component]
fn Model(model: Memo<Option<ModelStatus>>) -> impl IntoView {
    let app = use_app();
    move || {
        model.get().map(|ModelStatus { id, name, license, bytes, state }| {
            let size = format::bytes(bytes);
            // Only what a person brought comes without.
            let is_own = license.is_empty();
            let body = match state {
                ModelState::Available => view! {
                    <p>{words::available(&size, &license)}</p>
                    <button type="button" class="button" data-testid="model-load" data-model=id.to_string() on:click=move |_| load(app, id)>
                        {words::load(&size)}
                    </button>
                }
                .into_any(),
                ModelState::Downloading { bytes, total, from_peers } => {
                    let said = if is_own {
                        words::READING.to_owned()
                    } else {
                        downloading(bytes, total, from_peers)
                    };
                    view! {
                        <p class="num" data-testid="model-downloading" data-bytes=bytes data-from-peers=from_peers>{said.clone()}</p>
                        <progress max=total.to_string() value=bytes.to_string() aria-label=said></progress>
                        <button type="button" class="button" data-testid="model-stop" hidden=is_own on:click=move |_| unload(app, id)>{words::STOP}</button>
                    }
                    .into_any()
                }
                ModelState::Verifying { backend } => {
                    let said = if is_own {
                        words::CHECKING.to_owned()
                    } else {
                        words::verifying(backend.map(|backend| words::backend(slug(backend))).as_deref())
                    };
                    view! { <p>{said.clone()}</p><progress aria-label=said></progress> }.into_any()
                }
                ModelState::Own { backend, ms_per_run, tokens_per_second, not_kept } => {
                    let speed = own::speed(ms_per_run, tokens_per_second);
                    own::row(app, id, words::own_facts(&size, &speed, &words::backend(slug(backend))), not_kept)
                }
                ModelState::Loaded { report, not_kept, wake_ms } => view! { <Loaded id report not_kept wake_ms/> }.into_any(),
                ModelState::Refused { reason } => view! {
                    <p class="bad-text">{words::refused(&reason)}</p>
                    <button type="button" class="button" data-testid="model-load" data-model=id.to_string() on:click=move |_| load(app, id)>
                        {words::load(&size)}
                    </button>
                }
                .into_any(),
            };
            view! { <div class="model"><h3 title=blob::to_cid(&id.0)>{name}</h3>{body}</div> }
        })
    }
}

/// How far a download is.
pub(super) fn downloading(bytes: u64, total: u64, from_peers: u64) -> String {
    let from_peers = (from_peers > 0).then(|| format::bytes(from_peers));
    words::downloading(
        &format::bytes(bytes),
        &format::bytes(total),
        from_peers.as_deref(),
    )
}

#[component]
fn Loaded(id: ModelId, report: LoadReport, not_kept: Option<String>, wake_ms: Option<u32>) -> impl IntoView {
    let app = use_app();
    let chosen = slug(report.chosen);
    let lines: Vec<_> = report
        .backends
        .into_iter()
        .map(|report| backend_line(report, chosen))
        .collect();
    let is_kept = not_kept.is_none();
    let not_kept = not_kept.map(|reason| words::not_kept(&reason));
    view! {
        <p data-testid="backend-active" data-backend=chosen data-model=id.to_string() data-state=if wake_ms.is_some() { "asleep" } else { "awake" }>
            {words::loaded(&words::backend(chosen), report.tokens_per_second)}
            {wake_ms.map(|ms| words::asleep(&format::duration(ms.into())))}
        </p>
        <p class="bad-text" data-testid="model-not-kept" hidden=is_kept>{not_kept}</p>
        <details open>
            <summary>{words::BACKENDS}</summary>
            <ul class="backends">{lines}</ul>
        </details>
        <button type="button" class="button" on:click=move |_| unload(app, id)>{words::UNLOAD}</button>
    }
}

fn backend_line(report: BackendReport, chosen: &str) -> impl IntoView + use<> {
    let kind = slug(report.kind);
    let name = words::backend(kind);
    match report.outcome {
        BackendOutcome::Correct {
            ms_per_run, cosine, ..
        } => {
            let said = words::correct(&format::duration(ms_per_run.max(0.0) as u64), cosine);
            let used = (kind == chosen).then(|| view! { <span class="badge">{words::IN_USE}</span> });
            view! { <li data-backend=kind><strong>{name}</strong>" "{used}<small>{said}</small></li> }
                .into_any()
        }
        BackendOutcome::Refused { reason } => view! {
            <li class="bad-text" data-testid="backend-refused" data-backend=kind>
                <strong>{name}</strong><small>{words::backend_refused(&reason)}</small>
            </li>
        }
        .into_any(),
        BackendOutcome::NotTried { reason } => view! {
            <li data-testid="backend-refused" data-backend=kind><strong>{name}</strong><small>{words::not_tried(&reason)}</small></li>
        }
        .into_any(),
    }
}

/// The person's choice of backend; a model that is loaded is prepared again with it.
#[component]
fn Pin() -> impl IntoView {
    let app = use_app();
    let pinned = move || app.prefs.with(|prefs| prefs.pin.map_or("auto", slug));
    let choose = move |value: String| {
        let pin = [Backend::Webgpu, Backend::Wonnx, Backend::Cpu, Backend::Tract]
            .into_iter()
            .find(|backend| slug(*backend) == value);
        app.choose(|prefs| prefs.pin = pin);
        let loaded = app.status.with_untracked(|status| {
            let models = status
                .as_ref()
                .map(|status| status.models.as_slice())
                .unwrap_or_default();
            let settled =
                |state: &ModelState| matches!(state, ModelState::Loaded { .. } | ModelState::Refused { .. });
            models
                .iter()
                .filter(|model| settled(&model.state))
                .map(|model| model.id)
                .collect::<Vec<_>>()
        });
        loaded.into_iter().for_each(|model| load(app, model));
    };
    let option = move |value: &'static str| {
        let name = if value == "auto" {
            words::PIN_AUTO.to_owned()
        } else {
            words::backend(value)
        };
        view! { <option value=value selected=move || pinned() == value>{name}</option> }
    };
    view! {
        <div class="pin">
            <label for="backend">{words::PIN}</label>
            <select id="backend" data-testid="backend" aria-describedby="pin-hint"
                on:change:target=move |event| choose(event.target().value())>
                {["auto", "webgpu", "wonnx", "cpu", "tract"].map(option).into_iter().collect::<Vec<_>>()}
            </select>
            <small id="pin-hint">{words::PIN_HINT}</small>
        </div>
    }
}
