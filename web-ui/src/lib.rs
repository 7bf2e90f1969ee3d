//! The page: a person's window on their node.
//!
//! A node runs in this very page ([`node_wasm::NodeHandle`], on wasm32 only); everything here shows its state and passes
//! on what the person wants. Nothing is decided here that the network relies on.
//!
//! - Pure modules, tested natively: [`format`] (numbers as people read them), [`trade`] (a request as six lines), [`market`] (order and parts of
//!   prices), [`graph`] (places of a drawing), [`route`] (addresses), [`mark`] (pictures of ids), [`text`] (every sentence).
//! - `app`: the components and the state they share, for the browser.

pub mod format;
pub mod graph;
pub mod mark;
pub mod market;
pub mod route;
pub mod text;
pub mod trade;

#[cfg(target_arch = "wasm32")]
#[allow(
    unreachable_pub,
    reason = "the component macro makes each component's properties `pub`"
)]
mod app;

/// Replaces the static frame of `index.html` by the running page.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
    app::mount();
}
