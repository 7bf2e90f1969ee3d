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
    sdp::Agreed,
    stream::{
        budget::Budget,
        frame::{Flag, encode_flag, encode_grant},
        inbox::{Inbox, StreamError},
    },
};

use super::outgoing::Outgoing;

/// A data channel whose messages are taken from the moment it exists, so that none is lost before someone reads.
pub(crate) struct Channel {
    js: RtcDataChannel,
    outgoing: Rc<Outgoing>,
    shared: Rc<Shared>,
    budget: Rc<RefCell<Budget>>,
    frame_bytes_max: usize,
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
    pub(crate) fn new(
        js: RtcDataChannel,
        config: &Config,
        agreed: &Agreed,
        budget: Rc<RefCell<Budget>>,
    ) -> Self {
        js.set_binary_type(RtcDataChannelType::Arraybuffer);
        let held_bytes_max = match agreed.windows {
            Some(_) => config.receive_bytes_max,
            None => config.stream_receive_bytes_max,
        };
        let inbox = Inbox::new(budget.clone(), held_bytes_max, agreed.windows);
        let shared = Rc::new(Shared {
            inbox: RefCell::new(inbox),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        });
        let outgoing = Outgoing::new(js.clone(), agreed.windows.is_some());
        let on_message = on_message(outgoing.clone(), shared.clone());
        let on_change = on_change(shared.clone());
        let on_end = on_end(shared.clone());
        js.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        js.set_onopen(Some(on_change.as_ref().unchecked_ref()));
        js.set_onbufferedamountlow(Some(on_change.as_ref().unchecked_ref()));
        js.set_onclose(Some(on_end.as_ref().unchecked_ref()));
        js.set_onerror(Some(on_end.as_ref().unchecked_ref()));
        Self {
            js,
            outgoing,
            shared,
            budget,
            frame_bytes_max: agreed.frame_bytes_max,
            _on_message: on_message,
            _on_change: on_change,
            _on_end: on_end,
        }
    }

    /// The inbox. Not to be held across calls into the browser.
    pub(crate) fn inbox(&self) -> &RefCell<Inbox> {
        &self.shared.inbox
    }

    /// Whether nothing has been received and the channel has not ended.
    pub(crate) fn is_unused(&self) -> bool {
        let ended = matches!(
            self.js.ready_state(),
            RtcDataChannelState::Closing | RtcDataChannelState::Closed
        );
        !ended && self.shared.inbox.borrow().is_unused()
    }

    /// Wakes the task when something was received or the channel ended.
    pub(crate) fn wake_reader(&self, cx: &Context<'_>) {
        self.shared.reader.register(cx.waker());
    }

    /// The largest frame to send now; less than what was agreed while many streams share the memory for sending.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max.min(self.budget.borrow().send_share_bytes())
    }

    /// Wakes the task when the remote may have granted more, among other things.
    pub(crate) fn wake_writer(&self, cx: &Context<'_>) {
        self.shared.writer.register(cx.waker());
    }

    /// Ready when the channel is open and its send buffer has room for this many bytes.
    pub(crate) fn poll_send_ready(&self, cx: &Context<'_>, bytes: usize) -> Poll<Result<(), Error>> {
        match self.js.ready_state() {
            RtcDataChannelState::Open => {
                let share = self.budget.borrow().send_share_bytes();
                let buffered = self.outgoing.buffered_bytes();
                if buffered == 0 || buffered + bytes <= share {
                    return Poll::Ready(Ok(()));
                }
                // Half, so that the browser never runs dry while it waits for the page to be scheduled; less where half
                // would not be room enough, since the browser tells of the threshold only once.
                let threshold = (share / 2).min(share.saturating_sub(bytes));
                self.js
                    .set_buffered_amount_low_threshold(u32::try_from(threshold).unwrap_or(u32::MAX));
            }
            RtcDataChannelState::Connecting => {}
            _ => return Poll::Ready(Err(Error::Closed)),
        }
        self.wake_writer(cx);
        Poll::Pending
    }

    /// Ready when nothing that matters is left to be sent or acknowledged: the channel can be closed.
    pub(crate) fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
        let open = self.js.ready_state() == RtcDataChannelState::Open;
        let over = self.shared.inbox.borrow().state.is_over();
        let sent = self.outgoing.send_gathered().is_ok();
        if !open || !sent || (over && self.outgoing.buffered_bytes() == 0) {
            return Poll::Ready(());
        }
        // From here on only an empty buffer counts.
        self.js.set_buffered_amount_low_threshold(0);
        self.shared.reader.register(cx.waker());
        self.shared.writer.register(cx.waker());
        Poll::Pending
    }

    /// Sends a frame.
    pub(crate) fn send(&self, frame: &[u8]) -> Result<(), Error> {
        self.outgoing.send(frame)
    }

    /// Sends a flag if the channel is open; when it is not, the remote has learnt of the end anyway.
    pub(crate) fn send_flag(&self, flag: Flag) {
        self.outgoing.send_control(&encode_flag(flag));
    }

    /// Grants the remote what the reader has made room for, if that is worth a message.
    pub(crate) fn send_grant(&self) {
        let granted = self.shared.inbox.borrow_mut().grant();
        if let Some(bytes) = granted {
            self.outgoing.send_control(&encode_grant(bytes));
        }
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

fn on_message(outgoing: Rc<Outgoing>, shared: Rc<Shared>) -> Closure<dyn FnMut(MessageEvent)> {
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
            Err(_) => shared.inbox.borrow_mut().reject(StreamError::Text),
        };
        for flag in answers {
            outgoing.send_control(&encode_flag(flag));
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
