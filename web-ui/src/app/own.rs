//! Models of one's own among the models of the Node page: bringing one, what is known of it, removing it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::ModelId;
use node_wasm::own::BroughtModel;
use web_sys::{File, FileList, HtmlInputElement};

use super::state::{App, use_app};
use crate::text::node as words;
use crate::{format, text};

/// Files looked at of what was chosen.
const FILES_MAX: u32 = 8;

/// Tells the files that were chosen together apart by their names; `None` without exactly one model.
fn sort_out(files: &FileList) -> Option<BroughtModel> {
    let (mut onnx, mut tokenizer, mut config) = (None::<File>, None, None);
    for file in (0..files.length().min(FILES_MAX)).filter_map(|index| files.get(index)) {
        let name = file.name().to_lowercase();
        if name.ends_with(".onnx") {
            if onnx.replace(file).is_some() {
                return None;
            }
        } else if name.contains("tokenizer") {
            tokenizer = Some(file.into());
        } else if name.contains("config") {
            config = Some(file.into());
        }
    }
    let onnx = onnx?;
    Some(BroughtModel {
        name: onnx.name(),
        onnx: onnx.into(),
        tokenizer,
        config,
    })
}

/// What there is to say when it is done.
async fn bring(app: App, files: &FileList) -> String {
    let (Some(handle), Some(model)) = (app.node(), sort_out(files)) else {
        return words::NO_MODEL.to_owned();
    };
    let name = model.name.clone();
    match handle.add_model(model).await {
        Ok(_) => String::new(),
        Err(error) => words::not_added(&name, &text::sentence(&error)),
    }
}

fn remove(app: App, id: ModelId) {
    let Some(handle) = app.node() else { return };
    spawn_local(async move {
        if let Err(error) = handle.remove_model(id).await {
            app.error.set(Some(text::sentence(&error)));
        }
    });
}

/// The way in.
#[component]
pub(crate) fn Bring() -> impl IntoView {
    let app = use_app();
    let said = RwSignal::new(String::new());
    let choose = move |input: HtmlInputElement| {
        spawn_local(async move {
            if let Some(files) = input.files() {
                said.set(String::new());
                said.set(bring(app, &files).await);
            }
            // The same files may be chosen again.
            input.set_value("");
        });
    };
    view! {
        <p class="hint">{words::BRING_HINT}</p>
        <label class="button file">
            {words::BRING}
            <input type="file" class="sr" multiple accept=".onnx,.json" data-testid="own-files"
                on:change:target=move |event| choose(event.target())/>
        </label>
        <p class="bad-text" role="status" data-testid="own-refused">{move || said.get()}</p>
    }
}

/// How fast one is, in words.
pub(crate) fn speed(ms_per_run: Option<f64>, tokens_per_second: Option<f64>) -> String {
    match (tokens_per_second, ms_per_run) {
        (Some(tokens), _) => words::tokens_per_second(tokens),
        (None, Some(ms)) if ms < 1.0 => words::A_MOMENT.to_owned(),
        (None, Some(ms)) => words::a_run(&format::duration(ms as u64)),
        (None, None) => words::NOT_MEASURED.to_owned(),
    }
}

/// What the list shows of one.
pub(crate) fn row(app: App, id: ModelId, facts: String, not_kept: Option<String>) -> AnyView {
    let is_kept = not_kept.is_none();
    let not_kept = not_kept.map(|reason| words::not_kept(&reason));
    view! {
        <p class="num" data-testid="own-model" data-model=id.to_string()>{facts}</p>
        <p class="bad-text" hidden=is_kept>{not_kept}</p>
        <details>
            <summary data-testid="own-remove">{words::REMOVE}</summary>
            <button type="button" class="button" data-testid="own-remove-now" on:click=move |_| remove(app, id)>
                {words::REMOVE_NOW}
            </button>
        </details>
    }
    .into_any()
}
