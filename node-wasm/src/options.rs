//! What a page chooses when it starts a node.

use serde::{Deserialize, Serialize};

use crate::error::StartError;

/// Most STUN and TURN servers; browsers slow down with more.
pub const ICE_SERVERS_MAX: usize = 8;

/// Longest name of a storage.
pub const STORAGE_BYTES_MAX: usize = 64;

/// Least and most milliseconds without use after which models leave the memory.
pub const IDLE_MS: std::ops::RangeInclusive<u32> = 1_000..=86_400_000;

/// How to start a node. Every field has a sensible default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StartOptions {
    /// Origin of the relay, for example `https://relay.example:8443`. Default: where the page, or the embedding
    /// module, came from.
    pub relay: Option<String>,
    /// Secret of a group, as it stands in an invite link after `#g=`. Default: the relay's open group.
    pub group: Option<String>,
    /// Names the node's storage; two names are two identities.
    pub storage: String,
    /// STUN and TURN servers for direct connections across networks, instead of those that the relay names. Default: the
    /// relay's, which is its own STUN and what its operator added.
    pub ice_servers: Vec<IceServer>,
    /// Ways to the relay.
    pub transports: Transports,
    /// Stop the node that runs in another tab of this browser, and take over.
    pub take_over: bool,
    /// After so many milliseconds without use, models are taken out of memory until somebody wants them. Default: two minutes.
    pub idle_ms: u32,
    /// Run others' WebAssembly modules while lending. Default: true.
    pub compute: bool,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            relay: None,
            group: None,
            storage: "knowledge-node".to_owned(),
            ice_servers: Vec::new(),
            transports: Transports::default(),
            take_over: false,
            idle_ms: 120_000,
            compute: true,
        }
    }
}

impl StartOptions {
    /// Checks what a page gave.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn validate(&self) -> Result<(), StartError> {
        let wrong = |what: &str| Err(StartError::InvalidOptions(what.to_owned()));
        if self.storage.is_empty() || self.storage.len() > STORAGE_BYTES_MAX {
            return wrong("the storage's name must have 1 to 64 bytes");
        }
        if self.ice_servers.len() > ICE_SERVERS_MAX {
            return wrong("there are too many ICE servers");
        }
        if !self.transports.ws && !self.transports.webrtc_direct {
            return wrong("no transport to the relay is left");
        }
        if !IDLE_MS.contains(&self.idle_ms) {
            return wrong(
                "models must be idle for a second at least, and for a day at most, before they leave the memory",
            );
        }
        Ok(())
    }
}

/// A STUN or TURN server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct IceServer {
    /// For example `stun:stun.example:3478`.
    pub urls: Vec<String>,
    /// TURN only.
    pub username: Option<String>,
    /// TURN only.
    pub credential: Option<String>,
}

/// Which ways to the relay may be used. Connections between browsers are WebRTC in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Transports {
    /// WebSocket, on the port that serves the page.
    pub ws: bool,
    /// WebRTC straight to the relay: needs UDP, and no TLS certificate.
    pub webrtc_direct: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Self {
            ws: true,
            webrtc_direct: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_nonsense_is_not() {
        assert_eq!(StartOptions::default().validate(), Ok(()));
        let none = Transports {
            ws: false,
            webrtc_direct: false,
        };
        for wrong in [
            StartOptions {
                storage: String::new(),
                ..StartOptions::default()
            },
            StartOptions {
                ice_servers: vec![IceServer::default(); 9],
                ..StartOptions::default()
            },
            StartOptions {
                transports: none,
                ..StartOptions::default()
            },
            StartOptions {
                idle_ms: 0,
                ..StartOptions::default()
            },
        ] {
            assert!(matches!(wrong.validate(), Err(StartError::InvalidOptions(_))));
        }
    }

    #[test]
    fn a_misspelt_option_is_refused() {
        assert!(serde_json::from_str::<StartOptions>(r#"{"takeOver":true}"#).is_ok());
        assert!(serde_json::from_str::<StartOptions>(r#"{"takeover":true}"#).is_err());
    }
}
