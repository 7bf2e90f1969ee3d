//! "No peers because …": one answer from what the shell sees, the most useful one first.

use crate::status::{Diagnosis, RelayState};

/// After this long an answer is worth more than patience, milliseconds.
const PATIENCE_MS: u64 = 5_000;

/// What the shell sees.
#[derive(Clone, Debug)]
pub(crate) struct Signs<'a> {
    /// What the browser says of the network; it is sure only of "no".
    pub(crate) online: bool,
    /// The relay.
    pub(crate) relay: &'a RelayState,
    /// Connections to nodes, by WebRTC.
    pub(crate) direct: usize,
    /// Members of the group that discovery told of.
    pub(crate) members_seen: Option<u32>,
    /// Direct connections that failed since the last one that stood.
    pub(crate) failed: u32,
    /// What the last of them said.
    pub(crate) last_failure: Option<&'a str>,
    /// Since the node started, milliseconds.
    pub(crate) age_ms: u64,
}

/// The answer.
pub(crate) fn diagnose(signs: &Signs<'_>) -> Diagnosis {
    if signs.direct > 0 {
        return Diagnosis::Ok;
    }
    if !signs.online {
        return Diagnosis::Offline;
    }
    match signs.relay {
        RelayState::Waiting { reason, .. } => Diagnosis::RelayUnreachable {
            detail: reason.clone(),
        },
        RelayState::Connecting { attempt } if *attempt > 1 || signs.age_ms > PATIENCE_MS => {
            Diagnosis::RelayUnreachable {
                detail: "the relay has not answered yet".to_owned(),
            }
        }
        RelayState::Connecting { .. } => Diagnosis::Starting,
        RelayState::Connected { .. } | RelayState::Reserved { .. } => with_relay(signs),
    }
}

fn with_relay(signs: &Signs<'_>) -> Diagnosis {
    let others = signs.members_seen.is_some_and(|members| members > 0);
    match signs.last_failure {
        Some(detail) if others && signs.failed > 0 => Diagnosis::NoDirect {
            failed: signs.failed,
            detail: detail.to_owned(),
        },
        // Others are there and no attempt has failed: a connection is on its way.
        _ if others => Diagnosis::Starting,
        _ if signs.members_seen.is_none() && signs.age_ms < PATIENCE_MS => Diagnosis::Starting,
        _ => Diagnosis::Alone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::TransportKind;

    const RESERVED: RelayState = RelayState::Reserved {
        transport: TransportKind::Websocket,
    };

    fn signs(relay: &RelayState) -> Signs<'_> {
        Signs {
            online: true,
            relay,
            direct: 0,
            members_seen: Some(0),
            failed: 0,
            last_failure: None,
            age_ms: 60_000,
        }
    }

    fn waiting() -> RelayState {
        RelayState::Waiting {
            attempt: 3,
            retry_in_ms: 10,
            reason: "gone".into(),
        }
    }

    #[test]
    fn a_direct_connection_is_all_that_counts() {
        let waiting = waiting();
        assert_eq!(
            diagnose(&Signs {
                direct: 1,
                online: false,
                ..signs(&waiting)
            }),
            Diagnosis::Ok
        );
    }

    #[test]
    fn the_nearest_cause_is_named() {
        let waiting = waiting();
        assert_eq!(
            diagnose(&Signs {
                online: false,
                ..signs(&waiting)
            }),
            Diagnosis::Offline
        );
        assert_eq!(
            diagnose(&signs(&waiting)),
            Diagnosis::RelayUnreachable {
                detail: "gone".into()
            }
        );
        assert_eq!(diagnose(&signs(&RESERVED)), Diagnosis::Alone);
        let failed = Signs {
            members_seen: Some(2),
            failed: 3,
            last_failure: Some("ICE"),
            ..signs(&RESERVED)
        };
        assert_eq!(
            diagnose(&failed),
            Diagnosis::NoDirect {
                failed: 3,
                detail: "ICE".into()
            }
        );
    }

    #[test]
    fn the_first_seconds_are_too_early_to_say() {
        let first = RelayState::Connecting { attempt: 1 };
        assert_eq!(
            diagnose(&Signs {
                age_ms: 100,
                ..signs(&first)
            }),
            Diagnosis::Starting
        );
        assert_eq!(
            diagnose(&Signs {
                age_ms: 100,
                members_seen: None,
                ..signs(&RESERVED)
            }),
            Diagnosis::Starting
        );
        assert_eq!(
            diagnose(&Signs {
                members_seen: Some(1),
                ..signs(&RESERVED)
            }),
            Diagnosis::Starting
        );
        assert!(matches!(
            diagnose(&signs(&first)),
            Diagnosis::RelayUnreachable { .. }
        ));
    }

    #[test]
    fn reasons_are_the_words_of_the_page() {
        let json = |diagnosis: &Diagnosis| serde_json::to_value(diagnosis).unwrap()["reason"].clone();
        assert_eq!(json(&Diagnosis::Ok), "ok");
        assert_eq!(
            json(&Diagnosis::RelayUnreachable {
                detail: String::new()
            }),
            "relay-unreachable"
        );
        assert_eq!(
            json(&Diagnosis::NoDirect {
                failed: 1,
                detail: String::new()
            }),
            "no-direct"
        );
    }
}
