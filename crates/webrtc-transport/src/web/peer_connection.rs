//! One `RTCPeerConnection`: its events as things to poll, its promises as futures.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{future::poll_fn, task::AtomicWaker};
use futures_timer::Delay;
use js_sys::{Array, Promise, Reflect};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Event, EventTarget, RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcIceCandidateInit,
    RtcIceServer, RtcPeerConnection, RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcSdpType,
    RtcSessionDescriptionInit,
};

use crate::{
    config::{Config, IceServer},
    error::Error,
    sdp::Agreed,
    signalling::candidate::Candidate,
    stream::budget::Budget,
};

use super::{browser_error, channel::Channel};

/// The label of the channel that exists to make browsers gather candidates; it is no stream.
const INIT_LABEL: &str = "init";

/// How long the dialler has to see that channel open, and to close it itself, before we do.
const INIT_CLOSE_DELAY: Duration = Duration::from_secs(1);

/// What an `RTCSctpTransport` tells when the remote closes the association, among other things.
const ASSOCIATION_EVENT: &str = "statechange";

/// A peer connection that closes when dropped.
pub(crate) struct PeerConnection {
    js: RtcPeerConnection,
    events: Rc<Events>,
    /// The `RTCSctpTransport`, once there is one: it knows at once when the remote closes the connection, while the
    /// connection itself only notices after seconds that nobody answers.
    association: Option<EventTarget>,
    // Cleared in `drop` before they are freed.
    _on_candidate: Closure<dyn FnMut(RtcPeerConnectionIceEvent)>,
    _on_channel: Closure<dyn FnMut(RtcDataChannelEvent)>,
    on_state: Closure<dyn FnMut(Event)>,
}

struct Events {
    js: RtcPeerConnection,
    config: Rc<Config>,
    state: AtomicWaker,
    candidates: RefCell<VecDeque<Candidate>>,
    candidate: AtomicWaker,
    channels: RefCell<VecDeque<Channel>>,
    channel: AtomicWaker,
    /// The dialler's `init` channel: a data channel that nobody refers to is cut off by the garbage collector. A remote
    /// may close it as soon as it likes.
    init: RefCell<Option<RtcDataChannel>>,
    /// What the two descriptions allow; known before the remote can open a channel.
    agreed: Cell<Agreed>,
    budget: Rc<RefCell<Budget>>,
    slot: AtomicWaker,
    /// A channel for the next stream, opened while nobody waited for it: browsers take longer to open a channel than to
    /// send a request on it.
    spare: RefCell<Option<Channel>>,
}

impl Events {
    fn new(js: RtcPeerConnection, config: Rc<Config>) -> Self {
        let budget = Budget::new(config.limits());
        Self {
            js,
            config,
            state: AtomicWaker::new(),
            candidates: RefCell::default(),
            candidate: AtomicWaker::new(),
            channels: RefCell::default(),
            channel: AtomicWaker::new(),
            init: RefCell::default(),
            agreed: Cell::default(),
            budget: Rc::new(RefCell::new(budget)),
            slot: AtomicWaker::new(),
            spare: RefCell::default(),
        }
    }

    /// Streams and channels that wait to become streams.
    fn open(&self) -> usize {
        let spare = usize::from(self.spare.borrow().is_some());
        self.budget.borrow().streams() + self.channels.borrow().len() + spare
    }

    fn has_place(&self) -> bool {
        self.open() < self.config.streams_max
    }

    fn channel(&self, js: RtcDataChannel) -> Channel {
        Channel::new(js, &self.config, &self.agreed.get(), self.budget.clone())
    }

    /// A new channel for a stream. The specification wants the label empty.
    fn open_channel(&self) -> Channel {
        self.channel(self.js.create_data_channel(""))
    }

    /// Opens a channel for the next stream. Only a peer that knows windows knows that a channel may be silent at first.
    fn prepare_spare(&self) {
        let connected = self.js.connection_state() == RtcPeerConnectionState::Connected;
        let wanted = self.agreed.get().windows.is_some() && self.spare.borrow().is_none();
        if connected && wanted && self.has_place() {
            self.spare.replace(Some(self.open_channel()));
        }
    }
}

impl PeerConnection {
    pub(crate) fn new(config: Rc<Config>) -> Result<Self, Error> {
        let js = RtcPeerConnection::new_with_configuration(&rtc_configuration(&config.ice_servers))
            .map_err(browser_error("make a peer connection"))?;
        let events = Rc::new(Events::new(js.clone(), config));
        let on_candidate = on_candidate(events.clone());
        let on_channel = on_channel(events.clone());
        let on_state = on_state(events.clone());
        js.set_onicecandidate(Some(on_candidate.as_ref().unchecked_ref()));
        js.set_ondatachannel(Some(on_channel.as_ref().unchecked_ref()));
        js.set_onconnectionstatechange(Some(on_state.as_ref().unchecked_ref()));
        Ok(Self {
            js,
            events,
            association: None,
            _on_candidate: on_candidate,
            _on_channel: on_channel,
            on_state,
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.events.config
    }

    /// Takes note of what the descriptions allow; to be called before the second of them is given to the browser.
    pub(crate) fn agree(&self, agreed: Agreed) {
        self.events.agreed.set(agreed);
    }

    /// Opens the channel without which the browser would gather no candidates. It stays open as long as the connection:
    /// once it is closed Chromium gives its id to the next stream, and Firefox, which is still busy closing it, loses
    /// that stream without a word.
    pub(crate) fn open_init_channel(&self) {
        let init = self.js.create_data_channel(INIT_LABEL);
        self.events.init.replace(Some(init));
    }

    /// Opens a channel for a stream, once there is a place for it.
    pub(crate) fn poll_open_channel(&self, cx: &Context<'_>) -> Poll<(Channel, Slot)> {
        let spare = self.events.spare.take().filter(Channel::is_unused);
        if spare.is_none() && !self.events.has_place() {
            self.events.slot.register(cx.waker());
            return Poll::Pending;
        }
        let channel = spare.unwrap_or_else(|| self.events.open_channel());
        Poll::Ready((channel, Slot::new(self.events.clone())))
    }

    pub(crate) async fn create_offer(&self) -> Result<String, Error> {
        description(self.js.create_offer(), "create an offer").await
    }

    pub(crate) async fn create_answer(&self) -> Result<String, Error> {
        description(self.js.create_answer(), "create an answer").await
    }

    pub(crate) async fn set_local(&self, kind: RtcSdpType, sdp: &str) -> Result<(), Error> {
        let description = session_description(kind, sdp);
        settled(
            self.js.set_local_description(&description),
            "set the local description",
        )
        .await
    }

    pub(crate) async fn set_remote(&self, kind: RtcSdpType, sdp: &str) -> Result<(), Error> {
        let description = session_description(kind, sdp);
        settled(
            self.js.set_remote_description(&description),
            "set the remote description",
        )
        .await
    }

    /// Gives the browser a candidate of the remote without waiting for it: a browser may take as long as it likes to
    /// look up the name in a candidate, and another candidate may connect meanwhile. One of a kind that this browser
    /// does not know leaves the others.
    pub(crate) fn add_candidate(&self, candidate: &Candidate) {
        let init = RtcIceCandidateInit::new(&candidate.candidate);
        init.set_sdp_mid(candidate.sdp_mid.as_deref());
        init.set_sdp_m_line_index(candidate.sdp_m_line_index);
        if let Some(fragment) = &candidate.username_fragment {
            // web-sys does not know this field; setting a property of a plain object cannot fail.
            let _ = Reflect::set(&init, &"usernameFragment".into(), &fragment.into());
        }
        let promise = self
            .js
            .add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(error) = settled(promise, "add a candidate").await {
                tracing::debug!(%error, "skipped a candidate");
            }
        });
    }

    /// The next candidate to send to the remote.
    pub(crate) async fn next_candidate(&self) -> Candidate {
        poll_fn(|cx| match self.events.candidates.borrow_mut().pop_front() {
            Some(candidate) => Poll::Ready(candidate),
            None => {
                self.events.candidate.register(cx.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Ready when the connection stands, or when it is certain that it never will.
    pub(crate) async fn connected(&self) -> Result<(), Error> {
        poll_fn(|cx| match self.poll_state(cx) {
            RtcPeerConnectionState::Connected => Poll::Ready(Ok(())),
            RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed => {
                Poll::Ready(Err(Error::NoPath))
            }
            _ => Poll::Pending,
        })
        .await
    }

    /// The state now; the task is woken when it changes. A connection that the remote has closed is `Closed`.
    pub(crate) fn poll_state(&self, cx: &Context<'_>) -> RtcPeerConnectionState {
        self.events.state.register(cx.waker());
        let association = self
            .association
            .as_ref()
            .and_then(|target| Reflect::get(target, &"state".into()).ok());
        match association.and_then(|state| state.as_string()).as_deref() {
            Some("closed") => RtcPeerConnectionState::Closed,
            _ => self.js.connection_state(),
        }
    }

    /// Watches for the remote to close the connection, where the browser can tell.
    pub(crate) fn watch_association(&mut self) {
        let sctp = Reflect::get(&self.js, &"sctp".into()).ok();
        let Some(sctp) = sctp.and_then(|sctp| sctp.dyn_into::<EventTarget>().ok()) else {
            return;
        };
        let on_state = self.on_state.as_ref().unchecked_ref();
        if sctp
            .add_event_listener_with_callback(ASSOCIATION_EVENT, on_state)
            .is_ok()
        {
            self.association = Some(sctp);
        }
    }

    /// The next channel that the remote opened for a stream. It was counted among the streams when it came.
    ///
    /// A peer that knows windows opens a channel before it needs one. It uses that before it opens another, so the newest
    /// becomes a stream with its first message, and all others are streams already.
    pub(crate) fn poll_channel(&self, cx: &Context<'_>) -> Poll<(Channel, Slot)> {
        self.events.channel.register(cx.waker());
        let mut channels = self.events.channels.borrow_mut();
        let is_newest = channels.len() == 1 && self.events.agreed.get().windows.is_some();
        if let Some(newest) = channels
            .front()
            .filter(|channel| is_newest && channel.is_unused())
        {
            newest.wake_reader(cx);
            return Poll::Pending;
        }
        match channels.pop_front() {
            Some(channel) => Poll::Ready((channel, Slot::new(self.events.clone()))),
            None => Poll::Pending,
        }
    }

    pub(crate) fn close(&self) {
        self.js.close();
    }
}

impl Drop for PeerConnection {
    fn drop(&mut self) {
        self.js.set_onicecandidate(None);
        self.js.set_ondatachannel(None);
        self.js.set_onconnectionstatechange(None);
        self.events.spare.take();
        if let Some(sctp) = &self.association {
            let on_state = self.on_state.as_ref().unchecked_ref();
            // Removing a listener that was added cannot fail.
            let _ = sctp.remove_event_listener_with_callback(ASSOCIATION_EVENT, on_state);
        }
        self.js.close();
    }
}

fn rtc_configuration(servers: &[IceServer]) -> RtcConfiguration {
    let list = Array::new();
    for server in servers {
        let entry = RtcIceServer::new();
        let urls: Array = server.urls.iter().map(JsValue::from).collect();
        entry.set_urls(&urls);
        if let Some(username) = &server.username {
            entry.set_username(username);
        }
        if let Some(credential) = &server.credential {
            entry.set_credential(credential);
        }
        list.push(&entry);
    }
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&list);
    configuration
}

fn session_description(kind: RtcSdpType, sdp: &str) -> RtcSessionDescriptionInit {
    let description = RtcSessionDescriptionInit::new(kind);
    description.set_sdp(sdp);
    description
}

async fn description(promise: Promise, operation: &'static str) -> Result<String, Error> {
    let description = JsFuture::from(promise).await.map_err(browser_error(operation))?;
    let sdp = Reflect::get(&description, &"sdp".into()).map_err(browser_error(operation))?;
    sdp.as_string().ok_or_else(|| Error::Browser {
        operation,
        reason: "no SDP".into(),
    })
}

async fn settled(promise: Promise, operation: &'static str) -> Result<(), Error> {
    JsFuture::from(promise)
        .await
        .map(drop)
        .map_err(browser_error(operation))
}

fn on_candidate(events: Rc<Events>) -> Closure<dyn FnMut(RtcPeerConnectionIceEvent)> {
    let mut gathered = 0;
    Closure::new(move |event: RtcPeerConnectionIceEvent| {
        // No candidate, or an empty one, marks the end of gathering; like js-libp2p we do not send that.
        let Some(candidate) = event
            .candidate()
            .filter(|candidate| !candidate.candidate().is_empty())
        else {
            return;
        };
        gathered += 1;
        if gathered > events.config.candidates_max {
            return;
        }
        let fragment = Reflect::get(&candidate, &"usernameFragment".into())
            .ok()
            .and_then(|value| value.as_string());
        events.candidates.borrow_mut().push_back(Candidate {
            candidate: candidate.candidate(),
            sdp_mid: candidate.sdp_mid(),
            sdp_m_line_index: candidate.sdp_m_line_index(),
            username_fragment: fragment,
        });
        events.candidate.wake();
    })
}

fn on_channel(events: Rc<Events>) -> Closure<dyn FnMut(RtcDataChannelEvent)> {
    Closure::new(move |event: RtcDataChannelEvent| {
        let channel = event.channel();
        if channel.label() == INIT_LABEL {
            if events.agreed.get().windows.is_none() {
                close_later(channel.clone());
            }
            // One is enough.
            if let Some(former) = events.init.replace(Some(channel)) {
                former.close();
            }
            return;
        }
        if !events.has_place() {
            tracing::debug!("refused a stream: too many are open");
            channel.close();
            return;
        }
        events.channels.borrow_mut().push_back(events.channel(channel));
        events.channel.wake();
    })
}

/// js-libp2p closes the init channel as soon as it is open and uses the connection once both ends have. Firefox may miss that
/// when it has only just opened it, and then the dialler waits in vain; so we do not wait to be asked for ever. Not at once
/// either: the dialler insists on having seen the channel open.
fn close_later(channel: RtcDataChannel) {
    wasm_bindgen_futures::spawn_local(async move {
        Delay::new(INIT_CLOSE_DELAY).await;
        channel.close();
    });
}

fn on_state(events: Rc<Events>) -> Closure<dyn FnMut(Event)> {
    Closure::new(move |_: Event| events.state.wake())
}

/// A stream's place among the [`Config::streams_max`] of its connection; free again when dropped.
pub(crate) struct Slot {
    events: Rc<Events>,
}

impl Slot {
    fn new(events: Rc<Events>) -> Self {
        events.budget.borrow_mut().open();
        Self { events }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.events.budget.borrow_mut().close();
        self.events.prepare_spare();
        self.events.slot.wake();
    }
}
