//! The dedicated worker in which strangers' modules run: bytes in, bytes out.
//!
//! Everything it does is in `computation::protocol`; here it only meets JavaScript. Each message is a `Uint8Array`, and so is each
//! answer. A worker of its own, because a module that computes lets nothing else run: the page that started it keeps the deadline,
//! and terminates it.

#![cfg(target_arch = "wasm32")]

use computation::protocol::Reply;
use computation::{Desk, Limits};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

/// Begins to listen, and says so. Called by the module's initialisation.
///
/// # Errors
/// If this is no dedicated worker.
#[wasm_bindgen(start)]
pub fn start() -> Result<(), JsValue> {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().dyn_into()?;
    let mut desk = Desk::new(Limits::default());
    let answering = scope.clone();
    let listener = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let reply = match event.data().dyn_into::<Uint8Array>() {
            Ok(message) => desk.answer(&message.to_vec()),
            Err(_) => Reply::Misunderstood,
        };
        post(&answering, &reply);
    });
    scope.set_onmessage(Some(listener.as_ref().unchecked_ref()));
    listener.forget();
    post(&scope, &Reply::Ready);
    Ok(())
}

fn post(scope: &DedicatedWorkerGlobalScope, reply: &Reply) {
    let bytes = Uint8Array::from(reply.to_bytes().as_slice());
    // The page's copy is the only one that is needed. Posting fails only for what cannot be moved.
    let _ = scope.post_message_with_transfer(&bytes, &Array::of1(&bytes.buffer()));
}
