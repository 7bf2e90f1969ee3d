//! Servers that help two browsers to find a path to each other, as `/bootstrap.json` tells of them.

use std::str::FromStr;

use serde::Serialize;

/// One server, in the shape of a browser's `RTCIceServer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IceServer {
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

/// Most servers that an operator may name; browsers slow down with more than a handful.
pub const ICE_SERVERS_MAX: usize = 7;

/// Why an option names no ICE server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IceServerError {
    /// It begins with something else.
    #[error("an ICE server begins with stun:, stuns:, turn: or turns:")]
    Scheme,
    /// There is no host, or something that no host name has.
    #[error("an ICE server looks like stun:HOST[:PORT] or turn:USER:PASSWORD@HOST[:PORT][?transport=tcp]")]
    Host,
    /// TURN without user and password, or STUN with them.
    #[error("TURN needs USER:PASSWORD@ before the host, and STUN takes none")]
    Credentials,
}

impl IceServer {
    /// A STUN server on `host`, which is written as in a URL.
    pub fn stun(host: &str, port: u16) -> Self {
        Self {
            urls: vec![format!("stun:{host}:{port}")],
            username: None,
            credential: None,
        }
    }
}

impl FromStr for IceServer {
    type Err = IceServerError;

    fn from_str(text: &str) -> Result<Self, IceServerError> {
        let (scheme, rest) = text.split_once(':').ok_or(IceServerError::Scheme)?;
        let turn = match scheme {
            "stun" | "stuns" => false,
            "turn" | "turns" => true,
            _ => return Err(IceServerError::Scheme),
        };
        let (account, host) = match rest.rsplit_once('@') {
            Some((account, host)) => (account.split_once(':'), host),
            None => (None, rest),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]?=".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(IceServerError::Host);
        }
        if turn != account.is_some() || rest.contains('@') != turn {
            return Err(IceServerError::Credentials);
        }
        Ok(Self {
            urls: vec![format!("{scheme}:{host}")],
            username: account.map(|(user, _)| user.to_owned()),
            credential: account.map(|(_, password)| password.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_their_accounts() {
        assert_eq!(
            "stun:192.0.2.1:3478".parse(),
            Ok(IceServer::stun("192.0.2.1", 3478))
        );
        let turn: IceServer = "turns:ada:p@ss:word@turn.example:5349?transport=tcp"
            .parse()
            .unwrap();
        assert_eq!(turn.urls, ["turns:turn.example:5349?transport=tcp"]);
        assert_eq!(turn.username.as_deref(), Some("ada"));
        assert_eq!(turn.credential.as_deref(), Some("p@ss:word"));
    }

    #[test]
    fn what_a_browser_would_refuse_is_refused_here() {
        for (text, error) in [
            ("example.org", IceServerError::Scheme),
            ("http://example.org", IceServerError::Scheme),
            ("stun:", IceServerError::Host),
            ("stun:a b", IceServerError::Host),
            ("stun:example.org/path", IceServerError::Host),
            ("turn:example.org", IceServerError::Credentials),
            ("turn:ada@example.org", IceServerError::Credentials),
            ("stun:ada:secret@example.org", IceServerError::Credentials),
        ] {
            assert_eq!(text.parse::<IceServer>(), Err(error), "{text}");
        }
    }
}
