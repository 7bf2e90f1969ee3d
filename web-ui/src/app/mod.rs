//! The running page: state shared by all components, and the components.

mod ask;
mod backup;
mod compute;
mod connect;
mod credit;
mod device;
mod files;
mod invite;
mod knowledge;
mod lend;
mod library;
mod market;
mod models;
mod network;
mod own;
mod pages;
mod parts;
mod platform;
mod prefs;
mod reputation;
mod shell;
mod state;
mod trade_view;
mod update;

use leptos::prelude::*;

/// Takes the static frame away and puts the page in its place, within one frame of the screen.
pub(crate) fn mount() {
    platform::remove("shell");
    leptos::mount::mount_to_body(|| {
        let app = state::App::new();
        connect::spawn(app);
        update::watch(app);
        provide_context(app);
        view! { <shell::Shell/> }
    });
}
