//! Every limit has a bound on both sides, and the defaults keep to all of them.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

type Change = fn(&mut Config);

/// One value below and one above what is allowed of each field; no value is below for those that may be zero.
const BEYOND: &[(&str, Option<Change>, Change)] = &[
    ("connections_max", Some(|c| c.connections_max = 0), |c| {
        c.connections_max = 257
    }),
    (
        "connections_held_max",
        Some(|c| c.connections_held_max = 15),
        |c| c.connections_held_max = 1_025,
    ),
    ("connection_idle_ms", None, |c| c.connection_idle_ms = u32::MAX),
    ("peers_max", Some(|c| c.peers_max = 15), |c| {
        c.peers_max = usize::MAX
    }),
    (
        "discovery_points_max",
        Some(|c| c.discovery_points_max = 0),
        |c| c.discovery_points_max = 65,
    ),
    (
        "registration_ttl_ms",
        Some(|c| c.registration_ttl_ms = 999),
        |c| c.registration_ttl_ms = u32::MAX,
    ),
    ("refile_ms", Some(|c| c.refile_ms = 0), |c| c.refile_ms = u32::MAX),
    ("refile_failed_ms", Some(|c| c.refile_failed_ms = 0), |c| {
        c.refile_failed_ms = u32::MAX
    }),
    ("sample_interval_ms", Some(|c| c.sample_interval_ms = 0), |c| {
        c.sample_interval_ms = u32::MAX
    }),
    ("sample_size", Some(|c| c.sample_size = 0), |c| c.sample_size = 65),
    ("dial_grace_ms", None, |c| c.dial_grace_ms = u32::MAX),
    ("redial_ms", Some(|c| c.redial_ms = 0), |c| c.redial_ms = u32::MAX),
    ("exchange_timeout_ms", Some(|c| c.exchange_timeout_ms = 0), |c| {
        c.exchange_timeout_ms = u32::MAX
    }),
    ("unreported_ms", Some(|c| c.unreported_ms = 0), |c| {
        c.unreported_ms = u32::MAX
    }),
    ("search_ms", Some(|c| c.search_ms = 0), |c| c.search_ms = u32::MAX),
    ("proposals_grace_ms", None, |c| c.proposals_grace_ms = 8_001),
    ("proposals_max", Some(|c| c.proposals_max = 0), |c| {
        c.proposals_max = 17
    }),
    ("shortlist_max", Some(|c| c.shortlist_max = 3), |c| {
        c.shortlist_max = 1_025
    }),
    ("busy_refusals_max", Some(|c| c.busy_refusals_max = 0), |c| {
        c.busy_refusals_max = 1_025
    }),
    ("attempts_max", Some(|c| c.attempts_max = 0), |c| {
        c.attempts_max = 17
    }),
    ("busy_retry_ms", Some(|c| c.busy_retry_ms = 0), |c| {
        c.busy_retry_ms = u32::MAX
    }),
    ("jobs_max", Some(|c| c.jobs_max = 0), |c| c.jobs_max = 257),
    ("late_ms", Some(|c| c.late_ms = 0), |c| c.late_ms = u32::MAX),
    ("second_grace_ms", None, |c| c.second_grace_ms = u32::MAX),
    ("probes_max", None, |c| c.probes_max = 17),
    ("models_max", Some(|c| c.models_max = 0), |c| c.models_max = 31),
    ("probes_kept_max", Some(|c| c.probes_kept_max = 1), |c| {
        c.probes_kept_max = 257
    }),
    ("cache_rows_max", None, |c| c.cache_rows_max = 65_537),
    ("cache_age_ms", Some(|c| c.cache_age_ms = 0), |c| {
        c.cache_age_ms = u64::MAX
    }),
    ("compare_max", None, |c| c.compare_max = 17),
    ("trials_max", None, |c| c.trials_max = 5),
    ("trial_ms", Some(|c| c.trial_ms = 0), |c| c.trial_ms = 60_001),
    ("place_ms", None, |c| c.place_ms = u32::MAX),
    ("witness_told_max", None, |c| {
        c.witness_told_max = c.witness_blocks_max
    }),
    ("convictions_max", Some(|c| c.convictions_max = 0), |c| {
        c.convictions_max = 65_537
    }),
    ("gossip_check_ms", Some(|c| c.gossip_check_ms = 0), |c| {
        c.gossip_check_ms = 60_001
    }),
    ("gossip_burst", Some(|c| c.gossip_burst = 71), |c| {
        c.gossip_burst = 65_537
    }),
    ("strange_proof_ms", Some(|c| c.strange_proof_ms = 0), |c| {
        c.strange_proof_ms = u32::MAX
    }),
    ("strange_proofs_burst", None, |c| {
        c.strange_proofs_burst = u32::MAX
    }),
    ("cosine_min", Some(|c| c.cosine_min = f32::NAN), |c| {
        c.cosine_min = 1.1
    }),
    ("trust_after", Some(|c| c.trust_after = 0), |c| {
        c.trust_after = u32::MAX
    }),
    ("quote_valid_ms", Some(|c| c.quote_valid_ms = 0), |c| {
        c.quote_valid_ms = u32::MAX
    }),
    ("quotes_max", Some(|c| c.quotes_max = 15), |c| {
        c.quotes_max = usize::MAX
    }),
    ("agreements_max", Some(|c| c.agreements_max = 0), |c| {
        c.agreements_max = usize::MAX
    }),
    (
        "agreements_per_buyer_max",
        Some(|c| c.agreements_per_buyer_max = 0),
        |c| c.agreements_per_buyer_max = 65,
    ),
    ("input_ms", Some(|c| c.input_ms = 0), |c| c.input_ms = u32::MAX),
    ("transfers_max", Some(|c| c.transfers_max = 0), |c| {
        c.transfers_max = usize::MAX
    }),
    ("part_timeout_ms", Some(|c| c.part_timeout_ms = 0), |c| {
        c.part_timeout_ms = u32::MAX
    }),
    ("payment_ms", Some(|c| c.payment_ms = 0), |c| {
        c.payment_ms = u32::MAX
    }),
    ("engine_min_ms", Some(|c| c.engine_min_ms = 0), |c| {
        c.engine_min_ms = u32::MAX
    }),
    ("overhead_ms", None, |c| c.overhead_ms = u32::MAX),
    ("queue_max", Some(|c| c.queue_max = 0), |c| c.queue_max = 257),
    ("compute_burst_ms", Some(|c| c.compute_burst_ms = 0), |c| {
        c.compute_burst_ms = u32::MAX
    }),
    ("settle_retry_ms", Some(|c| c.settle_retry_ms = 0), |c| {
        c.settle_retry_ms = u32::MAX
    }),
    (
        "settle_retry_max_ms",
        Some(|c| c.settle_retry_max_ms = 4_999),
        |c| c.settle_retry_max_ms = u32::MAX,
    ),
    ("answers_max", Some(|c| c.answers_max = 0), |c| {
        c.answers_max = usize::MAX
    }),
    ("relayed_bytes_max", Some(|c| c.relayed_bytes_max = 1_024), |c| {
        c.relayed_bytes_max = usize::MAX
    }),
    ("newcomer_allowance", Some(|c| c.newcomer_allowance = DEBT), |c| {
        c.newcomer_allowance = RICHES
    }),
    ("stranger_pair_max", Some(|c| c.stranger_pair_max = DEBT), |c| {
        c.stranger_pair_max = RICHES
    }),
    ("stranger_pool_max", Some(|c| c.stranger_pool_max = DEBT), |c| {
        c.stranger_pool_max = RICHES
    }),
    ("stranger_growth_ppm", None, |c| c.stranger_growth_ppm = 4_000_001),
    (
        "stranger_line_max",
        Some(|c| c.stranger_line_max = Millicredits(9_999)),
        |c| c.stranger_line_max = RICHES,
    ),
    ("group_line", Some(|c| c.group_line = Some(DEBT)), |c| {
        c.group_line = Some(RICHES)
    }),
    (
        "engine_second_price",
        Some(|c| c.engine_second_price = Millicredits::ZERO),
        |c| c.engine_second_price = RICHES,
    ),
    ("witness_blocks_max", Some(|c| c.witness_blocks_max = 0), |c| {
        c.witness_blocks_max = usize::MAX
    }),
    ("gossip_ms", Some(|c| c.gossip_ms = 0), |c| c.gossip_ms = u32::MAX),
    ("gossip_rounds", None, |c| c.gossip_rounds = 9),
    ("greeting_ms", Some(|c| c.greeting_ms = 0), |c| {
        c.greeting_ms = u32::MAX
    }),
    ("greetings_burst", None, |c| c.greetings_burst = u32::MAX),
    (
        "reputation_half_life_ms",
        Some(|c| c.reputation_half_life_ms = 0),
        |c| c.reputation_half_life_ms = u64::MAX,
    ),
    ("ledger_blocks_max", Some(|c| c.ledger_blocks_max = 0), |c| {
        c.ledger_blocks_max = usize::MAX
    }),
    ("ledger_whole_max", Some(|c| c.ledger_whole_max = 255), |c| {
        c.ledger_whole_max = usize::MAX
    }),
    ("recover_ms", Some(|c| c.recover_ms = 0), |c| {
        c.recover_ms = u32::MAX
    }),
    ("persist_ms", Some(|c| c.persist_ms = 0), |c| {
        c.persist_ms = u32::MAX
    }),
    ("persist_retry_ms", Some(|c| c.persist_retry_ms = 0), |c| {
        c.persist_retry_ms = u32::MAX
    }),
];
const DEBT: Millicredits = Millicredits(-1);
const RICHES: Millicredits = Millicredits(i64::MAX);

#[test]
fn the_defaults_are_within_their_own_bounds() {
    assert_eq!(Config::default().validate(), Ok(()));
}

#[test]
fn every_field_is_refused_below_and_above_its_bounds() {
    for (name, below, above) in BEYOND {
        for change in below.iter().chain([above]) {
            let mut config = Config::default();
            change(&mut config);
            let refused = config.validate();
            // A bound may be another field, which is the one that is named then.
            assert!(refused.is_err(), "{name} passes: {config:?}");
        }
    }
}

#[test]
fn no_field_is_without_bounds() {
    let shown = format!("{:#?}", Config::default());
    let fields = shown
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
    let fields: Vec<&str> = fields
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with(' '))
        .collect();
    assert!(fields.len() > 50);
    for field in fields {
        assert!(
            BEYOND.iter().any(|(name, ..)| *name == field),
            "{field} is not checked"
        );
    }
}
