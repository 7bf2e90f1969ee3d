//! The Network page: connections as a list and as a small graph, and why there are none.

use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::NodeId;
use node_wasm::status::{ConnectionStatus, Diagnosis, RelayState, Role, TransportKind};
use web_sys::SubmitEvent;

use super::credit::CreditLines;
use super::parts::{PageFrame, Peer};
use super::state::use_app;
use crate::route::Page;
use crate::text::network as words;
use crate::{format, graph, text};

/// A transport's name in test ids and in the catalogue.
const fn slug(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::Webrtc => "webrtc",
        TransportKind::WebrtcDirect => "webrtc-direct",
        TransportKind::Websocket => "websocket",
        TransportKind::Relayed => "relayed",
        TransportKind::Tcp => "tcp",
        TransportKind::Other => "other",
    }
}

const fn role_slug(role: Role) -> &'static str {
    match role {
        Role::Relay => "relay",
        Role::Node => "node",
    }
}

#[component]
pub(crate) fn NetworkPage() -> impl IntoView {
    let app = use_app();
    let connections = app.shell_part(|status| status.connections.clone());
    let connections = Memo::new(move |_| connections.get().unwrap_or_default());
    view! {
        <PageFrame page=Page::Network>
            <DiagnosisLine/>
            <Show when=move || connections.with(|all| !all.is_empty()) fallback=|| view! { <p class="empty">{words::EMPTY}</p> }>
                <div class="network">
                    <Graph connections/>
                    <ConnectionTable connections/>
                </div>
            </Show>
            <CreditLines/>
            <div class="columns"><RelayCard/><Dial/></div>
        </PageFrame>
    }
}

#[component]
fn DiagnosisLine() -> impl IntoView {
    let app = use_app();
    let diagnosis = app.shell_part(|status| status.diagnosis.clone());
    let connected_to = |role: Role| {
        app.shell_part(move |status| {
            let mut connections = status.connections.iter();
            connections.any(|connection| connection.role == role)
        })
    };
    let (met, relay) = (connected_to(Role::Node), connected_to(Role::Relay));
    let said = Memo::new(move |_| match diagnosis.get() {
        _ if !app.online.get() => ("offline", words::OFFLINE.to_owned()),
        Some(Diagnosis::Starting | Diagnosis::Alone) if met.get() == Some(true) => {
            ("starting", words::CONNECTING.to_owned())
        }
        Some(Diagnosis::Starting) if relay.get() == Some(true) => {
            ("starting", text::presence::LOOKING.to_owned())
        }
        None | Some(Diagnosis::Starting) => ("starting", words::STARTING.to_owned()),
        Some(Diagnosis::Ok) => ("ok", words::OK.to_owned()),
        Some(Diagnosis::Offline) => ("offline", words::OFFLINE.to_owned()),
        Some(Diagnosis::RelayUnreachable { detail }) => ("relay-unreachable", words::no_relay(&detail)),
        Some(Diagnosis::Alone) => ("alone", words::ALONE.to_owned()),
        Some(Diagnosis::NoDirect { failed, detail }) => ("no-direct", words::no_direct(failed, &detail)),
    });
    view! {
        <p class="diagnosis" role="status" data-testid="diagnosis" data-reason=move || said.get().0>{move || said.get().1}</p>
    }
}

/// The table says the same in words.
#[component]
fn Graph(connections: Memo<Vec<ConnectionStatus>>) -> impl IntoView {
    let app = use_app();
    let label = move || {
        connections.with(|all| {
            let servers = all.iter().filter(|c| c.role == Role::Relay).count();
            words::graph(all.len() - servers, servers)
        })
    };
    let drawing = move || {
        let all = connections.get();
        let places = graph::places(all.len());
        let spokes: Vec<_> = all
            .iter()
            .zip(&places)
            .map(|(connection, (x, y))| {
                let class = format!("wire {}", slug(connection.transport));
                view! { <line class=class x1="0" y1="0" x2=format!("{x:.1}") y2=format!("{y:.1}")/> }
            })
            .collect();
        let ends: Vec<_> = all.iter().zip(&places).map(|(connection, (x, y))| {
            let relay = connection.role == Role::Relay;
            let name = if relay { words::RELAY.to_owned() } else { format::short_id(connection.peer) };
            let below = if *y < 0.0 { y - 13.0 } else { y + 20.0 };
            view! {
                <circle class=if relay { "end server" } else { "end" } cx=format!("{x:.1}") cy=format!("{y:.1}") r="8"/>
                <text x=format!("{x:.1}") y=format!("{below:.1}")>{name}</text>
            }
        }).collect();
        view! { {spokes}{ends} }
    };
    let me = app.part(|_| text::YOU);
    view! {
        <svg class="graph" viewBox="-160 -120 320 240" role="img" aria-label=label>
            {drawing}
            <circle class="end me" cx="0" cy="0" r="11"/>
            <text x="0" y="27">{move || me.get()}</text>
        </svg>
    }
}

#[component]
fn ConnectionTable(connections: Memo<Vec<ConnectionStatus>>) -> impl IntoView {
    let key = |c: &ConnectionStatus| (c.peer, c.transport, c.rtt_ms);
    view! {
        <div class="table-frame" role="region" aria-label=words::CONNECTIONS tabindex="0">
            <table class="blocks">
                <caption class="sr">{words::CONNECTIONS}</caption>
                <thead><tr>
                    <th scope="col">{words::PEER}</th>
                    <th scope="col">{words::ROLE}</th>
                    <th scope="col">{words::PATH}</th>
                    <th scope="col" class="num" title=text::market::RTT_HINT>{words::RTT}</th>
                </tr></thead>
                <tbody><For each=move || connections.get() key=key let:connection><ConnectionRow connection/></For></tbody>
            </table>
        </div>
    }
}

#[component]
fn ConnectionRow(connection: ConnectionStatus) -> impl IntoView {
    let app = use_app();
    let ConnectionStatus {
        peer,
        role,
        transport,
        address,
        rtt_ms,
    } = connection;
    let member = app.part(move |snapshot| {
        snapshot
            .peers
            .iter()
            .any(|known| known.id == peer && known.member)
    });
    let what = move || match role {
        Role::Relay => words::RELAY,
        Role::Node if member.get() == Some(true) => words::MEMBER,
        Role::Node => words::NODE,
    };
    view! {
        <tr data-testid="peer" data-peer=peer.to_string() data-transport=slug(transport) data-role=role_slug(role) data-rtt-ms=rtt_ms>
            <th scope="row"><Peer id=peer/></th>
            <td data-label=words::ROLE>{what}</td>
            <td data-label=words::PATH title=address>{words::transport(slug(transport))}</td>
            <td class="num" data-label=words::RTT>{rtt_ms.map_or_else(|| text::UNKNOWN.to_owned(), |ms| format::duration(u64::from(ms)))}</td>
        </tr>
    }
}

#[component]
fn RelayCard() -> impl IntoView {
    let app = use_app();
    let relay = app.shell_part(|status| status.relay.clone());
    let counts = app.part(|snapshot| (snapshot.discovery_points, snapshot.members_seen));
    let waiting = move || {
        relay.with(|r| {
            r.as_ref()
                .is_some_and(|r| matches!(r.state, RelayState::Waiting { .. }))
        })
    };
    let reconnect = move |_| {
        if let Some(node) = app.node() {
            app.report(node.reconnect());
        }
    };
    view! {
        <section class="card" aria-labelledby="relay-heading">
            <h2 id="relay-heading">{words::RELAY_HEADING}</h2>
            {move || relay.get().map(|relay| view! {
                <p><code>{relay.origin.clone()}</code></p>
                <p>{relay_state(&relay.state)}</p>
            })}
            <Show when=waiting><button type="button" class="button" on:click=reconnect>{words::RECONNECT}</button></Show>
            <dl class="facts">
                <div><dt>{words::MEETING_POINTS}</dt><dd>{move || counts.get().map(|(points, _)| points)}</dd></div>
                <div><dt>{words::MEMBERS}</dt>
                    <dd>{move || counts.get().and_then(|(_, seen)| seen).map_or_else(|| text::UNKNOWN.to_owned(), |n| n.to_string())}</dd></div>
            </dl>
        </section>
    }
}

fn relay_state(state: &RelayState) -> String {
    match state {
        RelayState::Connecting { attempt } => words::relay_connecting(*attempt),
        RelayState::Connected { transport } => format!(
            "{} – {}",
            words::RELAY_CONNECTED,
            words::transport(slug(*transport))
        ),
        RelayState::Reserved { transport } => format!(
            "{} – {}",
            words::RELAY_RESERVED,
            words::transport(slug(*transport))
        ),
        RelayState::Waiting {
            attempt,
            retry_in_ms,
            reason,
        } => words::relay_waiting(*attempt, &format::duration(u64::from(*retry_in_ms)), reason),
    }
}

/// How the last attempt by hand went.
#[derive(Clone)]
enum Dialled {
    Not,
    Trying,
    To(NodeId),
    Refused(String),
}

#[component]
fn Dial() -> impl IntoView {
    let app = use_app();
    let address = RwSignal::new(String::new());
    let dialled = RwSignal::new(Dialled::Not);
    let trying = move || matches!(dialled.get(), Dialled::Trying);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(node) = app.node() else { return };
        dialled.set(Dialled::Trying);
        spawn_local(async move {
            let result = node.dial(address.get_untracked().trim()).await;
            dialled.set(result.map_or_else(|error| Dialled::Refused(text::sentence(&error)), Dialled::To));
        });
    };
    view! {
        <form class="card" on:submit=submit aria-labelledby="dial-heading">
            <h2 id="dial-heading">{words::DIAL}</h2>
            <label class="field" for="dial-address">{words::ADDRESS}</label>
            <div class="row">
                <input id="dial-address" type="text" autocomplete="off" spellcheck="false" data-testid="dial-address" maxlength="1000"
                    aria-describedby="dial-hint" prop:value=move || address.get()
                    on:input:target=move |event| address.set(event.target().value())/>
                <button type="submit" class="button" data-testid="dial-submit" disabled=trying>{words::DIAL_SUBMIT}</button>
            </div>
            <p class="hint" id="dial-hint">{words::DIAL_HINT}</p>
            <div role="status">{move || match dialled.get() {
                Dialled::Not => ().into_any(),
                Dialled::Trying => view! { <p>{words::DIALLING}</p> }.into_any(),
                Dialled::To(id) => view! { <p>{words::dialled(&app.name(id))}</p> }.into_any(),
                Dialled::Refused(reason) => view! { <p class="bad-text" data-testid="dial-error">{reason}"."</p> }.into_any(),
            }}</div>
        </form>
    }
}
