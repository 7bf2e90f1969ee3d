//! ICE candidates as they travel: the JSON of `RTCIceCandidate.toJSON()`.

use serde::{Deserialize, Serialize};

use super::SignallingError;

/// The longest candidate line accepted. Host candidates take about 100 bytes, TURN over TLS about 300.
const LINE_BYTES_MAX: usize = 2048;

/// An `RTCIceCandidateInit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Candidate {
    pub(crate) candidate: String,
    #[serde(default)]
    pub(crate) sdp_mid: Option<String>,
    #[serde(default)]
    pub(crate) sdp_m_line_index: Option<u16>,
    #[serde(default)]
    pub(crate) username_fragment: Option<String>,
}

impl Candidate {
    /// Reads the JSON of a candidate; `None` is the remote's end of candidates (`null`, `""` or an empty line).
    pub(crate) fn parse(json: &str) -> Result<Option<Self>, SignallingError> {
        if matches!(json.trim(), "" | "null" | "\"\"") {
            return Ok(None);
        }
        let candidate: Candidate = serde_json::from_str(json).map_err(|_| SignallingError::Candidate)?;
        if candidate.candidate.is_empty() {
            return Ok(None);
        }
        let one_short_line = candidate.candidate.len() <= LINE_BYTES_MAX
            && candidate.candidate.starts_with("candidate:")
            && !candidate.candidate.contains(['\r', '\n']);
        if one_short_line {
            Ok(Some(candidate))
        } else {
            Err(SignallingError::Candidate)
        }
    }

    /// The JSON of the candidate.
    pub(crate) fn to_json(&self) -> Result<String, SignallingError> {
        serde_json::to_string(self).map_err(|_| SignallingError::Candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = r#"{"candidate":"candidate:1 1 udp 2113937151 b5.local 57135 typ host generation 0 ufrag kb6y network-cost 999","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"kb6y"}"#;

    #[test]
    fn a_browsers_candidate_survives_the_round_trip() {
        let candidate = Candidate::parse(CHROMIUM).unwrap().unwrap();
        assert_eq!(candidate.sdp_mid.as_deref(), Some("0"));
        assert_eq!(candidate.to_json().unwrap(), CHROMIUM);
    }

    #[test]
    fn every_end_of_candidates_is_understood() {
        for end in ["", "null", "\"\"", r#"{"candidate":"","sdpMid":"0"}"#] {
            assert_eq!(Candidate::parse(end).unwrap(), None, "{end}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!(r#"{{"candidate":"candidate:{}"}}"#, "x".repeat(LINE_BYTES_MAX));
        for bad in [
            "{",
            "[]",
            "7",
            r#"{"candidate":7}"#,
            r#"{"candidate":"m=audio"}"#,
            &long,
        ] {
            assert!(Candidate::parse(bad).is_err(), "{bad}");
        }
        assert!(Candidate::parse(r#"{"candidate":"candidate:1\r\na=x"}"#).is_err());
    }
}
