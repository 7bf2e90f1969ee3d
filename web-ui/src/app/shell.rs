//! The frame around the pages: name, group, balance, navigation, who is here, and notices.

use leptos::prelude::*;
use node_proto::io::Path;
use node_proto::view::Balance;
use node_wasm::status::{Diagnosis, IdentityStatus, TemporaryReason};

use super::state::{App, Phase, use_app};
use super::{ask, connect, invite, pages, platform, update};
use crate::route::Page;
use crate::{format, text};

/// The whole page.
#[component]
pub(crate) fn Shell() -> impl IntoView {
    let app = use_app();
    let state = move || match app.phase.get() {
        Phase::OtherTab { .. } => "other-tab",
        Phase::Failed(_) => "failed",
        _ if !app.online.get() => "offline",
        Phase::Starting => "starting",
        Phase::Ready => "ready",
    };
    let skip = move |event: web_sys::MouseEvent| {
        event.prevent_default();
        platform::focus("main");
    };
    view! {
        <div class="app" data-testid="app" data-state=state>
            <a class="skip" href="#main" on:click=skip>{text::SKIP}</a>
            <Top/>
            <Tabs/>
            <main id="main" tabindex="-1">
                <Presence/>
                <Notices/>
                {move || match app.page.get() {
                    Page::Ask => view! { <ask::AskPage/> }.into_any(),
                    page => view! { <pages::Later page/> }.into_any(),
                }}
            </main>
            <invite::InviteDialog/>
        </div>
    }
}

#[component]
fn Top() -> impl IntoView {
    let app = use_app();
    let group_id = app.part(|s| {
        if s.group.open {
            "open".to_owned()
        } else {
            s.group.id.to_string()
        }
    });
    let hint = move || {
        let own = app.prefs.with(|prefs| prefs.group.is_some());
        if own {
            text::shell::OWN_GROUP_HINT
        } else {
            text::shell::OPEN_GROUP_HINT
        }
    };
    view! {
        <header class="top">
            <a class="brand" href=Page::Ask.href()>
                <img src="/icons/icon.svg" alt="" width="28" height="28"/>
                <span>{text::NAME}</span>
            </a>
            <div class="top-facts">
                <span class="group" data-testid="group" data-group=move || group_id.get() title=hint>
                    {move || app.group_name()}
                </span>
                <BalanceView/>
                <button type="button" class="button" data-testid="invite" on:click=move |_| invite::open(app)>
                    {text::shell::INVITE}
                </button>
            </div>
        </header>
    }
}

#[component]
fn BalanceView() -> impl IntoView {
    let app = use_app();
    let balance = app.part(|snapshot| snapshot.balance.clone());
    let hint = |b: &Balance| {
        let [settled, pending, allowance] = [b.settled, b.pending, b.newcomer_allowance].map(format::credits);
        text::shell::balance_hint(&settled, &pending, &allowance)
    };
    view! {
        <span
            class="balance"
            data-testid="balance"
            data-millicredits=move || balance.get().map(|b| b.settled.0)
            title=move || balance.get().as_ref().map(hint)
        >
            <span class="sr">{text::shell::BALANCE}": "</span>
            {move || balance.get().map_or_else(|| "–".to_owned(), |b| format::credits(b.settled))}
        </span>
    }
}

/// Fills of 24-unit outline icons.
const fn icon(page: Page) -> &'static str {
    match page {
        Page::Ask => "M4 5h16v11H11l-4 4v-4H4z",
        Page::Market => "M4 9h16l-1.5-5h-13zM5.5 9v11h13V9M9.5 20v-6h5v6",
        Page::Reputation => "m12 3 2.7 5.8 6.3.8-4.6 4.3 1.2 6.3L12 17.1l-5.6 3.1 1.2-6.3L3 9.6l6.3-.8z",
        Page::Node => "M4 5h16v11H4zM2 20h20M9 16v4M15 16v4",
        Page::Network => {
            "M12 5v6m0 0-6 6m6-6 6 6M12 3a2 2 0 1 0 .01 0M5 17a2 2 0 1 0 .01 0M19 17a2 2 0 1 0 .01 0"
        }
    }
}

#[component]
fn Tabs() -> impl IntoView {
    let app = use_app();
    let links: Vec<_> = Page::ALL
        .into_iter()
        .map(|page| {
            view! {
                <a
                    href=page.href()
                    data-testid=format!("nav-{}", page.slug())
                    aria-current=move || (app.page.get() == page).then_some("page")
                >
                    <svg class="tab-icon" viewBox="0 0 24 24" aria-hidden="true"><path d=icon(page)/></svg>
                    {text::page(page)}
                </a>
            }
        })
        .collect();
    view! { <nav class="tabs" aria-label=text::PAGES>{links}</nav> }
}

/// Others that are connected, the relay not counted.
pub(crate) fn others(app: App) -> Memo<usize> {
    Memo::new(move |_| {
        let here = |path: Option<Path>| matches!(path, Some(Path::Direct | Path::Relayed));
        app.snapshot.with(|s| {
            s.as_ref()
                .map_or(0, |s| s.peers.iter().filter(|peer| here(peer.path)).count())
        })
    })
}

#[component]
fn Presence() -> impl IntoView {
    let app = use_app();
    let others = others(app);
    let diagnosis = app.shell_part(|status| status.diagnosis.clone());
    let seen = app.part(|snapshot| snapshot.members_seen);
    let line = move || {
        if !app.online.get() {
            return text::presence::OFFLINE.to_owned();
        }
        match (diagnosis.get(), others.get(), seen.get().flatten()) {
            (None, ..) => text::shell::STARTING.to_owned(),
            (Some(Diagnosis::NoDirect { .. }), 0, _) => text::presence::NO_DIRECT.to_owned(),
            (Some(_), others @ 1.., _) => text::presence::here(others),
            (Some(Diagnosis::Offline), ..) => text::presence::OFFLINE.to_owned(),
            (Some(Diagnosis::RelayUnreachable { .. }), ..) => text::presence::NO_RELAY.to_owned(),
            (Some(_), 0, Some(seen @ 1..)) => text::presence::connecting(seen as usize),
            (Some(Diagnosis::Alone), ..) => text::presence::ALONE.to_owned(),
            (Some(_), ..) => text::presence::LOOKING.to_owned(),
        }
    };
    let line = Memo::new(move |_| line());
    view! {
        <p class="presence" role="status" data-testid="presence" data-peers=move || others.get()
            hidden=move || matches!(app.phase.get(), Phase::OtherTab { .. } | Phase::Failed(_))>
            <span class="dot" class:on=move || others.get() != 0></span>
            {move || line.get()}
        </p>
    }
}

/// Everything that a person should know now, above the page.
#[component]
fn Notices() -> impl IntoView {
    let app = use_app();
    let temporary = app.shell_part(|status| match &status.identity {
        IdentityStatus::Temporary { reason } => Some(*reason),
        IdentityStatus::Kept { .. } => None,
    });
    let temporary = move || {
        temporary.get().flatten().map(|reason| match reason {
            TemporaryReason::InsecureContext => text::shell::TEMPORARY_INSECURE,
            TemporaryReason::NoLocks => text::shell::TEMPORARY_NO_LOCKS,
            TemporaryReason::NoStorage => text::shell::TEMPORARY_NO_STORAGE,
        })
    };
    view! {
        <div class="notices" aria-live="polite">
            <Show when=move || !app.online.get()>
                <p class="notice" data-testid="offline">{text::shell::OFFLINE}</p>
            </Show>
            <update::UpdateNotice/>
            <PhaseNotice/>
            <invite::LeftNotice/>
            {move || temporary().map(|sentence| view! { <p class="notice quiet">{sentence}</p> })}
            {move || app.error.get().map(|sentence| view! {
                <div class="notice bad">
                    <p data-testid="error">{sentence}</p>
                    <button type="button" class="button" on:click=move |_| app.error.set(None)>{text::CLOSE}</button>
                </div>
            })}
        </div>
    }
}

#[component]
fn PhaseNotice() -> impl IntoView {
    let app = use_app();
    let busy = RwSignal::new(false);
    let take_over = move |_| {
        busy.set(true);
        connect::take_over(app);
    };
    Effect::new(move || {
        if app.phase.get() != Phase::Starting {
            busy.set(false);
        }
    });
    move || {
        match app.phase.get() {
        Phase::OtherTab { moved } => view! {
            <div class="notice" data-testid="other-tab">
                <p>{if moved { text::shell::TAKEN_OVER } else { text::shell::OTHER_TAB }}</p>
                <button type="button" class="button primary" data-testid="use-here" on:click=take_over>
                    {text::shell::USE_HERE}
                </button>
            </div>
        }
        .into_any(),
        Phase::Failed(reason) => view! {
            <div class="notice bad">
                <p data-testid="error">{text::shell::start_failed(&reason)}</p>
                <button type="button" class="button" on:click=move |_| platform::reload()>{text::shell::TRY_AGAIN}</button>
            </div>
        }
        .into_any(),
        Phase::Starting if busy.get() => view! { <p class="notice">{text::shell::TAKING_OVER}</p> }.into_any(),
        _ => ().into_any(),
    }
    }
}
