//! Secret known answers: what buyers hide among their texts to find out who computes wrongly.
//!
//! The operator makes a pool for each model with `known-answers`. Whoever asks for `/known-answers/<model id>` gets
//! [`DRAW`] of them at random. A provider that lies may ask as well, so what it can learn is bounded in two ways:
//!
//! - **by where it asks from**: all draws of one network come from its [`SHELF`] answers alone, which a keyed hash
//!   chooses. However often one asks, one learns no others; of a pool of 2,000 that is a sixteenth. To learn half of
//!   them one has to ask from 11 networks, and from 70 for nearly all. An IPv4 address is a network, in IPv6 the 48
//!   bits that one customer has at most.
//! - **by how often**: [`BURST`] times at once and once more every [`SECONDS_PER_DRAW`], as a school of 60 tabs behind one
//!   address needs it. Beyond that the answer is 429.
//!
//! Who shares a buyer's network shares its shelf and can learn all of it; behind a proxy all callers are one network. New
//! shelves come with a new pool: files are looked at every [`RELOAD_INTERVAL`], and operators make new ones once a week.
//!
//! # Bounds
//!
//! At most [`POOLS_MAX`] files of at most [`POOL_BYTES_MAX`](inference::limits::POOL_BYTES_MAX) bytes are read, and [`NETWORKS_MAX`] networks are counted:
//! the one that asked least recently makes room.

mod callers;
mod folder;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use inference::{KnownAnswers, ModelId};
use rand::{SeedableRng as _, rngs::StdRng, seq::index};
use sha2::{Digest as _, Sha256};
use tokio::{task::JoinSet, time::interval};
use tokio_util::sync::CancellationToken;

use self::{
    callers::{Callers, Network},
    folder::Folder,
};
use crate::Error;

/// Where the route is; what follows is a model's id.
pub const PREFIX: &str = "/known-answers/";
/// Answers that a caller gets at once: what a buyer keeps of a model.
pub const DRAW: usize = 32;
/// Answers that one network ever gets of a pool.
pub const SHELF: usize = 128;
/// Draws that one network may make at once.
pub const BURST: u32 = 64;
/// After so many seconds it may make one more.
pub const SECONDS_PER_DRAW: u32 = 10;
/// Models that there may be pools for.
pub const POOLS_MAX: usize = 16;
/// Networks whose draws are counted.
pub const NETWORKS_MAX: usize = 4096;
/// How often the folder is looked at. On its first start `cargo xtask serve` makes the pool while the relay runs already.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(15);

/// All pools, and who asked how often.
#[derive(Debug)]
pub struct Answers {
    pools: RwLock<BTreeMap<ModelId, Arc<Pool>>>,
    callers: Callers,
}

/// One model's answers.
#[derive(Debug)]
struct Pool {
    answers: KnownAnswers,
    /// Decides which shelf is whose. Lives as long as the pool is loaded.
    secret: [u8; 32],
}

/// Why a caller gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// There are none for this model, or it is not a model's id.
    None,
    /// This network asked too often.
    Limited,
}

impl Answers {
    /// Reads the folder now, and again whenever its files change. That it is missing is no error: then there are none.
    ///
    /// # Errors
    /// If the folder lies where the page's files are served from.
    pub async fn start(
        folder: &Path,
        site: &Path,
        stop: &CancellationToken,
        tasks: &mut JoinSet<&'static str>,
    ) -> Result<Arc<Self>, Error> {
        if resolved(folder).starts_with(resolved(site)) {
            return Err(Error::Options(format!(
                "everyone could read the known answers in {}: keep them outside of the site with --known-answers",
                folder.display()
            )));
        }
        let answers = Arc::new(Self::new());
        let mut folder = answers.clone().reloaded(Folder::new(folder)).await;
        let (current, stop) = (answers.clone(), stop.clone());
        tasks.spawn(async move {
            let mut ticks = interval(RELOAD_INTERVAL);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return "watcher of known answers",
                    _ = ticks.tick() => folder = current.clone().reloaded(folder).await,
                }
            }
        });
        Ok(answers)
    }

    fn new() -> Self {
        Self {
            pools: RwLock::default(),
            callers: Callers::new(),
        }
    }

    /// Reads what has changed on a thread where that may take its time.
    async fn reloaded(self: Arc<Self>, mut folder: Folder) -> Folder {
        let empty = folder.emptied();
        let read = tokio::task::spawn_blocking(move || {
            folder.reload(|model, answers| self.put(model, answers));
            folder
        });
        // Were it to end early, everything is read again the next time.
        read.await.unwrap_or(empty)
    }

    /// Puts a model's answers into use, or out of it.
    fn put(&self, model: ModelId, answers: Option<KnownAnswers>) {
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        match answers {
            Some(answers) => {
                let secret = rand::random();
                pools.insert(model, Arc::new(Pool { answers, secret }));
            }
            None => drop(pools.remove(&model)),
        }
    }

    /// The answer to a GET of `path`.
    pub fn respond(&self, path: &str, caller: IpAddr) -> Response {
        match self.draw(
            path.strip_prefix(PREFIX).unwrap_or_default(),
            caller,
            Instant::now(),
        ) {
            Ok(answers) => ([(header::CACHE_CONTROL, "no-store")], Json(answers)).into_response(),
            Err(Refusal::None) => (
                StatusCode::NOT_FOUND,
                [(header::CACHE_CONTROL, "no-store")],
                "there are no known answers for this model\n",
            )
                .into_response(),
            Err(Refusal::Limited) => (
                StatusCode::TOO_MANY_REQUESTS,
                [
                    (header::CACHE_CONTROL, "no-store".to_owned()),
                    (header::RETRY_AFTER, SECONDS_PER_DRAW.to_string()),
                ],
                "too many known answers were asked for from your network: try again later\n",
            )
                .into_response(),
        }
    }

    fn draw(&self, model: &str, caller: IpAddr, now: Instant) -> Result<KnownAnswers, Refusal> {
        let model: ModelId = model.parse().map_err(|_| Refusal::None)?;
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.get(&model).cloned().ok_or(Refusal::None)?;
        drop(pools);
        let network = Network::of(caller);
        if !self.callers.admit(network, now) {
            return Err(Refusal::Limited);
        }
        Ok(pool.draw(network))
    }
}

impl Pool {
    fn draw(&self, network: Network) -> KnownAnswers {
        let hash = Sha256::new()
            .chain_update(self.secret)
            .chain_update(network.bytes())
            .finalize();
        let all = self.answers.len();
        let shelf = index::sample(&mut StdRng::from_seed(hash.into()), all, SHELF.min(all));
        let drawn = index::sample(&mut rand::rng(), shelf.len(), DRAW.min(shelf.len()));
        let places: Vec<usize> = drawn.iter().map(|place| shelf.index(place)).collect();
        self.answers.at(&places)
    }
}

/// Where a path leads, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = absolute
        .ancestors()
        .find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match known {
        Some((ancestor, real)) => absolute
            .strip_prefix(ancestor)
            .map_or_else(|_| absolute.clone(), |rest| real.join(rest)),
        None => absolute,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MODEL: &str = "abababababababababababababababababababababababababababababababab";

    fn answers(count: usize) -> Answers {
        let pool = (0..count)
            .map(|number| (format!("text {number}"), vec![1.0, 0.0]))
            .collect();
        let answers = Answers::new();
        answers.put(MODEL.parse().unwrap(), Some(KnownAnswers::new(pool).unwrap()));
        answers
    }

    fn texts(answers: KnownAnswers) -> BTreeSet<String> {
        answers.into_answers().map(|(text, _)| text).collect()
    }

    #[test]
    fn one_network_learns_its_shelf_and_no_more() {
        let answers = answers(2_000);
        let now = Instant::now();
        let mut learnt = BTreeSet::new();
        let mut draws = BTreeSet::new();
        // Every address of this network, and no end of time.
        for number in 0..500_u16 {
            let address = IpAddr::from([0x2001, 0xdb8, 1, number, 0, 0, 0, number]);
            let later = now + Duration::from_secs(u64::from(SECONDS_PER_DRAW) * u64::from(number));
            let drawn = texts(answers.draw(MODEL, address, later).unwrap());
            assert_eq!(drawn.len(), DRAW, "no text comes twice in a draw");
            learnt.extend(drawn.iter().cloned());
            draws.insert(drawn);
        }
        assert_eq!((learnt.len(), draws.len()), (SHELF, 500));
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 0]);
        let other = texts(answers.draw(MODEL, elsewhere, now).unwrap());
        assert!(other.intersection(&learnt).count() < DRAW / 2);
    }

    #[test]
    fn who_asks_too_often_waits() {
        let answers = answers(10);
        let [caller, neighbour] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        let now = Instant::now();
        let granted = (0..2 * BURST)
            .filter(|_| answers.draw(MODEL, caller, now).is_ok())
            .count();
        assert_eq!(granted, BURST as usize);
        assert_eq!(answers.draw(MODEL, caller, now), Err(Refusal::Limited));
        assert_eq!(texts(answers.draw(MODEL, neighbour, now).unwrap()).len(), 10);
        let later = now + Duration::from_secs(SECONDS_PER_DRAW.into());
        assert!(answers.draw(MODEL, caller, later).is_ok());
        assert_eq!(answers.draw(MODEL, caller, later), Err(Refusal::Limited));
    }

    #[test]
    fn what_is_no_model_has_none_and_costs_nothing() {
        let answers = answers(10);
        let caller = IpAddr::from([192, 0, 2, 1]);
        let now = Instant::now();
        for name in [
            "",
            "..",
            "../identity.key",
            "abab",
            &"cd".repeat(32),
            &format!("{MODEL}/"),
        ] {
            for _ in 0..2 * BURST {
                assert_eq!(answers.draw(name, caller, now), Err(Refusal::None), "{name}");
            }
        }
        assert!(answers.draw(MODEL, caller, now).is_ok());
    }
}
