//! What this device knows: notes typed or pasted, and text files, kept in its library.

use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::{DragEvent, HtmlInputElement};

use super::library::{self, DocumentRow, Known};
use super::state::{App, use_app};
use super::{ask, files};
use crate::format;
use crate::text::ask as words;

#[component]
pub(crate) fn KnowledgeForm() -> impl IntoView {
    let app = use_app();
    let over = RwSignal::new(false);
    let dragged = move |inside: bool| {
        move |event: DragEvent| {
            event.prevent_default();
            over.set(inside);
        }
    };
    let drop = move |event: DragEvent| {
        event.prevent_default();
        over.set(false);
        files::add(app, event.data_transfer().and_then(|data| data.files()));
    };
    let count = part(app, Known::passages);
    let unkept = part(app, |known| known.unkept.clone());
    view! {
        <section class="knowledge" class:over=move || over.get() aria-labelledby="knowledge-label"
            on:dragenter=dragged(true) on:dragover=dragged(true) on:dragleave=dragged(false) on:drop=drop>
            <div class="row spread">
                <h2><label id="knowledge-label" for="passages">{words::KNOWLEDGE}</label></h2>
                <span class="count" role="status" data-testid="passage-count" data-count=move || count.get()>
                    {move || count.get().map(words::passages)}
                </span>
            </div>
            <p class="hint" id="knowledge-hint">{words::KNOWLEDGE_HINT}</p>
            {move || unkept.get().flatten().map(|reason| view! { <p class="bad-text">{words::unkept(&reason)}</p> })}
            <textarea id="passages" rows="8" data-testid="ask-passages" aria-describedby="knowledge-hint"
                placeholder=words::PLACEHOLDER prop:value=move || app.draft.get()
                on:input:target=move |event| app.write(event.target().value())></textarea>
            <div class="row wrap">
                <button type="button" class="button" data-testid="ask-add"
                    disabled=move || count.get().is_none() || app.draft.with(|draft| draft.trim().is_empty())
                    on:click=move |_| add_notes(app)>{words::ADD_NOTES}</button>
                <label class="button file">
                    {words::ADD_FILES}
                    <input type="file" class="sr" multiple accept="text/*,.txt,.md,.csv,.json,.log,.org,.rst,.tex,.html"
                        data-testid="ask-files" on:change:target=move |event| {
                            let input: HtmlInputElement = event.target();
                            files::add(app, input.files());
                        }/>
                </label>
            </div>
            <Documents/>
            <Waiting/>
        </section>
    }
}

fn part<T>(app: App, read: impl Fn(&Known) -> T + Send + Sync + 'static) -> Memo<Option<T>>
where
    T: PartialEq + Send + Sync + 'static,
{
    Memo::new(move |_| app.known.with(|known| known.as_ref().map(&read)))
}

fn add_notes(app: App) {
    spawn_local(async move {
        if let Err(reason) = library::add_draft(app).await {
            app.error.set(Some(words::not_added(words::NOTES, &reason)));
        }
    });
}

#[component]
fn Documents() -> impl IntoView {
    let app = use_app();
    let removed = RwSignal::new(None::<DocumentRow>);
    let documents = part(app, |known| known.documents.clone());
    let remove = move |document: DocumentRow| {
        let name = document.name.clone();
        library::remove(app, name, move || removed.set(Some(document)));
    };
    view! {
        <ul class="files">
            <For each=move || documents.get().unwrap_or_default() key=|document| document.name.clone() let:document>
                {
                    let facts = format!("{}, {}", words::passages(document.passages), format::bytes(document.bytes));
                    let (name, passages) = (title(&document), document.passages);
                    view! {
                        <li data-testid="document" data-passages=passages>
                            <span class="file-name">{name.clone()}</span>
                            <span class="num hint">{facts}</span>
                            <button type="button" class="button small" data-testid="document-remove" aria-label=words::remove(&name)
                                on:click=move |_| remove(document.clone())>"×"</button>
                        </li>
                    }
                }
            </For>
        </ul>
        <p role="status">
            {move || removed.get().map(|document| view! {
                {words::removed(&title(&document))}" "
                <button type="button" class="button small" data-testid="document-undo" on:click=move |_| {
                    library::bring_back(app, document.name.clone());
                    removed.set(None);
                }>{words::UNDO}</button>
            })}
        </p>
    }
}

fn title(document: &DocumentRow) -> String {
    match document.title.is_empty() {
        true => words::NOTES.to_owned(),
        false => document.title.clone(),
    }
}

/// More than one question takes along: it can be made searchable before.
#[component]
fn Waiting() -> impl IntoView {
    let app = use_app();
    let waiting = part(app, |known| known.waiting as usize);
    move || {
        let preparing = app.preparing.get();
        let waiting = waiting.get().unwrap_or_default();
        match preparing {
            Some((done, all)) => {
                let said = words::preparing(done, all);
                view! {
                    <p class="num" data-testid="library-preparing">{said.clone()}</p>
                    <progress max=all.to_string() value=done.to_string() aria-label=said></progress>
                    <button type="button" class="button" on:click=move |_| app.preparing.set(None)>{words::CANCEL}</button>
                }
                .into_any()
            }
            None if waiting > ask::TEXTS_ALONG_MAX => view! {
                <p class="hint">{words::waiting(waiting, ask::TEXTS_ALONG_MAX)}</p>
                <button type="button" class="button" data-testid="library-prepare" on:click=move |_| ask::prepare_all(app, waiting)>
                    {words::PREPARE}
                </button>
            }
            .into_any(),
            None => ().into_any(),
        }
    }
}
