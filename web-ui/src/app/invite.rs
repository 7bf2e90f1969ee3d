//! The invitation: a link and its QR code, and the way into a group of one's own and out of it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use node_wasm::NodeHandle;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::ShareData;

use super::state::{App, use_app};
use super::{connect, platform};
use crate::text;
use crate::text::invite as words;

const DIALOG: &str = "invite-dialog";
const LINK: &str = "invite-link";

/// Opens the dialog. Inviting from the open group makes a group of one's own first.
pub(crate) fn open(app: App) {
    if app.prefs.with_untracked(|prefs| prefs.group.is_none()) {
        match NodeHandle::new_group() {
            Ok(invite) => connect::enter(app, Some(invite.text())),
            Err(error) => return app.error.set(Some(text::sentence(&error))),
        }
    }
    platform::show_dialog(DIALOG);
}

fn close() {
    platform::close_dialog(DIALOG);
}

/// The address with the group's secret; without a group the plain one.
fn link(app: App) -> String {
    let origin = platform::origin();
    let secret = app.prefs.with(|prefs| prefs.group.clone());
    secret.map_or_else(|| format!("{origin}/"), |secret| format!("{origin}/#g={secret}"))
}

#[wasm_bindgen]
extern "C" {
    /// Set by `boot.js`: draws a text in the module that is loaded later.
    #[wasm_bindgen(js_name = qrCode, catch)]
    async fn qr_code(text: &str) -> Result<JsValue, JsValue>;
}

/// Drawn as SVG and shown as an image, so that nothing of it is markup of this page.
async fn qr(link: String) -> Option<String> {
    let svg = qr_code(&link).await.ok()?.as_string()?;
    Some(format!(
        "data:image/svg+xml,{}",
        js_sys::encode_uri_component(&svg)
    ))
}

/// Only this machine understands its own loopback name.
fn local_only() -> bool {
    matches!(platform::host().as_str(), "localhost" | "127.0.0.1" | "[::1]")
}

#[component]
pub(crate) fn InviteDialog() -> impl IntoView {
    let app = use_app();
    let link = Memo::new(move |_| link(app));
    let code = RwSignal::new(None);
    Effect::new(move || {
        let wanted = link.get();
        // Without a group there is nobody to invite into it.
        if app.prefs.with(|prefs| prefs.group.is_some()) {
            spawn_local(async move {
                let drawn = qr(wanted.clone()).await;
                if link.with_untracked(|link| *link == wanted) {
                    code.set(drawn);
                }
            });
        }
    });
    view! {
        <dialog id=DIALOG class="dialog" data-testid="invite-dialog" aria-labelledby="invite-title">
            <header>
                <h2 id="invite-title">{words::TITLE}</h2>
                <button type="button" class="button" data-testid="invite-close" on:click=|_| close()>{text::CLOSE}</button>
            </header>
            <p>{words::HINT}</p>
            {move || code.get().map(|source| view! {
                <img class="qr" data-testid="invite-qr" src=source alt=words::QR width="232" height="232"/>
            })}
            <LinkRow link/>
            <Show when=local_only><p class="hint">{words::LOCAL_ONLY}</p></Show>
            <Show when=|| !local_only() && !platform::secure()><p class="hint">{words::INSECURE}</p></Show>
            <footer>
                <p class="hint">{words::OPEN_HINT}</p>
                <button type="button" class="button" data-testid="group-leave" on:click=move |_| leave(app)>
                    {words::LEAVE}
                </button>
            </footer>
        </dialog>
    }
}

#[component]
fn LinkRow(link: Memo<String>) -> impl IntoView {
    let said = RwSignal::new("");
    let copy = move |_| {
        spawn_local(async move {
            let copied = copy(&link.get_untracked()).await;
            said.set(if copied { words::COPIED } else { words::COPY_FAILED });
        });
    };
    let share = move |_| {
        let data = ShareData::new();
        data.set_title(text::NAME);
        data.set_url(&link.get_untracked());
        if let Some(window) = platform::window() {
            spawn_local(async move {
                // A person who closes the share sheet has changed their mind.
                let _ = JsFuture::from(window.navigator().share_with_data(&data)).await;
            });
        }
    };
    view! {
        <label class="field" for=LINK>{words::LINK}</label>
        <div class="row">
            <input id=LINK type="url" readonly data-testid="invite-link" prop:value=move || link.get()
                on:focus:target=move |event| event.target().select()/>
            <button type="button" class="button primary" on:click=copy>{words::COPY}</button>
            <Show when=can_share>
                <button type="button" class="button" on:click=share>{words::SHARE}</button>
            </Show>
        </div>
        <p class="hint" role="status">{move || said.get()}</p>
    }
}

async fn copy(text: &str) -> bool {
    if platform::secure()
        && let Some(window) = platform::window()
    {
        return JsFuture::from(window.navigator().clipboard().write_text(text))
            .await
            .is_ok();
    }
    false
}

fn can_share() -> bool {
    let share = || js_sys::Reflect::has(&platform::window()?.navigator(), &"share".into()).ok();
    share() == Some(true)
}

/// Back to everyone; the page then offers to undo it.
fn leave(app: App) {
    close();
    connect::enter(app, None);
}

/// After leaving: the way back, until it is taken or waved away.
#[component]
pub(crate) fn LeftNotice() -> impl IntoView {
    let app = use_app();
    let left = Memo::new(move |_| {
        app.prefs.with(|prefs| {
            prefs
                .group
                .is_none()
                .then(|| prefs.former_group.clone())
                .flatten()
        })
    });
    move || {
        left.get().map(|former| {
            view! {
                <div class="notice">
                    <p>{words::LEFT}</p>
                    <button type="button" class="button" data-testid="group-undo"
                        on:click=move |_| connect::enter(app, Some(former.clone()))>{words::UNDO}</button>
                    <button type="button" class="button" on:click=move |_| app.choose(|prefs| prefs.former_group = None)>
                        {words::FORGET}
                    </button>
                </div>
            }
        })
    }
}
