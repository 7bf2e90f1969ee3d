//! One `RTCDataChannel` with its inbox.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{Event, MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use crate::{
    config::Config,
    error::Error,
    stream::{
        frame::{Flag, encode_flag},
        inbox::Inbox,
    },
};

use super::browser_error;

/// A data channel whose messages are taken from the moment it exists, so that none is lost before someone reads.
pub(crate) struct Channel {
    js: RtcDataChannel,
    shared: Rc<Shared>,
    send_bytes_max: u32,
    // Cleared in `drop` before they are freed.
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_change: Closure<dyn FnMut(Event)>,
    _on_end: Closure<dyn FnMut(Event)>,
}

struct Shared {
    inbox: RefCell<Inbox>,
    reader: AtomicWaker,
    /// Waits for room to send, for the channel to open or to close.
    writer: AtomicWaker,
}

impl Shared {
    fn wake(&self) {
        self.reader.wake();
        self.writer.wake();
    }
}

impl Channel {
    pub(crate) fn new(js: RtcDataChannel, config: &Config) -> Self {
        let send_bytes_max = u32::try_from(config.stream_send_bytes_max).unwrap_or(u32::MAX);
        js.set_binary_type(RtcDataChannelType::Arraybuffer);
        // Half, so that the browser never runs dry while it waits for the page to be scheduled.
        js.set_buffered_amount_low_threshold(send_bytes_max / 2);
        let shared = Rc::new(Shared {
            inbox: RefCell::new(Inbox::new(config.stream_receive_bytes_max)),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        });
        let on_message = on_message(js.clone(), shared.clone());
        let on_change = on_change(shared.clone());
        let on_end = on_end(shared.clone());
        js.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        js.set_onopen(Some(on_change.as_ref().unchecked_ref()));
        js.set_onbufferedamountlow(Some(on_change.as_ref().unchecked_ref()));
        js.set_onclose(Some(on_end.as_ref().unchecked_ref()));
        js.set_onerror(Some(on_end.as_ref().unchecked_ref()));
        Self {
            js,
            shared,
            send_bytes_max,
            _on_message: on_message,
            _on_change: on_change,
            _on_end: on_end,
        }
    }

    /// The inbox. Not to be held across calls into the browser.
    pub(crate) fn inbox(&self) -> &RefCell<Inbox> {
        &self.shared.inbox
    }

    /// Wakes the task when something was received or the channel ended.
    pub(crate) fn wake_reader(&self, cx: &Context<'_>) {
        self.shared.reader.register(cx.waker());
    }

    /// Ready when the channel is open and its send buffer has room.
    pub(crate) fn poll_send_ready(&self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        match self.js.ready_state() {
            RtcDataChannelState::Open if self.js.buffered_amount() < self.send_bytes_max => {
                Poll::Ready(Ok(()))
            }
            RtcDataChannelState::Open | RtcDataChannelState::Connecting => {
                self.shared.writer.register(cx.waker());
                Poll::Pending
            }
            _ => Poll::Ready(Err(Error::Closed)),
        }
    }

    /// Ready when nothing that matters is left to be sent or acknowledged: the channel can be closed.
    pub(crate) fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
        let open = self.js.ready_state() == RtcDataChannelState::Open;
        let over = self.shared.inbox.borrow().state.is_over();
        if !open || (over && self.js.buffered_amount() == 0) {
            return Poll::Ready(());
        }
        // From here on only an empty buffer counts.
        self.js.set_buffered_amount_low_threshold(0);
        self.shared.reader.register(cx.waker());
        self.shared.writer.register(cx.waker());
        Poll::Pending
    }

    /// Hands bytes to the browser, which copies them.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.js.send_with_u8_array(bytes).map_err(browser_error("send"))
    }

    /// Sends a flag if the channel is open; when it is not, the remote has learnt of the end anyway.
    pub(crate) fn send_flag(&self, flag: Flag) {
        send_flag(&self.js, flag);
    }

    pub(crate) fn close(&self) {
        self.js.close();
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.js.set_onmessage(None);
        self.js.set_onopen(None);
        self.js.set_onbufferedamountlow(None);
        self.js.set_onclose(None);
        self.js.set_onerror(None);
        self.js.close();
    }
}

fn send_flag(js: &RtcDataChannel, flag: Flag) {
    if js.ready_state() == RtcDataChannelState::Open
        && let Err(error) = js.send_with_u8_array(&encode_flag(flag))
    {
        tracing::debug!(?flag, ?error, "could not send a flag");
    }
}

fn on_message(js: RtcDataChannel, shared: Rc<Shared>) -> Closure<dyn FnMut(MessageEvent)> {
    Closure::new(move |event: MessageEvent| {
        let answers = match event.data().dyn_into::<ArrayBuffer>() {
            Ok(buffer) => {
                let bytes = Uint8Array::new(&buffer);
                let len = bytes.length() as usize;
                shared
                    .inbox
                    .borrow_mut()
                    .receive(len, |space| bytes.copy_to(space))
            }
            Err(_) => shared.inbox.borrow_mut().reject("text instead of bytes"),
        };
        for flag in answers {
            send_flag(&js, flag);
        }
        shared.wake();
    })
}

fn on_change(shared: Rc<Shared>) -> Closure<dyn FnMut(Event)> {
    Closure::new(move |_: Event| shared.writer.wake())
}

fn on_end(shared: Rc<Shared>) -> Closure<dyn FnMut(Event)> {
    Closure::new(move |_: Event| {
        shared.inbox.borrow_mut().state.break_off();
        shared.wake();
    })
}
