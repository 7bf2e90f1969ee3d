//! What this device knows: notes typed or pasted, and text files, kept here and searchable at once.

use leptos::prelude::*;
use web_sys::{DragEvent, HtmlInputElement};

use super::files;
use super::state::{App, use_app};
use crate::format;
use crate::passages::{PASSAGES_MAX, Source};
use crate::text::ask as words;

/// A file that was removed and where it stood, so that it can come back.
#[derive(Clone)]
struct Removed {
    index: usize,
    source: Source,
}

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
    let count = Memo::new(move |_| app.knowledge.with(|knowledge| knowledge.passages().len()));
    view! {
        <section class="knowledge" class:over=move || over.get() aria-labelledby="knowledge-label"
            on:dragenter=dragged(true) on:dragover=dragged(true) on:dragleave=dragged(false) on:drop=drop>
            <div class="row spread">
                <h2><label id="knowledge-label" for="passages">{words::KNOWLEDGE}</label></h2>
                <span class="count" role="status" data-testid="passage-count" data-count=move || count.get()>
                    {move || words::passages(count.get())}
                </span>
            </div>
            <p class="hint" id="knowledge-hint">{words::KNOWLEDGE_HINT}</p>
            <textarea id="passages" rows="8" data-testid="ask-passages" aria-describedby="knowledge-hint"
                placeholder=words::PLACEHOLDER
                prop:value=move || app.knowledge.with(|knowledge| knowledge.pasted.clone())
                on:input:target=move |event| {
                    let typed = event.target().value();
                    app.learn(|knowledge| knowledge.pasted = typed);
                }></textarea>
            {move || (count.get() > PASSAGES_MAX).then(|| view! {
                <p class="hint">{words::too_many(PASSAGES_MAX, count.get())}</p>
            })}
            <FileList/>
            <label class="button file">
                {words::ADD_FILES}
                <input type="file" class="sr" multiple accept="text/*,.txt,.md,.csv,.json,.log,.org,.rst,.tex"
                    data-testid="ask-files" on:change:target=move |event| {
                        let input: HtmlInputElement = event.target();
                        files::add(app, input.files());
                    }/>
            </label>
        </section>
    }
}

#[component]
fn FileList() -> impl IntoView {
    let app = use_app();
    let removed = RwSignal::new(None::<Removed>);
    let names = Memo::new(move |_| {
        app.knowledge.with(|k| {
            k.files
                .iter()
                .map(|file| (file.name.clone(), file.text.len()))
                .collect::<Vec<_>>()
        })
    });
    let remove = move |name: &str| {
        let index = app
            .knowledge
            .with_untracked(|k| k.files.iter().position(|file| file.name == name));
        let Some(index) = index else { return };
        app.learn(|knowledge| {
            removed.set(Some(Removed {
                index,
                source: knowledge.files.remove(index),
            }))
        });
    };
    view! {
        <ul class="files">
            <For each=move || names.get() key=|entry| entry.clone() let((name, size))>
                <li>
                    <span class="file-name">{name.clone()}</span>
                    <span class="num hint">{format::bytes(size as u64)}</span>
                    <button type="button" class="button small" aria-label=words::remove(&name)
                        on:click=move |_| remove(&name)>"×"</button>
                </li>
            </For>
        </ul>
        <p role="status">
            {move || removed.get().map(|Removed { index, source }| view! {
                {words::removed(&source.name)}" "
                <button type="button" class="button small" on:click=move |_| {
                    restore(app, index, source.clone());
                    removed.set(None);
                }>{words::UNDO}</button>
            })}
        </p>
    }
}

fn restore(app: App, index: usize, source: Source) {
    app.learn(|knowledge| {
        let place = index.min(knowledge.files.len());
        knowledge.files.insert(place, source);
    });
}
