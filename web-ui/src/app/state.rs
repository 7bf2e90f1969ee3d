//! What all components share: signals that follow the node, and what the person is doing.

use leptos::prelude::*;
use node_proto::ids::{NodeId, Timestamp};
use node_proto::io::Command;
use node_proto::view::{PeerView, Snapshot};
use node_wasm::NodeHandle;
use node_wasm::error::CommandError;
use node_wasm::invite::Invite;
use node_wasm::status::ShellStatus;
use web_sys::ServiceWorker;

use super::ask::Run;
use super::library::{DeviceLibrary, Known};
use super::pages::Pages;
use super::prefs::Prefs;
use super::{connect, platform, prefs};
use crate::route::{Fragment, Page};
use crate::{format, text};

/// How far the node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// On its way.
    Starting,
    /// It runs in this tab.
    Ready,
    /// It runs in another tab; `moved`: it ran here before.
    OtherTab { moved: bool },
    /// It did not start.
    Failed(String),
}

/// The shared state; a bundle of handles, cheap to copy.
#[derive(Clone, Copy)]
pub(crate) struct App {
    /// How far the node is.
    pub(crate) phase: RwSignal<Phase>,
    /// Whether the browser has a network.
    pub(crate) online: RwSignal<bool>,
    /// The open page.
    pub(crate) page: RwSignal<Page>,
    /// Whether the pages beyond the first are here.
    pub(crate) pages: RwSignal<Pages>,
    /// The core's state.
    pub(crate) snapshot: RwSignal<Option<Snapshot>>,
    /// The shell's state.
    pub(crate) status: RwSignal<Option<ShellStatus>>,
    /// The time, for ages; follows the snapshots.
    pub(crate) now: RwSignal<Timestamp>,
    /// The last thing that went wrong and was not shown elsewhere.
    pub(crate) error: RwSignal<Option<String>>,
    /// What this device knows; `None` until the library is open.
    pub(crate) known: RwSignal<Option<Known>>,
    /// Notes that are not added yet.
    pub(crate) draft: RwSignal<String>,
    /// While all passages are made searchable: how many are, and of how many.
    pub(crate) preparing: RwSignal<Option<(usize, usize)>>,
    /// The question being answered, or answered last.
    pub(crate) run: RwSignal<Option<Run>>,
    /// Choices that stick.
    pub(crate) prefs: RwSignal<Prefs>,
    /// A newer version of the page that waits.
    pub(crate) update: RwSignal<Option<ServiceWorker>, LocalStorage>,
    library: StoredValue<Option<DeviceLibrary>, LocalStorage>,
    node: StoredValue<Option<NodeHandle>, LocalStorage>,
}

impl App {
    pub(crate) fn new() -> Self {
        let app = Self {
            phase: RwSignal::new(Phase::Starting),
            online: RwSignal::new(platform::online()),
            page: RwSignal::new(Page::default()),
            pages: RwSignal::new(Pages::default()),
            snapshot: RwSignal::new(None),
            status: RwSignal::new(None),
            now: RwSignal::new(Timestamp::default()),
            error: RwSignal::new(None),
            known: RwSignal::new(None),
            draft: RwSignal::new(prefs::draft()),
            preparing: RwSignal::new(None),
            run: RwSignal::new(None),
            prefs: RwSignal::new(Prefs::load()),
            update: RwSignal::new_local(None),
            library: StoredValue::new_local(None),
            node: StoredValue::new_local(None),
        };
        app.follow_address();
        Effect::new(move || platform::set_title(&text::title(app.page.get())));
        platform::on_window("hashchange", move || app.follow_address());
        platform::on_window("online", move || app.online.set(true));
        platform::on_window("offline", move || app.online.set(false));
        app
    }

    /// The running node.
    pub(crate) fn node(self) -> Option<NodeHandle> {
        self.node.get_value()
    }

    pub(crate) fn set_node(self, node: NodeHandle) {
        self.node.set_value(Some(node));
    }

    /// The page goes on without it.
    pub(crate) fn take_node(self) -> Option<NodeHandle> {
        self.node.try_update_value(Option::take).flatten()
    }

    /// Hands a command to the node; what it refuses is shown.
    pub(crate) fn command(self, command: Command) {
        if let Some(node) = self.node() {
            self.report(node.command(command));
        }
    }

    /// Shows a refusal.
    pub(crate) fn report(self, result: Result<(), CommandError>) {
        if let Err(error) = result {
            self.error.set(Some(text::sentence(&error)));
        }
    }

    /// A part of the snapshot that components follow; it tells them only when it really changed.
    pub(crate) fn part<T>(self, read: impl Fn(&Snapshot) -> T + Send + Sync + 'static) -> Memo<Option<T>>
    where
        T: PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| self.snapshot.with(|snapshot| snapshot.as_ref().map(&read)))
    }

    /// The same for the shell's state.
    pub(crate) fn shell_part<T>(
        self,
        read: impl Fn(&ShellStatus) -> T + Send + Sync + 'static,
    ) -> Memo<Option<T>>
    where
        T: PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| self.status.with(|status| status.as_ref().map(&read)))
    }

    /// Every peer.
    pub(crate) fn peers(self) -> Memo<Vec<PeerView>> {
        Memo::new(move |_| {
            self.snapshot
                .with(|s| s.as_ref().map(|s| s.peers.clone()).unwrap_or_default())
        })
    }

    /// A peer as a person would speak of it: "a strong device …x7Kp9Q".
    pub(crate) fn name(self, id: NodeId) -> String {
        self.snapshot.with_untracked(|snapshot| {
            let Some(snapshot) = snapshot else {
                return format::short_id(id);
            };
            if snapshot.me == id {
                return text::YOU.to_owned();
            }
            let tier = snapshot
                .peers
                .iter()
                .find(|peer| peer.id == id)
                .and_then(|peer| peer.tier);
            format!("{} {}", text::device(tier), format::short_id(id))
        })
    }

    /// The group's name, reactive.
    pub(crate) fn group_name(self) -> &'static str {
        let own = self.prefs.with(|prefs| prefs.group.is_some());
        if own {
            text::shell::OWN_GROUP
        } else {
            text::shell::OPEN_GROUP
        }
    }

    /// Changes the choices and keeps them.
    pub(crate) fn choose(self, change: impl FnOnce(&mut Prefs)) {
        self.prefs.update(change);
        if !self.prefs.with_untracked(Prefs::save) {
            self.error.set(Some(text::shell::NOT_KEPT.to_owned()));
        }
    }

    /// The library, once it is open.
    pub(crate) fn library(self) -> Option<DeviceLibrary> {
        self.library.get_value()
    }

    pub(crate) fn set_library(self, library: DeviceLibrary) {
        self.library.set_value(Some(library));
    }

    /// Changes the notes that are not added yet, and keeps them.
    pub(crate) fn write(self, draft: String) {
        self.draft.set(draft);
        if !self.draft.with_untracked(prefs::keep_draft) {
            self.error.set(Some(text::shell::NOT_KEPT.to_owned()));
        }
    }

    /// Opens the page, or takes in the invitation, that the address names. A damaged invitation changes nothing.
    fn follow_address(self) {
        match Fragment::parse(&platform::fragment()) {
            Fragment::Page(page) => self.page.set(page),
            Fragment::Invite(secret) => {
                platform::clear_fragment();
                match Invite::parse(&secret) {
                    Ok(invite) => connect::enter(self, Some(invite.text())),
                    Err(error) => self.error.set(Some(text::sentence(&error))),
                }
            }
            Fragment::Other => {}
        }
    }
}

/// The shared state, for components.
pub(crate) fn use_app() -> App {
    expect_context::<App>()
}
