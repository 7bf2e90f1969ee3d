//! Backing up this device and putting a backup back: a section of the Node page, and one dialog for both ways.

use gloo::timers::future::TimeoutFuture;
use js_sys::Uint8Array;
use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::NodeId;
use node_wasm::backup::FILE_BYTES_MAX;
use node_wasm::error::BackupError;
use node_wasm::status::IdentityStatus;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, HtmlInputElement, SubmitEvent};

use super::state::{App, use_app};
use super::{connect, platform};
use crate::text::backup as words;
use crate::{format, text};

const DIALOG: &str = "backup-dialog";
const PASSPHRASE: &str = "backup-passphrase";
const CANCEL: &str = "backup-cancel";

/// What the dialog is about.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// A passphrase for a new file.
    BackUp,
    /// The passphrase of a file.
    Restore,
    /// The file is of this other identity.
    Replace(NodeId),
}

/// What section and dialog share.
#[derive(Clone, Copy)]
struct Work {
    app: App,
    step: RwSignal<Step>,
    passphrase: RwSignal<String>,
    repeated: RwSignal<String>,
    busy: RwSignal<bool>,
    /// In the dialog.
    problem: RwSignal<String>,
    /// On the page: what came of it.
    said: RwSignal<String>,
    /// To be restored.
    file: RwSignal<Option<Uint8Array>, LocalStorage>,
}

impl Work {
    /// Opens the dialog at a step, or turns it to that step.
    fn turn(self, step: Step) {
        self.step.set(step);
        self.problem.set(String::new());
        if !matches!(step, Step::Replace(_)) {
            self.passphrase.set(String::new());
            self.repeated.set(String::new());
        }
        platform::show_dialog(DIALOG);
        // Whoever presses Enter once too often replaces nothing.
        let first = if matches!(step, Step::Replace(_)) {
            CANCEL
        } else {
            PASSPHRASE
        };
        spawn_local(async move {
            // The step before may have hidden or disabled it.
            TimeoutFuture::new(0).await;
            platform::focus(first);
        });
    }

    fn close(self) {
        self.file.set(None);
        platform::close_dialog(DIALOG);
    }

    /// Reads a chosen file and asks for its passphrase.
    async fn choose(self, file: File) {
        if file.size() > FILE_BYTES_MAX as f64 {
            return self.said.set(words::TOO_LARGE.to_owned());
        }
        match JsFuture::from(file.array_buffer()).await {
            Ok(bytes) => {
                self.file.set(Some(Uint8Array::new(&bytes)));
                self.turn(Step::Restore);
            }
            Err(_) => self.said.set(words::UNREADABLE.to_owned()),
        }
    }

    async fn submit(self) {
        let passphrase = self.passphrase.get_untracked();
        if self.step.get_untracked() == Step::BackUp && passphrase != self.repeated.get_untracked() {
            return self.problem.set(words::MISMATCH.to_owned());
        }
        self.busy.set(true);
        self.problem.set(String::new());
        let result = match self.step.get_untracked() {
            Step::BackUp => self.back_up(passphrase).await,
            Step::Restore => self.restore(&passphrase, false).await,
            Step::Replace(_) => self.restore(&passphrase, true).await,
        };
        self.busy.set(false);
        match result {
            Ok(()) => {}
            Err(BackupError::OtherIdentity(theirs)) => self.turn(Step::Replace(theirs)),
            Err(reason) => self.problem.set(words::refused(&text::sentence(&reason))),
        }
    }

    async fn back_up(self, passphrase: String) -> Result<(), BackupError> {
        let Some(node) = self.app.node() else {
            return Ok(());
        };
        let bytes = node.export_backup(passphrase).await?;
        let id = node.status().me.to_string();
        let name = format!("knowledge-{}.backup", &id[id.len().saturating_sub(6)..]);
        platform::save(&bytes, &name);
        self.said.set(words::SAVED.to_owned());
        // It was the careful step before replacing this device's identity.
        match self.file.try_with_untracked(Option::is_some) {
            Some(true) => self.turn(Step::Restore),
            _ => self.close(),
        }
        Ok(())
    }

    async fn restore(self, passphrase: &str, replace: bool) -> Result<(), BackupError> {
        let Some(file) = self.file.get_untracked() else {
            return Ok(());
        };
        let id = connect::restore(self.app, &file, passphrase, replace).await?;
        self.said.set(words::restored(&format::short_id(id)));
        self.close();
        Ok(())
    }
}

/// The section; nothing where no identity is kept, which a notice explains.
#[component]
pub(crate) fn Backup() -> impl IntoView {
    let app = use_app();
    let kept = app.shell_part(|status| matches!(status.identity, IdentityStatus::Kept { .. }));
    let work = Work {
        app,
        step: RwSignal::new(Step::BackUp),
        passphrase: RwSignal::new(String::new()),
        repeated: RwSignal::new(String::new()),
        busy: RwSignal::new(false),
        problem: RwSignal::new(String::new()),
        said: RwSignal::new(String::new()),
        file: RwSignal::new_local(None),
    };
    let choose = move |input: HtmlInputElement| {
        let file = input.files().and_then(|files| files.get(0));
        // The same file may be chosen again.
        input.set_value("");
        if let Some(file) = file {
            spawn_local(work.choose(file));
        }
    };
    view! {
        <section class="card" aria-labelledby="backup-heading" hidden=move || kept.get() != Some(true)>
            <h2 id="backup-heading">{words::TITLE}</h2>
            <p class="hint">{words::HINT}</p>
            <div class="row wrap">
                <button type="button" class="button" data-testid="backup" on:click=move |_| {
                    // A file that was chosen before and left is none of this.
                    work.file.set(None);
                    work.turn(Step::BackUp);
                }>
                    {words::BACK_UP}
                </button>
                <label class="button file">
                    {words::RESTORE_FROM}
                    <input type="file" class="sr" data-testid="restore-file"
                        on:change:target=move |event| choose(event.target())/>
                </label>
            </div>
            <p class="hint" role="status" data-testid="backup-said">{move || work.said.get()}</p>
        </section>
        <BackupDialog work/>
    }
}

#[component]
fn BackupDialog(work: Work) -> impl IntoView {
    let step = work.step;
    let me = work.app.part(|snapshot| (snapshot.me, snapshot.balance.settled));
    let title = move || match step.get() {
        Step::BackUp => words::TITLE,
        Step::Restore => words::RESTORE,
        Step::Replace(_) => words::REPLACE,
    };
    let hint = move || match (step.get(), me.get()) {
        (Step::Replace(theirs), Some((me, balance))) => words::replace_hint(
            &format::short_id(theirs),
            &format::short_id(me),
            &format::credits(balance),
        ),
        (Step::BackUp, _) => words::PASSPHRASE_HINT.to_owned(),
        _ => words::RESTORE_HINT.to_owned(),
    };
    let action = move || match step.get() {
        Step::BackUp => words::SAVE,
        Step::Restore => words::RESTORE,
        Step::Replace(_) => words::REPLACE_NOW,
    };
    let saving = move || step.get() == Step::BackUp;
    let replacing = move || matches!(step.get(), Step::Replace(_));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if !work.busy.get_untracked() {
            spawn_local(work.submit());
        }
    };
    let working = move || {
        work.busy.get().then(|| {
            let said = if saving() { words::LOCKING } else { words::OPENING };
            view! { <p>{said}</p><progress aria-label=said></progress> }
        })
    };
    view! {
        <dialog id=DIALOG class="dialog" data-testid="backup-dialog" aria-labelledby="backup-title">
            <form class="form" on:submit=submit>
                <h2 id="backup-title">{title}</h2>
                <p id="backup-hint">{hint}</p>
                <div hidden=replacing>
                    <Secret id=PASSPHRASE name=words::PASSPHRASE value=work.passphrase/>
                </div>
                <div hidden=move || !saving()>
                    <Secret id="backup-repeat" name=words::REPEAT value=work.repeated/>
                </div>
                <div role="status">
                    {working}
                    <p class="bad-text" data-testid="backup-problem">{move || work.problem.get()}</p>
                </div>
                <div class="row end">
                    <button type="button" class="button" id=CANCEL data-testid=CANCEL disabled=move || work.busy.get()
                        on:click=move |_| work.close()>{words::CANCEL}</button>
                    <button type="button" class="button" data-testid="backup-first" hidden=move || !replacing()
                        on:click=move |_| work.turn(Step::BackUp)>{words::FIRST}</button>
                    <button type="submit" class="button primary" data-testid="backup-submit"
                        disabled=move || work.busy.get()>{action}</button>
                </div>
            </form>
        </dialog>
    }
}

/// A field for a passphrase.
#[component]
fn Secret(id: &'static str, name: &'static str, value: RwSignal<String>) -> impl IntoView {
    view! {
        <label class="field" for=id>{name}</label>
        <input id=id type="password" data-testid=id autocomplete="off" maxlength="1000" aria-describedby="backup-hint"
            prop:value=move || value.get() on:input:target=move |event| value.set(event.target().value())/>
    }
}
