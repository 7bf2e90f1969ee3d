//! The dedicated worker in which strangers' modules run: bytes in, bytes out.
//!
//! What it does is in `computation::Desk`; here it meets JavaScript, and measures itself by the modules of a site. Each message is a
//! `Uint8Array`, and so is each answer. A worker of its own, because a module that computes lets nothing else run: the page that started it keeps the deadline,
//! and terminates it.

#![cfg(target_arch = "wasm32")]

mod measure;

use computation::protocol::{ProtocolError, Reply, Request};
use computation::{Desk, Limits};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
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
        let message = event.data().dyn_into::<Uint8Array>();
        match message.map_or(Err(ProtocolError), |message| {
            Request::from_bytes(&message.to_vec())
        }) {
            Ok(Request::Measure { site }) => {
                let scope = answering.clone();
                spawn_local(async move { post(&scope, &measure::measure(&scope, &site).await) });
            }
            Ok(request) => post(&answering, &desk.serve(request)),
            Err(ProtocolError) => post(&answering, &Reply::Misunderstood),
        }
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
