//! The simulated world itself: it repeats, on any number of threads, and its nodes trade.

use simulator::World;
use simulator::check::Bound;
use simulator::effort::Effort;
use simulator::event::Act;
use simulator::network::Partition;
use simulator::spec::WorldSpec;
use simulator::summary::Summary;
use simulator::town::{ASKING_FROM_MS, town};

const NODES: u32 = 15;

/// A small town for half a minute of trade, with a crash and a partition.
fn hamlet(seed: u64) -> WorldSpec {
    let mut spec = town(NODES, seed);
    spec.asking = ASKING_FROM_MS..ASKING_FROM_MS + 30_000;
    spec.until = spec.asking.end + 90_000;
    spec.acts = vec![(30_000, 5, Act::Crash), (36_000, 5, Act::Start)];
    spec.links.partitions = vec![Partition {
        from: 40_000,
        until: 46_000,
        first_beyond: 4,
    }];
    spec
}

fn lived(seed: u64, threads: usize) -> World {
    let spec = hamlet(seed);
    let until = spec.until;
    let mut world = World::new(spec, threads);
    world.run(until);
    world
}

#[test]
fn the_same_seed_gives_the_same_trace_on_any_number_of_threads() {
    let alone = lived(1, 1);
    assert_eq!(alone.trace(), lived(1, 3).trace());
    let mut stepped = World::new(hamlet(1), 1);
    while stepped.step(hamlet(1).until).is_some() {}
    assert_eq!(alone.trace(), stepped.trace());
    assert_ne!(alone.trace(), lived(2, 1).trace());
}

/// The trace of a small world as it was computed once, optimised and not: a machine or a compiler that computes something
/// else is found out here. Whoever changes what nodes do, or what the simulator does to them, renews it:
///
/// ```text
/// RENEW_TRACE=1 cargo nextest run -p simulator the_trace_is_the_committed_one
/// ```
#[test]
fn the_trace_is_the_committed_one() {
    let trace: String = lived(1, 2)
        .trace()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if std::env::var_os("RENEW_TRACE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/world.trace");
        std::fs::write(path, format!("{trace}\n")).unwrap();
        return;
    }
    let committed = include_str!("world.trace").trim();
    assert_eq!(
        trace, committed,
        "see this test's comment when that was meant to change"
    );
}

#[test]
fn trades_end_in_receipts_that_cancel_out() {
    let world = lived(3, 2);
    let summary = Summary::new(&world);
    assert!(summary.served().count() > 40, "{:?}", summary.failures());
    assert!(
        summary
            .served()
            .all(|(_, served)| served.right && served.price > 0)
    );
    assert_eq!(summary.balances(), (0, 0));
}

#[test]
fn every_accepted_token_is_found_in_the_work_of_its_provider() {
    let world = lived(3, 2);
    let summary = Summary::new(&world);
    let served: u64 = summary
        .served()
        .map(|(request, _)| u64::from(request.tokens))
        .sum();
    let effort = Effort::of(&summary);
    assert_eq!(effort.useful, served);
    let all = effort.useful + effort.probes + effort.samples + effort.wrong + effort.given_up;
    let computed: u64 = world.hosts().map(|host| host.tally.work_tokens).sum();
    assert_eq!(all, computed);
}

#[test]
fn a_report_shows_what_was_measured() {
    let report = (simulator::scenario::find("honest").unwrap().run)(simulator::scenario::Setting {
        nodes: 10,
        seed: 1,
        threads: 2,
    });
    let shown = report.to_string();
    assert!(shown.contains(&format!("trace {}", report.trace)) && report.trace.len() == 64);
    assert_eq!(report.plots.len(), 3, "welfare, prices, reputation");
    let out = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    report.write(&out, 1.0).unwrap();
    for ending in ["txt", "json", "svg"] {
        let file = out.join(format!("honest-10-1.{ending}"));
        assert!((100..40_000).contains(&std::fs::metadata(file).unwrap().len()));
    }
    let conserved = report
        .checks
        .iter()
        .find(|check| check.name.starts_with("balances"));
    assert!(conserved.is_some_and(|check| check.kept && check.bound == Bound::AtMost(0.0)));
}
