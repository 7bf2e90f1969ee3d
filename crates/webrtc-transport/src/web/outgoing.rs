//! What goes out on one data channel.
//!
//! A message costs the browser two hops between processes at each end, however short it is, and a stream's life is made of
//! short ones: two lines of negotiation, a request, the end, its acknowledgement. So short frames wait until the tasks that
//! run now have run, and leave in one message. That delays nothing by a turn of the event loop; it only lets a chain of
//! tasks that wake each other say all that it has to say.
//!
//! Only peers that announced windows get several frames in a message. The framing allows it to everyone, as frames carry
//! their lengths, but nobody else was seen to do it.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::Poll,
};

use wasm_bindgen_futures::spawn_local;
use web_sys::{RtcDataChannel, RtcDataChannelState};

use crate::{error::Error, stream::frame::FRAME_BYTES_MAX};

use super::browser_error;

/// The longest frame that waits for others. Copying more costs more than a message.
const SHORT_BYTES_MAX: usize = 4 * 1024;

/// How often the tasks that run now may wake others before what they wrote leaves: a stream that is accepted, negotiated,
/// handed to its protocol and answered is five tasks.
const PASSES: usize = 8;

/// The sending side of a channel.
pub(crate) struct Outgoing {
    js: RtcDataChannel,
    gathers: bool,
    gathered: RefCell<Vec<u8>>,
    scheduled: Cell<bool>,
}

impl Outgoing {
    pub(crate) fn new(js: RtcDataChannel, gathers: bool) -> Rc<Self> {
        Rc::new(Self {
            js,
            gathers,
            gathered: RefCell::default(),
            scheduled: Cell::new(false),
        })
    }

    /// Sends a frame, perhaps together with those that follow at once.
    pub(crate) fn send(self: &Rc<Self>, frame: &[u8]) -> Result<(), Error> {
        let gathered = self.gathered.borrow().len();
        let short = self.gathers && frame.len() <= SHORT_BYTES_MAX;
        if !short || gathered + frame.len() > FRAME_BYTES_MAX {
            self.send_gathered()?;
        }
        if !short {
            return self.send_message(frame);
        }
        self.gathered.borrow_mut().extend_from_slice(frame);
        if !self.scheduled.replace(true) {
            spawn_local(self.clone().send_soon());
        }
        Ok(())
    }

    /// Sends a frame of a few bytes that waits for nothing; on a channel that is not open nobody needs it.
    pub(crate) fn send_control(self: &Rc<Self>, frame: &[u8]) {
        if self.js.ready_state() == RtcDataChannelState::Open
            && let Err(error) = self.send(frame)
        {
            tracing::debug!(%error, "could not send a flag or a grant");
        }
    }

    /// Sends what was gathered.
    pub(crate) fn send_gathered(&self) -> Result<(), Error> {
        let gathered = self.gathered.take();
        if gathered.is_empty() {
            return Ok(());
        }
        self.send_message(&gathered)
    }

    /// Bytes that the remote has not got yet, as far as the browser knows.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.js.buffered_amount() as usize + self.gathered.borrow().len()
    }

    async fn send_soon(self: Rc<Self>) {
        for _ in 0..PASSES {
            next_pass().await;
        }
        self.scheduled.set(false);
        if self.js.ready_state() == RtcDataChannelState::Open
            && let Err(error) = self.send_gathered()
        {
            // The stream has lost bytes and ends; its handlers hear of the channel's end.
            tracing::debug!(%error, "closing a channel");
            self.js.close();
        }
    }

    /// Hands bytes to the browser, which copies them.
    fn send_message(&self, bytes: &[u8]) -> Result<(), Error> {
        self.js.send_with_u8_array(bytes).map_err(browser_error("send"))
    }
}

/// Lets every task run that is ready now.
async fn next_pass() {
    let mut passed = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
