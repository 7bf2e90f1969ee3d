//! Buying computations on the Market page: a program, its inputs, how far it is, and what came back.

mod buy;

use computation::catalogue::{Catalogue, Listed};
use js_sys::Uint8Array;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, HtmlInputElement, Response, SubmitEvent};

use super::parts::Privacy;
use super::platform;
use super::state::{App, use_app};
use crate::format;
use crate::text::compute as words;
use buy::{Done, Input, Sheet};

/// Inputs of one sheet.
const INPUTS_MAX: u32 = 10_000;
/// Longest preview of an output, characters.
const SHOWN_CHARS_MAX: usize = 4_000;

/// What the person has chosen so far.
#[derive(Clone, Copy)]
struct Form {
    programs: RwSignal<Vec<Listed>, LocalStorage>,
    /// A place in the list; beyond its end stands one's own.
    program: RwSignal<usize>,
    own: RwSignal<Option<(String, Vec<u8>)>>,
    typed: RwSignal<String>,
    files: RwSignal<Vec<Input>>,
    fuel: RwSignal<u64>,
    said: RwSignal<String>,
    sheet: RwSignal<Option<Sheet>>,
}

impl Form {
    fn new() -> Self {
        Self {
            programs: RwSignal::new_local(Vec::new()),
            program: RwSignal::new(0),
            own: RwSignal::new(None),
            typed: RwSignal::new(String::new()),
            files: RwSignal::new(Vec::new()),
            fuel: RwSignal::new(words::FUELS[1].0),
            said: RwSignal::new(String::new()),
            sheet: RwSignal::new(None),
        }
    }

    /// The program of the site's that is chosen.
    fn listed(self) -> Option<Listed> {
        self.programs
            .with(|programs| programs.get(self.program.get()).cloned())
    }

    /// Chooses a program of the site, with its sample to try it with.
    fn choose(self, place: usize) {
        self.program.set(place);
        self.files.set(Vec::new());
        let sample = self.listed().map(|listed| match listed.is_text {
            true => String::from_utf8_lossy(&listed.sample).into_owned(),
            false => listed.sample.iter().map(|byte| format!("{byte:02x}")).collect(),
        });
        self.typed.set(sample.unwrap_or_default());
    }

    /// The module's bytes.
    async fn module(self) -> Result<Vec<u8>, String> {
        match (self.listed(), self.own.get_untracked()) {
            (Some(listed), _) => {
                let module = fetch(&format!("/modules/{}.wasm", listed.name)).await;
                module
                    .filter(|module| blob::name_of(module) == listed.blob)
                    .ok_or_else(|| words::NOT_FETCHED.to_owned())
            }
            (None, Some((_, module))) => Ok(module),
            (None, None) => Err(words::NO_PROGRAM.to_owned()),
        }
    }

    fn inputs(self) -> Result<Vec<Input>, String> {
        let files = self.files.get_untracked();
        if !files.is_empty() {
            return Ok(files);
        }
        let typed = self.typed.get_untracked();
        let is_text = self.listed().is_none_or(|listed| listed.is_text);
        let bytes = match is_text {
            true => Some(typed.into_bytes()),
            false => bytes_of(&typed),
        };
        let bytes = bytes.ok_or_else(|| words::NO_HEX.to_owned())?;
        let name = words::TYPED.to_owned();
        Ok(vec![Input { name, bytes }])
    }

    fn submit(self, app: App) {
        self.said.set(String::new());
        spawn_local(async move {
            let begun = async {
                let (module, inputs) = (self.module().await?, self.inputs()?);
                buy::begin(app, self.sheet, module, inputs, self.fuel.get_untracked());
                Ok::<_, String>(())
            };
            if let Err(reason) = begun.await {
                self.said.set(reason);
            }
        });
    }
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let (pairs, rest) = digits.as_ref()?.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// A file of the site.
async fn fetch(path: &str) -> Option<Vec<u8>> {
    let response = JsFuture::from(platform::window()?.fetch_with_str(path))
        .await
        .ok()?;
    let response: Response = response.dyn_into().ok()?;
    let body = response.ok().then(|| response.array_buffer().ok())??;
    let body = JsFuture::from(body).await.ok()?;
    Some(Uint8Array::new(&body).to_vec())
}

async fn read(file: &File) -> Result<Vec<u8>, String> {
    let buffer = JsFuture::from(file.array_buffer()).await;
    let buffer = buffer.map_err(|_| words::UNREADABLE.to_owned())?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

/// Reads what was chosen in a file field; the same may be chosen again.
async fn chosen(field: &HtmlInputElement) -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    if let Some(files) = field.files() {
        for file in (0..files.length().min(INPUTS_MAX)).filter_map(|index| files.get(index)) {
            let (name, bytes) = (file.name(), read(&file).await?);
            inputs.push(Input { name, bytes });
        }
    }
    field.set_value("");
    Ok(inputs)
}

#[component]
pub(crate) fn Compute() -> impl IntoView {
    let form = Form::new();
    // The list is fetched when somebody wants to see it.
    let open = move || {
        if !form.programs.with_untracked(Vec::is_empty) {
            return;
        }
        spawn_local(async move {
            let list = fetch("/modules/modules.json").await;
            let list = list.and_then(|list| Catalogue::read(str::from_utf8(&list).ok()?));
            match list {
                Some(catalogue) => {
                    form.programs.set(catalogue.modules);
                    form.choose(0);
                }
                None => form.said.set(words::NO_LIST.to_owned()),
            }
        });
    };
    view! {
        <details class="card compute" data-testid="compute" on:toggle=move |_| open()>
            <summary><h2>{words::HEADING}</h2></summary>
            <p class="hint">{words::HINT}</p>
            <Order form/>
            <Results form/>
        </details>
    }
}

#[component]
fn Order(form: Form) -> impl IntoView {
    let app = use_app();
    let is_own = move || form.listed().is_none();
    let take_module = move |field: HtmlInputElement| {
        spawn_local(async move {
            match chosen(&field).await {
                Ok(files) => form
                    .own
                    .set(files.into_iter().next().map(|file| (file.name, file.bytes))),
                Err(reason) => form.said.set(reason),
            }
        });
    };
    let take_inputs = move |field: HtmlInputElement| {
        spawn_local(async move {
            match chosen(&field).await {
                Ok(files) => form.files.set(files),
                Err(reason) => form.said.set(reason),
            }
        });
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        form.submit(app);
    };
    let programs = move || {
        let programs = form.programs.get();
        let own = programs.len();
        let option =
            |(place, title): (usize, String)| view! { <option value=place.to_string()>{title}</option> };
        let titles = programs.into_iter().map(|listed| listed.title).enumerate();
        titles
            .chain([(own, words::OWN.to_owned())])
            .map(option)
            .collect::<Vec<_>>()
    };
    view! {
        <form on:submit=submit>
            <label>{words::PROGRAM}
                <select data-testid="compute-program" on:change:target=move |event| {
                    form.choose(event.target().value().parse().unwrap_or_default());
                }>{programs}</select>
            </label>
            <p class="hint">{move || form.listed().map(|listed| listed.about)}</p>
            <label class="button file" hidden=move || !is_own()>
                {move || form.own.get().map_or_else(|| words::CHOOSE_MODULE.to_owned(), |(name, _)| name)}
                <input type="file" class="sr" accept=".wasm" data-testid="compute-module"
                    on:change:target=move |event| take_module(event.target())/>
            </label>
            <label>{move || if form.listed().is_none_or(|listed| listed.is_text) { words::INPUT } else { words::INPUT_HEX }}
                <textarea rows="4" data-testid="compute-input" prop:value=move || form.typed.get()
                    disabled=move || !form.files.with(Vec::is_empty)
                    on:input:target=move |event| form.typed.set(event.target().value())></textarea>
            </label>
            <div class="row wrap">
                <label class="button file">
                    {move || match form.files.with(Vec::len) {
                        0 => words::CHOOSE_INPUTS.to_owned(),
                        number => words::inputs(number),
                    }}
                    <input type="file" class="sr" multiple data-testid="compute-files"
                        on:change:target=move |event| take_inputs(event.target())/>
                </label>
                <button type="button" class="button" hidden=move || form.files.with(Vec::is_empty)
                    on:click=move |_| form.files.set(Vec::new())>{words::TYPE_AGAIN}</button>
            </div>
            <div class="row spread">
                <label>{words::FUEL}
                    <select data-testid="compute-fuel" on:change:target=move |event| form.fuel.set(event.target().value().parse().unwrap_or(words::FUELS[1].0))>
                        {words::FUELS.map(|(fuel, name)| view! {
                            <option value=fuel.to_string() selected=fuel == words::FUELS[1].0>{name}</option>
                        })}
                    </select>
                </label>
                <button type="submit" class="button primary" data-testid="compute-run">{words::RUN}</button>
            </div>
            <Privacy id="compute-privacy" members=words::privacy anyone=words::PRIVACY_ANYONE/>
            <p class="bad-text" role="status" data-testid="compute-said">{move || form.said.get()}</p>
        </form>
    }
}

#[component]
fn Results(form: Form) -> impl IntoView {
    let app = use_app();
    let sheet = form.sheet;
    let head = Memo::new(move |_| sheet.with(|sheet| sheet.as_ref().map(Sheet::head)));
    let count = Memo::new(move |_| sheet.with(|sheet| sheet.as_ref().map_or(0, |sheet| sheet.done.len())));
    let one = move |place: usize| sheet.with_untracked(|sheet| sheet.as_ref()?.done.get(place).cloned());
    view! {
        {move || head.get().map(|head| {
            let said = words::progress(head.done, head.all);
            let is_over = head.is_over();
            view! {
                <div class="row spread">
                    <p class="num" role="status" data-testid="compute-progress" data-over=is_over.to_string()>
                        {said.clone()}" · "{words::bill(&format::credits(head.price), head.devices, head.checked, head.all)}
                    </p>
                    <button type="button" class="button small" hidden=is_over data-testid="compute-cancel"
                        on:click=move |_| buy::cancel(app, sheet)>{words::CANCEL}</button>
                </div>
                <progress max=head.all.to_string() value=head.done.to_string() aria-label=said></progress>
            }
        })}
        <ul class="outcomes">
            <For each=move || 0..count.get() key=|place| *place let:place>
                {one(place).map(|done| view! { <Outcome done/> })}
            </For>
        </ul>
    }
}

#[component]
fn Outcome(done: Done) -> impl IntoView {
    let is_right = done.output.is_ok();
    let said = match &done.output {
        Err(reason) => reason.clone(),
        Ok(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.chars().take(SHOWN_CHARS_MAX).collect(),
            Err(_) => words::output(&format::bytes(bytes.len() as u64)),
        },
    };
    let file = format!("{}.out", done.name);
    let save = move |bytes: &[u8]| {
        // A page without a document saves nothing.
        let _ = platform::save(&Uint8Array::from(bytes), &file);
    };
    view! {
        <li data-testid="compute-result" data-right=is_right.to_string()>
            <div class="row spread">
                <span class="file-name">{done.name}</span>
                {done.output.ok().map(|bytes| view! {
                    <button type="button" class="button small" on:click=move |_| save(&bytes)>{words::SAVE}</button>
                })}
            </div>
            <pre tabindex="0" class:bad-text=!is_right>{said}</pre>
        </li>
    }
}
