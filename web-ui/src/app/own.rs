//! Models of one's own on the Node page: bringing one, what is known of those that were brought, removing one.

use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::ModelId;
use node_wasm::own::BroughtModel;
use node_wasm::status::{Adding, OwnModelStatus};
use web_sys::{File, FileList, HtmlInputElement};

use super::models::slug;
use super::state::{App, use_app};
use crate::text::{node, own as words};
use crate::{format, text};

/// Files looked at of what was chosen.
const FILES_MAX: u32 = 8;

/// What came of the last thing that was tried.
#[derive(Clone, Default, PartialEq)]
struct Said {
    text: String,
    bad: bool,
}

impl Said {
    fn good(text: String) -> Self {
        Self { text, bad: false }
    }

    fn bad(text: String) -> Self {
        Self { text, bad: true }
    }
}

/// Tells the files that were chosen together apart by their names.
fn sort_out(files: &FileList) -> Result<BroughtModel, &'static str> {
    let (mut onnx, mut tokenizer, mut config) = (None::<File>, None, None);
    for file in (0..files.length().min(FILES_MAX)).filter_map(|index| files.get(index)) {
        let name = file.name().to_lowercase();
        if name.ends_with(".onnx") {
            if onnx.replace(file).is_some() {
                return Err(words::ONE_MODEL);
            }
        } else if name.contains("tokenizer") {
            tokenizer = Some(file.into());
        } else if name.contains("config") {
            config = Some(file.into());
        }
    }
    let onnx = onnx.ok_or(words::NO_MODEL)?;
    let name = onnx.name();
    Ok(BroughtModel {
        name: name.rsplit_once('.').map_or(&*name, |(stem, _)| stem).to_owned(),
        onnx: onnx.into(),
        tokenizer,
        config,
    })
}

async fn bring(app: App, files: FileList, said: RwSignal<Said>) {
    let Some(handle) = app.node() else { return };
    said.set(Said::default());
    let model = match sort_out(&files) {
        Ok(model) => model,
        Err(reason) => return said.set(Said::bad(reason.to_owned())),
    };
    let name = model.name.clone();
    said.set(match handle.add_model(model).await {
        Ok(_) => Said::good(words::added(&name)),
        Err(error) => Said::bad(words::refused(&name, &text::sentence(&error))),
    });
}

async fn remove(app: App, id: ModelId, name: String, said: RwSignal<Said>) {
    let Some(handle) = app.node() else { return };
    said.set(match handle.remove_model(id).await {
        Ok(()) => Said::good(words::removed(&name)),
        Err(error) => Said::bad(text::sentence(&error)),
    });
}

#[component]
pub(crate) fn OwnModels() -> impl IntoView {
    let app = use_app();
    let said = RwSignal::new(Said::default());
    let models = app.shell_part(|status| status.own_models.clone());
    let adding = app.shell_part(|status| status.adding.clone());
    let busy = move || adding.get().flatten().is_some();
    let choose = move |input: HtmlInputElement| {
        if let Some(files) = input.files() {
            spawn_local(async move {
                bring(app, files, said).await;
                // The same files may be chosen again.
                input.set_value("");
            });
        }
    };
    view! {
        <section class="card" aria-labelledby="own-heading">
            <h2 id="own-heading">{words::TITLE}</h2>
            <p class="hint">{words::HINT}</p>
            {move || models.get().unwrap_or_default().into_iter().map(|model| view! { <Own model said/> }).collect::<Vec<_>>()}
            <label class="button file" hidden=busy>
                {words::BRING}
                <input type="file" class="sr" multiple accept=".onnx,.json" data-testid="own-files"
                    on:change:target=move |event| choose(event.target())/>
            </label>
            {move || adding.get().flatten().map(progress)}
            <p role="status" data-testid="own-said" data-bad=move || said.with(|said| said.bad.to_string())
                class=move || if said.with(|said| said.bad) { "bad-text" } else { "hint" }>
                {move || said.with(|said| said.text.clone())}
            </p>
        </section>
    }
}

fn progress(Adding { name, bytes, total }: Adding) -> impl IntoView {
    let is_checking = total > 0 && bytes * 2 == total;
    let label = if is_checking {
        words::checking(&name)
    } else {
        words::reading(&name)
    };
    let value = (!is_checking && total > 0).then(|| bytes.to_string());
    view! {
        <p class="hint">{label.clone()}</p>
        <progress data-testid="own-adding" max=total.max(1).to_string() value=value aria-label=label></progress>
    }
}

#[component]
fn Own(model: OwnModelStatus, said: RwSignal<Said>) -> impl IntoView {
    let app = use_app();
    let asking = RwSignal::new(false);
    let speed = match (model.tokens_per_second, model.ms_per_run) {
        (Some(tokens), _) => node::tokens_per_second(tokens),
        (None, Some(ms)) if ms < 1.0 => words::A_MOMENT.to_owned(),
        (None, Some(ms)) => words::a_run(&format::duration(ms as u64)),
        (None, None) => words::NOT_MEASURED.to_owned(),
    };
    let backend = slug(model.backend);
    let facts = words::facts(&format::bytes(model.bytes), &speed, &node::backend(backend));
    let (id, name) = (model.id, model.name);
    let removed = name.clone();
    view! {
        <div class="model" data-testid="own-model" data-model=id.to_string() data-backend=backend>
            <h3 title=id.to_string()>{name.clone()}</h3>
            <p class="num">{facts}</p>
            {model.not_kept.map(|reason| view! { <p class="bad-text" data-testid="own-not-kept">{words::not_kept(&reason)}</p> })}
            <button type="button" class="button" data-testid="own-remove" aria-label=words::remove(&name)
                hidden=move || asking.get() on:click=move |_| asking.set(true)>{words::REMOVE}</button>
            <div class="row wrap" hidden=move || !asking.get()>
                <span>{words::REALLY}</span>
                <button type="button" class="button" data-testid="own-remove-now" on:click=move |_| {
                    spawn_local(remove(app, id, removed.clone(), said));
                }>{words::REMOVE}</button>
                <button type="button" class="button" on:click=move |_| asking.set(false)>{words::KEEP}</button>
            </div>
        </div>
    }
}
