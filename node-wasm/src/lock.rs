//! One node per browser profile.
//!
//! Two nodes with one key would fork an honest ledger, so the Web Lock is taken before the key is read and held until
//! the last write is done. A tab that wants the node says so on a [`BroadcastChannel`]; the holder stops its node,
//! lets go, and the lock passes on. A holder that crashes loses the lock with its tab.

use std::cell::Cell;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{Either, select};
use gloo::events::EventListener;
use gloo::timers::future::TimeoutFuture;
use js_sys::{Function, Promise};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortController, BroadcastChannel, LockManager, LockOptions, MessageEvent};

use crate::error::StartError;
use crate::platform;

/// How long the other tab may take to stop its node.
const HANDOVER_MS_MAX: u32 = 8_000;

/// How long a lock that was just let go, by this tab or by a page that is being left, may take to be free: browsers do that in
/// a process of its own, Firefox after the page has asked for it again.
const FREED_MS_MAX: u32 = 1_000;

/// What is said on the channel.
const LET_GO: &str = "let go";

/// The right to be the node of this profile; passes on when it is dropped.
pub(crate) struct NodeLock {
    release: Function,
    channel: BroadcastChannel,
    _listener: EventListener,
}

/// How an attempt to get the lock ended.
pub(crate) enum Claim {
    /// This tab is the node. The receiver fires when another tab wants to be it.
    Held(NodeLock, oneshot::Receiver<()>),
    /// This browser, or this insecure page, has no Web Locks.
    Missing,
}

/// Takes the lock `name`; with `take_over` it asks the holder to let go and waits for that.
pub(crate) async fn claim(name: &str, take_over: bool) -> Result<Claim, StartError> {
    let navigator = platform::window()?.navigator();
    if platform::property(&navigator, "locks").is_none() {
        return Ok(Claim::Missing);
    }
    let unsupported = |error: JsValue| StartError::Unsupported(platform::text_of(&error));
    let channel = BroadcastChannel::new(name).map_err(unsupported)?;
    let release = match request(&navigator.locks(), name, FREED_MS_MAX).await? {
        Some(release) => release,
        None if take_over => {
            channel
                .post_message(&JsValue::from_str(LET_GO))
                .map_err(unsupported)?;
            request(&navigator.locks(), name, HANDOVER_MS_MAX)
                .await?
                .ok_or(StartError::TakeOverTimeout)?
        }
        None => {
            channel.close();
            return Err(StartError::RunsElsewhere);
        }
    };
    let (wanted, receiver) = oneshot::channel();
    let wanted = Cell::new(Some(wanted));
    let listener = EventListener::new(&channel, "message", move |event| {
        let said = event
            .dyn_ref::<MessageEvent>()
            .and_then(|message| message.data().as_string());
        if said.as_deref() == Some(LET_GO)
            && let Some(wanted) = wanted.take()
        {
            // The node may have stopped already.
            let _ = wanted.send(());
        }
    });
    Ok(Claim::Held(
        NodeLock {
            release,
            channel,
            _listener: listener,
        },
        receiver,
    ))
}

/// Asks for the lock; `None` when it was not passed on in time.
async fn request(locks: &LockManager, name: &str, wait_ms: u32) -> Result<Option<Function>, StartError> {
    let (granted, answer) = oneshot::channel::<Option<Function>>();
    let granted = Rc::new(Cell::new(Some(granted)));
    let on_lock = Closure::once_into_js(move |_lock: JsValue| -> JsValue {
        let Some(granted) = granted.take() else {
            return JsValue::UNDEFINED;
        };
        // The lock is held until this promise resolves. Its executor runs before the constructor returns.
        let mut release = None;
        let held = Promise::new(&mut |resolve, _| release = Some(resolve));
        let release_again = release.clone();
        if granted.send(release).is_err()
            && let Some(release) = release_again
        {
            // Nobody waits any more: pass the lock on.
            let _ = release.call0(&JsValue::UNDEFINED);
        }
        held.into()
    });
    let options = LockOptions::new();
    let abort = AbortController::new().map_err(|error| StartError::Unsupported(platform::text_of(&error)))?;
    options.set_signal(&abort.signal());
    let outcome = locks.request_with_options_and_callback(name, &options, on_lock.unchecked_ref());
    // A request that is aborted rejects; what counts arrives through the callback.
    let ignore = Closure::once_into_js(|_: JsValue| {});
    let _ = js_sys::Reflect::get(&outcome, &JsValue::from_str("catch"))
        .ok()
        .and_then(|catch| catch.dyn_into::<Function>().ok())
        .and_then(|catch| catch.call1(&outcome, &ignore).ok());
    match select(answer, TimeoutFuture::new(wait_ms)).await {
        Either::Left((answer, _)) => Ok(answer.ok().flatten()),
        Either::Right(((), _)) => {
            abort.abort();
            Ok(None)
        }
    }
}

impl Drop for NodeLock {
    fn drop(&mut self) {
        self.channel.close();
        // A resolver cannot fail.
        let _ = self.release.call0(&JsValue::UNDEFINED);
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn name() -> String {
        format!("test-{:x}", platform::dice())
    }

    async fn held(name: &str, take_over: bool) -> (NodeLock, oneshot::Receiver<()>) {
        match claim(name, take_over).await {
            Ok(Claim::Held(lock, wanted)) => (lock, wanted),
            Ok(Claim::Missing) => panic!("this browser has no Web Locks"),
            Err(error) => panic!("{error}"),
        }
    }

    #[wasm_bindgen_test]
    async fn the_lock_is_held_once_and_passes_on() {
        let name = name();
        let (first, _wanted) = held(&name, false).await;
        assert!(matches!(
            claim(&name, false).await,
            Err(StartError::RunsElsewhere)
        ));
        drop(first);
        // The browser passes it on in a task of its own, which is waited for.
        drop(held(&name, false).await);
    }

    #[wasm_bindgen_test]
    async fn a_holder_that_is_asked_lets_go() {
        let name = name();
        let (first, wanted) = held(&name, false).await;
        wasm_bindgen_futures::spawn_local(async move {
            assert_eq!(wanted.await, Ok(()));
            drop(first);
        });
        drop(held(&name, true).await);
    }
}
