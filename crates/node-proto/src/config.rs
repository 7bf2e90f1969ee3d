//! Every limit and parameter of a node, in one place.
//!
//! Some numbers stay constants beside the code that they bound, because nobody has a reason to set them:
//!
//! | constant | bounds | why it is fixed |
//! | --- | --- | --- |
//! | `node::sell::HUNG_FACTOR`, 4 | an engine that never reports | a buyer waits twice the promise, so at four times it is gone |
//! | `node::sell::ASKERS_MAX`, 4 | exchanges that wait for one result | a buyer asks again after a reconnection, not more often |
//! | `node::judge::EXACT_GRACE_FACTOR`, 5 | how much longer than [`second_grace_ms`](Config::second_grace_ms) a second run is waited for | without known answers nothing else checks it |
//! | `node::lending::COMPUTER_WAKE_MS`, 500 | what starting an engine for modules and fetching one is taken for | a promise may be early, and half a second is felt by nobody |
//! | `node::search::SECOND_MS`, 3,000 | how long a request for runs waits for a second quote | longer than a circuit stands beside a direct connection, as a rule |
//! | `node::credit::HEARD_AFTER`, 10 | whose verdict weighs in full | it is what [`trust_after`](Config::trust_after) is to buyers, by default |
//! | `node::recover::PAGES_MAX`, 4,096 | pages of lost receipts from one peer | 65,536 receipts are more than a ledger keeps whole |
//! | `node::coordinate::OWN_MAX`, 64 | requests of a coordinator to itself | it files 31 keys and samples two at most in one interval |
//! | `reputation::merit`'s walks, peers and edges | memory and time of one update | measured together, see its documentation |
//!
//! What the wire format allows (`wire::message`) is no parameter either: both sides must agree on it.

use crate::ids::Millicredits;
use crate::node::SAMPLES_MAX;
use crate::wire::FRAME_BYTES_MAX;

/// No wait is longer than this, so that a request whose other side went silent always ends, milliseconds.
const HOUR_MS: u32 = 3_600_000;
/// More than any line or price needs, and so little that a million of them are added up without overflow.
const CREDIT_MAX: Millicredits = Millicredits(1_000_000_000_000);

/// The parameters of a [`Node`](crate::Node). The defaults are what the network runs on; tests and the simulator vary them.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Connections the node tries to hold to members of its group.
    pub connections_max: usize,
    /// With more connections to peers than this, whoever made them, the ones that were idle longest are closed.
    pub connections_held_max: usize,
    /// A connection is not closed before nothing was done with it for so long, milliseconds.
    pub connection_idle_ms: u32,
    /// Peers that are remembered at all; those without receipts are forgotten first.
    pub peers_max: usize,
    /// Discovery points that are asked at the same time.
    pub discovery_points_max: usize,
    /// How long a registration lasts at a discovery point, milliseconds.
    pub registration_ttl_ms: u32,
    /// A change of what is registered is filed at most this often, milliseconds.
    pub refile_ms: u32,
    /// A registration that failed is tried again after this long, milliseconds.
    pub refile_failed_ms: u32,
    /// How often members and offers are sampled anew, milliseconds.
    pub sample_interval_ms: u32,
    /// How many members or offers one sample asks for.
    pub sample_size: u32,
    /// Whoever turns up after this node dials this node; after so long this node dials, milliseconds.
    pub dial_grace_ms: u32,
    /// After a failed dial, the same peer is left alone this long, milliseconds.
    pub redial_ms: u32,
    /// Answer time allowed for short exchanges (discovery, proposal, agreement, settlement), milliseconds.
    pub exchange_timeout_ms: u32,
    /// An exchange whose end the shell never reports is given up this long after its timeout, milliseconds.
    pub unreported_ms: u32,
    /// How long the buyer waits for providers to be found and connected, milliseconds.
    pub search_ms: u32,
    /// How long the buyer waits for proposals once the first came in, milliseconds.
    pub proposals_grace_ms: u32,
    /// How many providers are asked for a proposal.
    pub proposals_max: usize,
    /// How many known providers are drawn and compared by their offers before that.
    pub shortlist_max: usize,
    /// So many refusals because of others' work lead to a pause: where so many have no room others hardly have any, and a crowd
    /// that asks everyone keeps everyone busy with refusing.
    pub busy_refusals_max: u32,
    /// Providers tried in one request, the first included.
    pub attempts_max: usize,
    /// Where everyone is busy, or dear because of it, they are asked again after this long, milliseconds; the pause doubles up
    /// to eight times that, while the deadline leaves room.
    pub busy_retry_ms: u32,
    /// Requests of this node that run at the same time.
    pub jobs_max: usize,
    /// A provider gets its promised time twice over, or this much more, milliseconds.
    pub late_ms: u32,
    /// After the first result a second provider's is waited for this much longer than promised, milliseconds.
    pub second_grace_ms: u32,
    /// Most known-answer texts hidden in one request; with a record one is enough.
    pub probes_max: usize,
    /// Models that are offered, and models whose known answers are kept.
    pub models_max: usize,
    /// Known-answer texts kept per model.
    pub probes_kept_max: usize,
    /// Texts whose answers are kept to be sold again, in memory: with vectors of 384 numbers about 2.2 KB for each signer. With 0 nothing
    /// is kept, and no result says what it would take.
    pub cache_rows_max: usize,
    /// Kept answers are sold and bought no longer than this after they were computed, milliseconds.
    pub cache_age_ms: u64,
    /// Most items that a second provider is paid to compute for comparison.
    pub compare_max: usize,
    /// Strangers that are tried out at the same time before one of them is given a whole request.
    pub trials_max: usize,
    /// A trial lasts no longer than this, milliseconds.
    pub trial_ms: u32,
    /// Least cosine between a result and the reference. Same model in f32 on different hardware stays above 0.9999 in
    /// this repository's own measurements; 0.99 leaves room for f16.
    pub cosine_min: f32,
    /// Right results in a row until checks become rare (BOINC's adaptive replication uses 10), see
    /// [`verification`](crate::verification) for whose.
    pub trust_after: u32,
    /// A quote holds this long, milliseconds.
    pub quote_valid_ms: u32,
    /// Quotes a provider keeps open at the same time. Buyers ask several and take one, and a quote that is not taken stands
    /// until it runs out, so there are many more of them than agreements.
    pub quotes_max: usize,
    /// Agreements a provider keeps open at the same time.
    pub agreements_max: usize,
    /// The same for one buyer.
    pub agreements_per_buyer_max: usize,
    /// A buyer sends the input within this time after the agreement, milliseconds.
    pub input_ms: u32,
    /// A place in the queue is kept for the input of an agreement for so long, milliseconds.
    pub place_ms: u32,
    /// A buyer pays, or rejects, within this time after delivery, milliseconds.
    pub payment_ms: u32,
    /// No run of the engine gets less time than this, milliseconds.
    pub engine_min_ms: u32,
    /// Time that every activity takes besides the engine's (queues, messages, copying), milliseconds.
    pub overhead_ms: u32,
    /// Activities that wait for the engine.
    pub queue_max: usize,
    /// Engine time that may be used at once before the compute share throttles, milliseconds.
    pub compute_burst_ms: u32,
    /// Settlement is tried again after this long, milliseconds; the pause doubles each time.
    pub settle_retry_ms: u32,
    /// The pause between two attempts to settle grows no longer than this, milliseconds.
    pub settle_retry_max_ms: u32,
    /// Answers to payments that wait for storage at the same time; payers try again.
    pub answers_max: usize,
    /// Frames over this size do not travel through a relay's circuit, bytes.
    pub relayed_bytes_max: usize,
    /// Blobs that are fetched at a time.
    pub transfers_max: usize,
    /// How long a peer may take for one part of a blob: 256 KiB over a slow link.
    pub part_timeout_ms: u32,
    /// How far below zero a newcomer may go with strangers.
    pub newcomer_allowance: Millicredits,
    /// How much one stranger may owe this node that has given it nothing.
    pub stranger_pair_max: Millicredits,
    /// How much all strangers together may owe this node beyond what their own work covers.
    pub stranger_pool_max: Millicredits,
    /// Parts per million of what a stranger gave that it may owe on top.
    pub stranger_growth_ppm: u32,
    /// What no stranger may owe more than.
    pub stranger_line_max: Millicredits,
    /// The credit line between members of a private group; `None` is unlimited.
    pub group_line: Option<Millicredits>,
    /// Millicredits for one second of this device's engine at its own measured speed.
    pub engine_second_price: Millicredits,
    /// Other people's blocks that are kept to notice contradictions, checked or not. With 2,048 a node that knows 1,000
    /// peers stays below 4 MiB (`tests/memory.rs`), and a payment is remembered for minutes: in five rounds 32 hear of it, so
    /// at one sale in ten seconds each the unchecked half holds five minutes of them, and 20 s find a double spender.
    pub witness_blocks_max: usize,
    /// How many of them may be unchecked: what others told of. The rest of the room is for checked ones alone.
    pub witness_told_max: usize,
    /// Convictions that are kept, each with its proof; which go first, `node::convict` says.
    pub convictions_max: usize,
    /// What a peer tells may cost this node one check of a signature this often, milliseconds.
    pub gossip_check_ms: u32,
    /// And so many at once.
    pub gossip_burst: u32,
    /// A proof of fraud against somebody that neither traded with this node nor was paid by those it trusts is passed on this
    /// often, milliseconds.
    pub strange_proof_ms: u32,
    /// And so many at once.
    pub strange_proofs_burst: u32,
    /// Payments that were newly heard of are passed on to one more member this often, milliseconds.
    pub gossip_ms: u32,
    /// So many times by whoever received them, and by whoever is told as often as is left then.
    pub gossip_rounds: u8,
    /// A member that connects is shown the newest payments this often, milliseconds.
    pub greeting_ms: u32,
    /// And so many members in a row. It is little where everyone meets somebody new with every trade, and enough for all
    /// connections when they come back at once.
    pub greetings_burst: u32,
    /// After this long an observation counts half, milliseconds.
    pub reputation_half_life_ms: u64,
    /// Blocks the own chain may hold whole, pending ones included.
    pub ledger_blocks_max: usize,
    /// Complete receipts that are kept whole; older ones are folded into sums.
    pub ledger_whole_max: usize,
    /// After a restore nothing is signed until counterparties have told what they hold, or for so long, milliseconds.
    pub recover_ms: u32,
    /// Storage that reports neither success nor failure for so long counts as failing, milliseconds.
    pub persist_ms: u32,
    /// A write that storage refused is tried again after this long, milliseconds.
    pub persist_retry_ms: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 16,
            connections_held_max: 48,
            connection_idle_ms: 30_000,
            peers_max: 512,
            discovery_points_max: 8,
            registration_ttl_ms: 120_000,
            refile_ms: 2_000,
            refile_failed_ms: 5_000,
            sample_interval_ms: 5_000,
            sample_size: 32,
            dial_grace_ms: 6_000,
            redial_ms: 15_000,
            exchange_timeout_ms: 10_000,
            unreported_ms: 2_000,
            search_ms: 8_000,
            proposals_grace_ms: 400,
            proposals_max: 4,
            shortlist_max: 64,
            busy_refusals_max: 4,
            attempts_max: 3,
            busy_retry_ms: 500,
            jobs_max: 16,
            late_ms: 5_000,
            second_grace_ms: 1_000,
            probes_max: 2,
            models_max: 16,
            probes_kept_max: 32,
            cache_rows_max: 256,
            cache_age_ms: 7 * 24 * 3_600_000,
            compare_max: 1,
            trials_max: 4,
            trial_ms: 3_000,
            cosine_min: 0.99,
            trust_after: 10,
            quote_valid_ms: 30_000,
            quotes_max: 1_024,
            agreements_max: 64,
            agreements_per_buyer_max: 16,
            input_ms: 30_000,
            place_ms: 3_000,
            payment_ms: 60_000,
            engine_min_ms: 10_000,
            overhead_ms: 500,
            queue_max: 64,
            compute_burst_ms: 60_000,
            settle_retry_ms: 5_000,
            settle_retry_max_ms: 300_000,
            answers_max: 256,
            relayed_bytes_max: 48 * 1024,
            transfers_max: 8,
            part_timeout_ms: 30_000,
            newcomer_allowance: Millicredits(10_000),
            stranger_pair_max: Millicredits(10_000),
            stranger_pool_max: Millicredits(100_000),
            stranger_growth_ppm: 1_000_000,
            stranger_line_max: Millicredits(1_000_000),
            group_line: None,
            engine_second_price: Millicredits(100),
            witness_blocks_max: 2_048,
            witness_told_max: 1_024,
            convictions_max: 256,
            gossip_check_ms: 25,
            gossip_burst: 256,
            strange_proof_ms: 10_000,
            strange_proofs_burst: 16,
            gossip_ms: 2_500,
            gossip_rounds: 5,
            greeting_ms: 30_000,
            greetings_burst: 16,
            reputation_half_life_ms: 30 * 24 * 3_600_000,
            ledger_blocks_max: 100_000,
            ledger_whole_max: 4_096,
            recover_ms: 5_000,
            persist_ms: 20_000,
            persist_retry_ms: 5_000,
        }
    }
}

/// Which parameter is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {0} is out of bounds")]
pub struct ConfigError(pub &'static str);

impl Config {
    /// Checks every parameter that could make the node useless or unbounded.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let bounds = [
            (
                "connections_max",
                self.connections_max >= 1 && self.connections_max <= 256,
            ),
            // Fewer than are dialled, and each would be closed for the next.
            (
                "connections_held_max",
                self.connections_held_max >= self.connections_max && self.connections_held_max <= 1_024,
            ),
            ("connection_idle_ms", self.connection_idle_ms <= HOUR_MS),
            (
                "peers_max",
                self.peers_max >= self.connections_max && self.peers_max <= 65_536,
            ),
            (
                "registration_ttl_ms",
                self.registration_ttl_ms >= 1_000 && self.registration_ttl_ms <= HOUR_MS,
            ),
            (
                "discovery_points_max",
                self.discovery_points_max >= 1 && self.discovery_points_max <= 64,
            ),
            // Filed or sampled less often than registrations run out, a node is not found and finds nobody.
            (
                "refile_ms",
                (100..=self.registration_ttl_ms).contains(&self.refile_ms),
            ),
            (
                "refile_failed_ms",
                (100..=self.registration_ttl_ms).contains(&self.refile_failed_ms),
            ),
            (
                "sample_interval_ms",
                (100..=self.registration_ttl_ms).contains(&self.sample_interval_ms),
            ),
            ("sample_size", self.sample_size >= 1 && self.sample_size <= 64),
            ("dial_grace_ms", self.dial_grace_ms <= HOUR_MS),
            ("redial_ms", (100..=HOUR_MS).contains(&self.redial_ms)),
            (
                "exchange_timeout_ms",
                (100..=HOUR_MS).contains(&self.exchange_timeout_ms),
            ),
            ("unreported_ms", (100..=HOUR_MS).contains(&self.unreported_ms)),
            ("search_ms", (100..=HOUR_MS).contains(&self.search_ms)),
            ("proposals_grace_ms", self.proposals_grace_ms <= self.search_ms),
            // Presence, and every model under its own key; discovery points take 32 in all.
            ("models_max", self.models_max >= 1 && self.models_max <= 30),
            ("cache_rows_max", self.cache_rows_max <= 65_536),
            (
                "cache_age_ms",
                (1..=365 * 24 * u64::from(HOUR_MS)).contains(&self.cache_age_ms),
            ),
            (
                "proposals_max",
                self.proposals_max >= 1 && self.proposals_max <= 16,
            ),
            (
                "shortlist_max",
                self.shortlist_max >= self.proposals_max && self.shortlist_max <= 1_024,
            ),
            (
                "busy_refusals_max",
                self.busy_refusals_max >= 1 && self.busy_refusals_max <= 1_024,
            ),
            ("attempts_max", self.attempts_max >= 1 && self.attempts_max <= 16),
            (
                "busy_retry_ms",
                self.busy_retry_ms >= 100 && self.busy_retry_ms <= 60_000,
            ),
            ("jobs_max", self.jobs_max >= 1 && self.jobs_max <= 256),
            ("late_ms", (100..=HOUR_MS).contains(&self.late_ms)),
            ("second_grace_ms", self.second_grace_ms <= HOUR_MS),
            ("probes_max", self.probes_max <= 16),
            (
                "probes_kept_max",
                self.probes_kept_max >= self.probes_max && self.probes_kept_max <= 256,
            ),
            ("compare_max", self.compare_max <= 16),
            ("trials_max", self.trials_max <= SAMPLES_MAX),
            ("trial_ms", self.trial_ms >= 100 && self.trial_ms <= 60_000),
            ("cosine_min", self.cosine_min >= -1.0 && self.cosine_min <= 1.0),
            // Beyond this nobody would ever have a record.
            ("trust_after", (1..=1_000).contains(&self.trust_after)),
            ("quote_valid_ms", (1_000..=HOUR_MS).contains(&self.quote_valid_ms)),
            (
                "quotes_max",
                self.quotes_max >= self.agreements_per_buyer_max && self.quotes_max <= 65_536,
            ),
            (
                "agreements_max",
                self.agreements_max >= 1 && self.agreements_max <= 4_096,
            ),
            (
                "agreements_per_buyer_max",
                self.agreements_per_buyer_max >= 1 && self.agreements_per_buyer_max <= self.agreements_max,
            ),
            ("input_ms", (1_000..=HOUR_MS).contains(&self.input_ms)),
            ("place_ms", self.place_ms <= self.input_ms),
            ("payment_ms", (1_000..=HOUR_MS).contains(&self.payment_ms)),
            ("engine_min_ms", (100..=HOUR_MS).contains(&self.engine_min_ms)),
            ("overhead_ms", self.overhead_ms <= 60_000),
            ("queue_max", self.queue_max >= 1 && self.queue_max <= 256),
            (
                "compute_burst_ms",
                (1_000..=HOUR_MS).contains(&self.compute_burst_ms),
            ),
            ("settle_retry_ms", (100..=HOUR_MS).contains(&self.settle_retry_ms)),
            (
                "settle_retry_max_ms",
                (self.settle_retry_ms..=24 * HOUR_MS).contains(&self.settle_retry_max_ms),
            ),
            ("answers_max", self.answers_max >= 1 && self.answers_max <= 65_536),
            // A payment with its agreement has to fit.
            (
                "relayed_bytes_max",
                self.relayed_bytes_max >= 16 * 1024 && self.relayed_bytes_max <= FRAME_BYTES_MAX,
            ),
            (
                "transfers_max",
                self.transfers_max >= 1 && self.transfers_max <= 64,
            ),
            (
                "part_timeout_ms",
                (1_000..=HOUR_MS).contains(&self.part_timeout_ms),
            ),
            (
                "newcomer_allowance",
                (Millicredits::ZERO..=CREDIT_MAX).contains(&self.newcomer_allowance),
            ),
            (
                "stranger_pair_max",
                (Millicredits::ZERO..=CREDIT_MAX).contains(&self.stranger_pair_max),
            ),
            (
                "stranger_pool_max",
                (Millicredits::ZERO..=CREDIT_MAX).contains(&self.stranger_pool_max),
            ),
            // Beyond this a defector would take more than four times what it gave.
            ("stranger_growth_ppm", self.stranger_growth_ppm <= 4_000_000),
            (
                "stranger_line_max",
                (self.stranger_pair_max..=CREDIT_MAX).contains(&self.stranger_line_max),
            ),
            (
                "group_line",
                self.group_line
                    .is_none_or(|line| (Millicredits::ZERO..=CREDIT_MAX).contains(&line)),
            ),
            (
                "engine_second_price",
                (Millicredits(1)..=CREDIT_MAX).contains(&self.engine_second_price),
            ),
            (
                "witness_blocks_max",
                self.witness_blocks_max >= 1 && self.witness_blocks_max <= 65_536,
            ),
            // The checked have a room of their own, or junk could push them out.
            (
                "witness_told_max",
                self.witness_told_max < self.witness_blocks_max,
            ),
            (
                "convictions_max",
                self.convictions_max >= 1 && self.convictions_max <= 65_536,
            ),
            (
                "gossip_check_ms",
                self.gossip_check_ms >= 1 && self.gossip_check_ms <= 60_000,
            ),
            // One message full of proofs and rumours must fit, or an honest peer is not heard out.
            (
                "gossip_burst",
                self.gossip_burst >= 72 && self.gossip_burst <= 65_536,
            ),
            (
                "strange_proof_ms",
                self.strange_proof_ms >= 100 && self.strange_proof_ms <= 3_600_000,
            ),
            ("strange_proofs_burst", self.strange_proofs_burst <= 1_024),
            ("gossip_ms", (100..=HOUR_MS).contains(&self.gossip_ms)),
            ("gossip_rounds", self.gossip_rounds <= 8),
            ("greeting_ms", (100..=HOUR_MS).contains(&self.greeting_ms)),
            ("greetings_burst", self.greetings_burst <= 1_024),
            // A year is 31.5 billion; after ten nothing would ever be forgotten.
            (
                "reputation_half_life_ms",
                (1_000..=315_360_000_000).contains(&self.reputation_half_life_ms),
            ),
            (
                "ledger_blocks_max",
                self.ledger_blocks_max >= 1 && self.ledger_blocks_max <= 1_000_000,
            ),
            // Snapshots show the newest hundred; a batch beyond is folded at once.
            (
                "ledger_whole_max",
                self.ledger_whole_max >= 256 && self.ledger_whole_max <= self.ledger_blocks_max,
            ),
            ("recover_ms", (100..=HOUR_MS).contains(&self.recover_ms)),
            ("persist_ms", (1_000..=HOUR_MS).contains(&self.persist_ms)),
            (
                "persist_retry_ms",
                (100..=HOUR_MS).contains(&self.persist_retry_ms),
            ),
        ];
        match bounds.iter().find(|(_, good)| !good) {
            Some((name, _)) => Err(ConfigError(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
