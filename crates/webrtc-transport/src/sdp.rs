//! The little that has to be known about a session description before a browser sees it.
//!
//! Descriptions are opaque to libp2p, but they come from a stranger and go into one of the largest parsers of a
//! browser. A description of this protocol has one data-channel section and names the certificate that the DTLS
//! handshake must show; anything else is refused here.
//!
//! A description also announces what its sender takes: the largest message (`max-message-size`, RFC 8841, written by the
//! browser) and, if it is one of ours, the window that each of its streams starts with (`x-libp2p-window`, added by
//! [`announce`]). Browsers ignore attributes that they do not know, so any peer can be told.

use crate::stream::{
    budget::WINDOW_BYTES_MAX,
    frame::{FRAME_BYTES_MAX, LARGE_FRAME_BYTES_MAX},
    inbox::Windows,
};

/// The longest accepted description.
pub(crate) const SDP_BYTES_MAX: usize = 8 * 1024;

/// What is wrong with a session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// It is longer than any honest one.
    #[error("too long")]
    TooLong,
    /// It is not a session description at all.
    #[error("malformed")]
    Malformed,
    /// It asks for audio, video or several sections, not for data channels alone.
    #[error("not for data channels alone")]
    NotDataOnly,
    /// It lacks the fingerprint that ties the connection to the authenticated signalling.
    #[error("no certificate fingerprint")]
    NoFingerprint,
    /// It lacks the credentials of ICE.
    #[error("no ICE credentials")]
    NoIceCredentials,
}

/// Checks that a description is one of a data-channel-only session.
pub(crate) fn validate(sdp: &str) -> Result<(), SdpError> {
    if sdp.len() > SDP_BYTES_MAX {
        return Err(SdpError::TooLong);
    }
    if !sdp.starts_with("v=0") || sdp.contains('\0') {
        return Err(SdpError::Malformed);
    }
    let mut sections = sdp.lines().filter_map(|line| line.strip_prefix("m="));
    let data_only = sections.next().is_some_and(is_data_section) && sections.next().is_none();
    if !data_only {
        return Err(SdpError::NotDataOnly);
    }
    let has = |attribute: &str| {
        sdp.lines()
            .any(|line| value_of(line, attribute).is_some_and(|v| !v.is_empty()))
    };
    if !has("fingerprint") {
        return Err(SdpError::NoFingerprint);
    }
    if !(has("ice-ufrag") && has("ice-pwd")) {
        return Err(SdpError::NoIceCredentials);
    }
    Ok(())
}

const MESSAGE_SIZE: &str = "max-message-size";
const WINDOW: &str = "x-libp2p-window";

/// Adds the window that our streams start with to an own description, before it is sent.
pub(crate) fn announce(sdp: &str, window_bytes: usize) -> String {
    // A browser ends each line; the attribute lands in the last section, which is the only one.
    format!("{sdp}a={WINDOW}:{window_bytes}\r\n")
}

/// What both descriptions together allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// The largest frame to send.
    pub(crate) frame_bytes_max: usize,
    /// The windows that streams start with, when both sides have some.
    pub(crate) windows: Option<Windows>,
}

impl Default for Agreed {
    /// What the specification promises of anyone.
    fn default() -> Self {
        Self {
            frame_bytes_max: FRAME_BYTES_MAX,
            windows: None,
        }
    }
}

impl Agreed {
    /// Reads the description that we sent and the one that we received.
    pub(crate) fn between(sent: &str, received: &str) -> Self {
        let frame_bytes_max = message_bytes_max(sent)
            .min(message_bytes_max(received))
            .clamp(FRAME_BYTES_MAX, LARGE_FRAME_BYTES_MAX);
        let windows = window_bytes(sent)
            .zip(window_bytes(received))
            .map(|(receive_bytes, send_bytes)| Windows {
                send_bytes,
                receive_bytes,
            });
        Self {
            frame_bytes_max,
            windows,
        }
    }
}

/// The largest message that the sender of a description takes. One that says nothing takes what the specification of
/// libp2p promises, which is less than the 64 KiB of RFC 8841; 0 means any size.
fn message_bytes_max(sdp: &str) -> usize {
    match attribute(sdp, MESSAGE_SIZE).and_then(|value| value.parse().ok()) {
        None => FRAME_BYTES_MAX,
        Some(0) => usize::MAX,
        Some(bytes) => bytes,
    }
}

/// No window and one beyond all reason are no announcement.
fn window_bytes(sdp: &str) -> Option<usize> {
    attribute(sdp, WINDOW)?
        .parse()
        .ok()
        .filter(|bytes| (1..=WINDOW_BYTES_MAX).contains(bytes))
}

fn attribute<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| value_of(line, name))
}

fn is_data_section(section: &str) -> bool {
    section.starts_with("application ") && section.trim_end().ends_with(" webrtc-datachannel")
}

fn value_of<'a>(line: &'a str, attribute: &str) -> Option<&'a str> {
    line.strip_prefix("a=")?
        .strip_prefix(attribute)?
        .strip_prefix(':')
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        a=msid-semantic: WMS\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
        a=ice-ufrag:kb6y\r\na=ice-pwd:OLTGnQYrHCvyTVfqYq6cqDB5\r\na=ice-options:trickle\r\n\
        a=fingerprint:sha-256 A8:17:77:1E:02:7E:D1:2B:53:92:70:A6:8E:F9:02:CC:21:72:3A:92:5D:F4:97:5F:27:C4:5E:75:D4:F4:31:89\r\n\
        a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

    #[test]
    fn a_browsers_offer_passes() {
        assert_eq!(validate(OFFER), Ok(()));
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = |part: &str| {
            OFFER
                .lines()
                .filter(|line| !line.contains(part))
                .map(|line| format!("{line}\r\n"))
                .collect::<String>()
        };
        assert_eq!(validate(&without("fingerprint")), Err(SdpError::NoFingerprint));
        assert_eq!(validate(&without("ice-pwd")), Err(SdpError::NoIceCredentials));
        assert_eq!(validate(&without("m=")), Err(SdpError::NotDataOnly));
        assert_eq!(validate(&without("v=0")), Err(SdpError::Malformed));
        assert_eq!(validate(""), Err(SdpError::Malformed));
    }

    #[test]
    fn media_and_size_are_refused() {
        let audio = format!("{OFFER}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n");
        assert_eq!(validate(&audio), Err(SdpError::NotDataOnly));
        let long = format!("{OFFER}{}", "a=x\r\n".repeat(SDP_BYTES_MAX));
        assert_eq!(validate(&long), Err(SdpError::TooLong));
    }

    #[test]
    fn large_messages_and_windows_need_both_sides() {
        let ours = announce(OFFER, 20_480);
        assert_eq!(validate(&ours), Ok(()));
        let firefox = OFFER.replace("262144", "1073741823");
        assert_eq!(
            Agreed::between(&ours, &firefox),
            Agreed {
                frame_bytes_max: LARGE_FRAME_BYTES_MAX,
                windows: None
            }
        );
        let theirs = announce(&firefox, 1_000);
        assert_eq!(
            Agreed::between(&ours, &theirs).windows,
            Some(Windows {
                send_bytes: 1_000,
                receive_bytes: 20_480
            })
        );
        let silent = OFFER.replace("a=max-message-size:262144\r\n", "");
        assert_eq!(Agreed::between(&silent, &silent), Agreed::default());
        let any = OFFER.replace("262144", "0");
        assert_eq!(Agreed::between(&any, &any).frame_bytes_max, LARGE_FRAME_BYTES_MAX);
    }

    #[test]
    fn announcements_beyond_reason_are_none() {
        let ours = announce(OFFER, 20_480);
        for bad in ["0", "-1", "99999999999999999999", "", "x", "4294967295"] {
            let theirs = OFFER.replace("262144", bad) + &format!("a=x-libp2p-window:{bad}\r\n");
            assert_eq!(Agreed::between(&ours, &theirs).windows, None, "{bad}");
            let frame = Agreed::between(&ours, &theirs).frame_bytes_max;
            assert!((FRAME_BYTES_MAX..=LARGE_FRAME_BYTES_MAX).contains(&frame));
        }
    }
}
