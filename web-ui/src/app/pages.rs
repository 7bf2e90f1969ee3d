//! The pages beyond the first. What only they need is a file of its own, which comes once the node runs, or when one of them is opened.

use futures::FutureExt as _;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_split::{SplitLoaderError, wasm_split};

use super::state::{App, use_app};
use super::{device, market, network, reputation};
use crate::route::Page;
use crate::text::shell as words;

/// Whether they are here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Nobody has asked for them.
    #[default]
    Away,
    /// On their way.
    Coming,
    /// They can be shown.
    Here,
    /// They did not come.
    Failed,
}

/// Fetches them unless they are here or on their way.
pub(crate) fn fetch(app: App) {
    if matches!(app.pages.get_untracked(), Pages::Coming | Pages::Here) {
        return;
    }
    app.pages.set(Pages::Coming);
    spawn_local(async move {
        let came = load().await.is_ok();
        app.pages.set(if came { Pages::Here } else { Pages::Failed });
    });
}

/// One of them, or what there is to say until it comes.
#[component]
pub(crate) fn Later(page: Page) -> impl IntoView {
    let app = use_app();
    fetch(app);
    move || {
        match app.pages.get() {
        // Once its file is here nothing is waited for.
        Pages::Here => show(page).now_or_never().and_then(Result::ok).into_any(),
        Pages::Failed => view! {
            <p class="notice bad" role="alert">
                {words::PAGE_FAILED}" "
                <button type="button" class="button" data-testid="page-again" on:click=move |_| fetch(app)>{words::TRY_AGAIN}</button>
            </p>
        }
        .into_any(),
        Pages::Away | Pages::Coming => view! { <p class="hint" role="status">{words::PAGE_COMING}</p> }.into_any(),
    }
    }
}

/// The splitter cuts here: what is called from nowhere else goes into the file that is fetched first.
#[wasm_split(pages, wasm_split_path = ::leptos::wasm_split, fallible, preload(load))]
fn show(page: Page) -> Result<AnyView, SplitLoaderError> {
    Ok(match page {
        Page::Ask => ().into_any(),
        Page::Market => view! { <market::MarketPage/> }.into_any(),
        Page::Reputation => view! { <reputation::ReputationPage/> }.into_any(),
        Page::Node => view! { <device::NodePage/> }.into_any(),
        Page::Network => view! { <network::NetworkPage/> }.into_any(),
    })
}
