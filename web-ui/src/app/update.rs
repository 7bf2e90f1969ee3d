//! A new version of the page: it is fetched in the background, waits, and is asked about before it takes over.

use gloo::events::EventListener;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ServiceWorkerContainer, ServiceWorkerRegistration, ServiceWorkerState};

use super::platform;
use super::state::{App, use_app};
use crate::text;

/// Registers the service worker and listens for a newer one. Browsers offer it in secure contexts only.
pub(crate) fn watch(app: App) {
    if platform::secure() {
        spawn_local(async move {
            // Without a service worker the page works online as before: private modes refuse it.
            let _ = register(app).await;
        });
    }
}

async fn register(app: App) -> Result<(), JsValue> {
    let Some(window) = platform::window() else {
        return Ok(());
    };
    let container = window.navigator().service_worker();
    let registration: ServiceWorkerRegistration = JsFuture::from(container.register("/sw.js")).await?.into();
    offer_waiting(app, &container, &registration);
    let watched = registration.clone();
    EventListener::new(&registration, "updatefound", move |_| {
        let Some(installing) = watched.installing() else {
            return;
        };
        let (container, registration) = (container.clone(), watched.clone());
        let worker = installing.clone();
        EventListener::new(&installing, "statechange", move |_| {
            if worker.state() == ServiceWorkerState::Installed {
                offer_waiting(app, &container, &registration);
            }
        })
        .forget();
    })
    .forget();
    // Browsers look for a new version by themselves when they find the time, which may be much later. Offline it fails; the next
    // return to the page tries again.
    let _ = registration.update();
    platform::on_document("visibilitychange", move || {
        if !platform::hidden() {
            let _ = registration.update();
        }
    });
    Ok(())
}

/// A version that waits behind one that runs is an update; the very first one takes its place by itself.
fn offer_waiting(app: App, container: &ServiceWorkerContainer, registration: &ServiceWorkerRegistration) {
    if let Some(waiting) = registration
        .waiting()
        .filter(|_| container.controller().is_some())
    {
        app.update.set(Some(waiting));
    }
}

/// Lets the new version take over, then loads the page from it.
fn swap(app: App) {
    let Some(waiting) = app.update.get_untracked() else {
        return;
    };
    app.update.set(None);
    if let Some(window) = platform::window() {
        EventListener::once(&window.navigator().service_worker(), "controllerchange", |_| {
            platform::reload()
        })
        .forget();
    }
    if waiting.post_message(&JsValue::from_str("skip-waiting")).is_err() {
        platform::reload();
    }
}

#[component]
pub(crate) fn UpdateNotice() -> impl IntoView {
    let app = use_app();
    view! {
        <Show when=move || app.update.with(Option::is_some)>
            <div class="notice" data-testid="update">
                <p>{text::shell::UPDATE}</p>
                <button type="button" class="button primary" data-testid="update-now" on:click=move |_| swap(app)>
                    {text::shell::UPDATE_NOW}
                </button>
                <button type="button" class="button" data-testid="update-later" on:click=move |_| app.update.set(None)>
                    {text::shell::UPDATE_LATER}
                </button>
            </div>
        </Show>
    }
}
