//! The page and what belongs to it, over HTTP.
//!
//! | path | what | who may read it |
//! | --- | --- | --- |
//! | `/` with `Upgrade: websocket` | libp2p | anyone |
//! | `/bootstrap.json` | the relay's identity, its addresses for this caller, other relays, ICE servers | any origin |
//! | `/embed/*`, `/worker/*`, `/models/*`, `/modules/*` | what another site needs to run a node | any origin |
//! | `/known-answers/<model id>` | some of the secret known answers, see [`answers`](crate::answers) | any origin |
//! | `/healthz`, `/metrics` | for the operator | same origin |
//! | everything else | the site's files; an unknown path without a file extension is the page itself | same origin |

pub mod policy;
pub mod server;
pub mod site;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{
        Extension, Request, State as FromState,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Serialize;
use tokio::sync::watch;

use self::{server::Connection, site::Site};
use crate::{
    addresses::{AddressBook, Caller},
    answers::Answers,
    ice::IceServer,
    metrics::Metrics,
    net::websocket::{Handoff, MESSAGE_BYTES_MAX},
};

/// Bytes that a WebSocket buffers before it writes, and before it refuses to take more.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;
const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// What the routes need.
#[derive(Debug)]
pub struct State {
    /// The files.
    pub site: Site,
    /// The relay's addresses as they are now.
    pub addresses: watch::Receiver<AddressBook>,
    /// Other relays of this network.
    pub others: Vec<Door>,
    /// Where STUN is answered; `None` when it is switched off.
    pub stun_port: Option<u16>,
    /// Further ICE servers that the operator named.
    pub ice_servers: Vec<IceServer>,
    /// The known answers of this relay.
    pub answers: Arc<Answers>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where upgraded sockets go; `None` when WebSocket is switched off.
    pub handoff: Option<Handoff>,
    /// Whether this port speaks TLS.
    pub secure: bool,
}

type Shared = FromState<Arc<State>>;

/// One relay, as `/bootstrap.json` tells of it.
#[derive(Debug, Clone, Serialize)]
pub struct Door {
    /// Its identity.
    pub peer_id: String,
    /// Where it can be dialled.
    pub addresses: Vec<String>,
}

/// `/bootstrap.json`: all that a node needs to join.
#[derive(Debug, Serialize)]
struct Bootstrap {
    #[serde(flatten)]
    own: Door,
    relays: Vec<Door>,
    ice_servers: Vec<IceServer>,
}

/// All routes.
pub fn router(state: State) -> Router {
    let state = Arc::new(state);
    Router::new()
        .route("/", get(root))
        .route("/bootstrap.json", get(bootstrap))
        .route("/known-answers/{model}", get(known_answers))
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics))
        .fallback(get(file))
        .layer(middleware::from_fn_with_state(state.clone(), surround))
        .with_state(state)
}

async fn root(
    FromState(state): Shared,
    Extension(connection): Extension<Connection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    if !request.headers().contains_key(header::UPGRADE) {
        return state.site.respond("/", request.headers()).await;
    }
    let Some(handoff) = &state.handoff else {
        return (
            StatusCode::NOT_FOUND,
            "this relay does not accept WebSocket connections\n",
        )
            .into_response();
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Some(place) = handoff.reserve() else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "1")],
            "busy, try again\n",
        )
            .into_response();
    };
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .on_upgrade(async move |socket| {
            place.fill(socket, connection.remote, connection.local, connection.permit);
        })
}

async fn bootstrap(FromState(state): Shared, headers: HeaderMap) -> Response {
    // Behind a proxy that ends TLS, the browser's scheme is in this header. A caller that makes it up gets
    // wrong addresses and harms nobody else: the answer is never cached.
    let forwarded = headers
        .get("x-forwarded-proto")
        .is_some_and(|proto| proto.as_bytes() == b"https");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let caller = host.and_then(|host| Caller::parse(host, state.secure || forwarded));
    let book = state.addresses.borrow();
    let addresses = book
        .for_caller(caller.as_ref())
        .iter()
        .map(ToString::to_string)
        .collect();
    // The host that the caller reached the page by is where it reaches STUN too.
    let stun = caller
        .zip(state.stun_port)
        .map(|(caller, port)| IceServer::stun(&caller.url_host(), port));
    let answer = Bootstrap {
        own: Door {
            peer_id: book.peer().to_string(),
            addresses,
        },
        relays: state.others.clone(),
        ice_servers: stun
            .into_iter()
            .chain(state.ice_servers.iter().cloned())
            .collect(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

async fn known_answers(
    FromState(state): Shared,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    state
        .answers
        .respond(request.uri().path(), connection.remote.ip())
}

async fn metrics(FromState(state): Shared) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], state.metrics.render()).into_response()
}

async fn file(FromState(state): Shared, request: Request) -> Response {
    state.site.respond(request.uri().path(), request.headers()).await
}

/// What every answer has in common: counting, security headers, cross-origin rules.
async fn surround(FromState(state): Shared, request: Request, next: Next) -> Response {
    let shared = policy::is_shared(request.uri().path());
    let preflight = shared && request.method() == Method::OPTIONS;
    let mut response = if preflight {
        policy::preflight(request.headers())
    } else {
        next.run(request).await
    };
    policy::apply(response.headers_mut(), shared);
    state.metrics.count_http(response.status().as_u16());
    response
}
