//! A new version of the page: it is fetched in the background, waits, and is asked about before it takes over.

use leptos::prelude::*;
use leptos::task::spawn_local;
use std::cell::Cell;

use gloo::events::EventListener;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ServiceWorker, ServiceWorkerContainer, ServiceWorkerRegistration, ServiceWorkerState};

use super::platform;
use super::state::App;
use crate::text;

thread_local! {
    /// The version that waits; one per page, as browsers have it.
    static WAITING: Cell<Option<ServiceWorker>> = const { Cell::new(None) };
    static READY: RwSignal<bool> = RwSignal::new(false);
}

/// Registers the service worker and listens for a newer one. Browsers offer it in secure contexts only.
pub(crate) fn watch(_app: App) {
    if platform::secure() {
        spawn_local(async {
            // Without a service worker the page works online as before: private modes refuse it.
            let _ = register().await;
        });
    }
}

async fn register() -> Result<(), JsValue> {
    let Some(window) = platform::window() else { return Ok(()) };
    let container = window.navigator().service_worker();
    let registration: ServiceWorkerRegistration = JsFuture::from(container.register("/sw.js")).await?.into();
    offer_waiting(&container, &registration);
    let watched = registration.clone();
    EventListener::new(&registration, "updatefound", move |_| {
        let Some(installing) = watched.installing() else { return };
        let (container, registration) = (container.clone(), watched.clone());
        let worker = installing.clone();
        EventListener::new(&installing, "statechange", move |_| {
            if worker.state() == ServiceWorkerState::Installed {
                offer_waiting(&container, &registration);
            }
        })
        .forget();
    })
    .forget();
    platform::on_document("visibilitychange", move || {
        if !platform::hidden() {
            // Offline it fails; the next return to the page tries again.
            let _ = registration.update();
        }
    });
    Ok(())
}

/// A version that waits behind one that runs is an update; the very first one takes its place by itself.
fn offer_waiting(container: &ServiceWorkerContainer, registration: &ServiceWorkerRegistration) {
    if let Some(waiting) = registration.waiting().filter(|_| container.controller().is_some()) {
        WAITING.set(Some(waiting));
        READY.with(|ready| ready.set(true));
    }
}

/// Lets the new version take over, then loads the page from it.
fn swap() {
    let Some(waiting) = WAITING.take() else { return };
    if let Some(window) = platform::window() {
        EventListener::once(&window.navigator().service_worker(), "controllerchange", |_| platform::reload()).forget();
    }
    if waiting.post_message(&JsValue::from_str("skip-waiting")).is_err() {
        platform::reload();
    }
}

#[component]
pub(crate) fn UpdateNotice() -> impl IntoView {
    let ready = READY.with(|ready| *ready);
    view! {
        <Show when=move || ready.get()>
            <div class="notice" data-testid="update">
                <p>{text::shell::UPDATE}</p>
                <button type="button" class="button primary" data-testid="update-now" on:click=|_| swap()>
                    {text::shell::UPDATE_NOW}
                </button>
                <button type="button" class="button" data-testid="update-later" on:click=move |_| ready.set(false)>
                    {text::shell::UPDATE_LATER}
                </button>
            </div>
        </Show>
    }
}
