//! From options to a running node: lock, key, ledger, core, swarm, loop, in this order.

use std::rc::Rc;

use futures::channel::oneshot;
use node_proto::{Config, Group, Node};

use crate::clock::Clock;
use crate::driver::{Driver, Parts};
use crate::error::StartError;
use crate::handle::{NodeHandle, Shared};
use crate::identity::{self, Identity};
use crate::invite::Invite;
use crate::lock::{self, Claim, NodeLock};
use crate::net::Network;
use crate::options::StartOptions;
use crate::own::OwnModels;
use crate::platform;
use crate::status::{
    ComputerState, Diagnosis, IdentityStatus, RelayState, RelayStatus, ShellStatus, StorageStatus, TabStatus,
    TemporaryReason, Versions,
};
use crate::store::StoreError;
use crate::store::ledger::Ledger;
use crate::store::settings::Settings;

/// What this browser profile gives to a node.
struct Profile {
    identity: Identity,
    ledger: Ledger,
    settings: Option<Settings>,
    lock: Option<NodeLock>,
    wanted: Option<oneshot::Receiver<()>>,
}

pub(crate) async fn start(options: StartOptions) -> Result<NodeHandle, StartError> {
    options.validate()?;
    let invite = options.group.as_deref().map(Invite::parse).transpose()?;
    let origin = match &options.relay {
        Some(relay) => origin_of(relay)?,
        None => platform::page_origin()?,
    };
    let profile = open(&options).await?;
    let stored = profile
        .ledger
        .load()
        .await
        .map_err(|error| StartError::Storage(error.to_string()))?;
    let clock = Clock::start();
    let group = invite
        .as_ref()
        .map_or_else(Group::open, |invite| Group::private(invite.secret()));
    let Identity {
        keypair,
        signer,
        status,
    } = profile.identity;
    let seed = u64::from_le_bytes(platform::random()?);
    let node = Node::new(
        Config::default(),
        Box::new(signer),
        group,
        seed,
        clock.now(),
        stored,
    )
    .map_err(|error| StartError::Storage(error.to_string()))?;
    let network = Network::new(&keypair, &options, &origin, clock)?;
    let settings = profile.settings.map(Rc::new);
    let own = OwnModels::kept(origin.clone(), settings.clone(), options.idle_ms).await;
    let mut status = first_status(&node, &origin, status);
    status.own_models = own.statuses();
    let (shared, orders) = Shared::new(node, status, clock, invite, own);
    let driver = Driver::new(Parts {
        shared: shared.clone(),
        orders,
        network,
        ledger: Rc::new(profile.ledger),
        settings,
        origin,
        idle_ms: options.idle_ms,
        compute: options.compute,
        lock: profile.lock,
        wanted: profile.wanted,
    });
    wasm_bindgen_futures::spawn_local(driver.run());
    Ok(shared.handle())
}

/// The lock comes first: whoever holds it may read the key.
async fn open(options: &StartOptions) -> Result<Profile, StartError> {
    let (lock, wanted) = match lock::claim(&options.storage, options.take_over).await? {
        Claim::Held(lock, wanted) => (lock, wanted),
        Claim::Missing if platform::window()?.is_secure_context() => {
            return temporary(TemporaryReason::NoLocks);
        }
        Claim::Missing => return temporary(TemporaryReason::InsecureContext),
    };
    let settings = match Settings::open(&options.storage).await {
        Ok(settings) => settings,
        Err(StoreError::Missing(_)) => {
            return Ok(Profile {
                lock: Some(lock),
                wanted: Some(wanted),
                ..temporary(TemporaryReason::NoStorage)?
            });
        }
        Err(error) => return Err(StartError::Storage(error.to_string())),
    };
    let identity = Identity::kept(&settings).await?;
    let ledger = match identity.status {
        IdentityStatus::Kept { .. } => open_ledger(&settings)
            .await
            .map_err(|error| StartError::Storage(error.to_string()))?,
        IdentityStatus::Temporary { .. } => Ledger::Temporary,
    };
    Ok(Profile {
        identity,
        ledger,
        settings: Some(settings),
        lock: Some(lock),
        wanted: Some(wanted),
    })
}

async fn open_ledger(settings: &Settings) -> Result<Ledger, StoreError> {
    Ledger::open(&identity::ledger_name(settings).await?).await
}

fn temporary(reason: TemporaryReason) -> Result<Profile, StartError> {
    let identity = Identity::temporary(reason)?;
    Ok(Profile {
        identity,
        ledger: Ledger::Temporary,
        settings: None,
        lock: None,
        wanted: None,
    })
}

pub(crate) fn first_status(node: &Node, origin: &str, identity: IdentityStatus) -> ShellStatus {
    ShellStatus {
        me: node.id(),
        relay: RelayStatus {
            origin: origin.to_owned(),
            peer: None,
            state: RelayState::Connecting { attempt: 1 },
        },
        diagnosis: Diagnosis::Starting,
        connections: Vec::new(),
        models: Vec::new(),
        models_unavailable: None,
        own_models: Vec::new(),
        adding: None,
        computer: ComputerState::default(),
        storage: StorageStatus::default(),
        identity,
        tab: TabStatus::Active,
        versions: Versions::of_this_build(),
    }
}

/// `https://relay.example:8443` of whatever address on it.
fn origin_of(relay: &str) -> Result<String, StartError> {
    let invalid =
        || StartError::InvalidOptions(format!("{relay:?} is not the http or https address of a relay"));
    let url = web_sys::Url::new(relay).map_err(|_| invalid())?;
    match url.protocol().as_str() {
        "http:" | "https:" => Ok(url.origin()),
        _ => Err(invalid()),
    }
}
