//! A remote made by hand from a peer connection and the bytes of the signalling protocol, so that it can do what no end
//! of this crate does.

use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _};
use futures_timer::Delay;
use js_sys::{Promise, Reflect};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    MessageEvent, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelState, RtcIceGatheringState,
    RtcPeerConnection, RtcSdpType, RtcSessionDescriptionInit,
};

pub(crate) const OFFER: u8 = 0;
pub(crate) const ANSWER: u8 = 1;
pub(crate) const CANDIDATE: u8 = 2;

const POLL: Duration = Duration::from_millis(10);

/// A signalling message with its length in front.
pub(crate) fn message(kind: u8, data: &str) -> Vec<u8> {
    let mut body = vec![0x08, kind, 0x12];
    push_length(&mut body, data.len());
    body.extend_from_slice(data.as_bytes());
    let mut bytes = Vec::new();
    push_length(&mut bytes, body.len());
    bytes.extend_from_slice(&body);
    bytes
}

fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

/// Kind and data of the next signalling message, as this crate writes it.
pub(crate) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> (u8, String) {
    let mut length = 0;
    for shift in [0, 7, 14] {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let length_bytes = body[3..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let data = body.split_off(3 + length_bytes);
    (body[1], String::from_utf8(data).unwrap())
}

/// A peer connection that closes the remote's `init` channel as soon as it sees it and echoes what comes on any other.
pub(crate) struct Raw {
    peer: RtcPeerConnection,
    _on_channel: Closure<dyn FnMut(RtcDataChannelEvent)>,
}

impl Raw {
    pub(crate) fn new() -> Self {
        let peer = RtcPeerConnection::new().unwrap();
        let on_channel = Closure::new(|event: RtcDataChannelEvent| {
            let channel = event.channel();
            if channel.label() == "init" {
                channel.close();
            } else {
                echo(&channel);
            }
        });
        peer.set_ondatachannel(Some(on_channel.as_ref().unchecked_ref()));
        Self {
            peer,
            _on_channel: on_channel,
        }
    }

    pub(crate) fn open(&self, label: &str) -> RtcDataChannel {
        self.peer.create_data_channel(label)
    }

    /// An offer without candidates, which leads nowhere.
    pub(crate) async fn empty_offer(&self) -> String {
        self.open("init");
        text(&settled(self.peer.create_offer()).await)
    }

    /// The offer for the channels opened so far, with all candidates in it.
    pub(crate) async fn offer(&self) -> String {
        let offer = text(&settled(self.peer.create_offer()).await);
        settled(
            self.peer
                .set_local_description(&description(RtcSdpType::Offer, &offer)),
        )
        .await;
        self.gathered().await
    }

    /// The answer to an offer, with all candidates in it.
    pub(crate) async fn answer(&self, offer: &str) -> String {
        settled(
            self.peer
                .set_remote_description(&description(RtcSdpType::Offer, offer)),
        )
        .await;
        let answer = text(&settled(self.peer.create_answer()).await);
        settled(
            self.peer
                .set_local_description(&description(RtcSdpType::Answer, &answer)),
        )
        .await;
        self.gathered().await
    }

    pub(crate) async fn take_answer(&self, answer: &str) {
        settled(
            self.peer
                .set_remote_description(&description(RtcSdpType::Answer, answer)),
        )
        .await;
    }

    async fn gathered(&self) -> String {
        while self.peer.ice_gathering_state() != RtcIceGatheringState::Complete {
            Delay::new(POLL).await;
        }
        self.peer.local_description().unwrap().sdp()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.peer.set_ondatachannel(None);
        self.peer.close();
    }
}

/// Waits until a channel is open.
pub(crate) async fn opened(channel: &RtcDataChannel) {
    while channel.ready_state() != RtcDataChannelState::Open {
        Delay::new(POLL).await;
    }
}

fn echo(channel: &RtcDataChannel) {
    channel.set_binary_type(web_sys::RtcDataChannelType::Arraybuffer);
    let back = channel.clone();
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        // The channel may be closing.
        let _ = back.send_with_array_buffer(event.data().unchecked_ref());
    });
    channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // Lives as long as the page of the tests.
    on_message.forget();
}

fn description(kind: RtcSdpType, sdp: &str) -> RtcSessionDescriptionInit {
    let description = RtcSessionDescriptionInit::new(kind);
    description.set_sdp(sdp);
    description
}

fn text(description: &JsValue) -> String {
    Reflect::get(description, &"sdp".into())
        .unwrap()
        .as_string()
        .unwrap()
}

async fn settled(promise: Promise) -> JsValue {
    JsFuture::from(promise).await.unwrap()
}
