//! What a benchmark of this crate says: a line for people, and as the last one the same for `cargo xtask bench core`.

use std::time::Duration;

/// Where this is set, so many runs are made and no time is judged: somebody counts instructions, which slows them down.
const RUNS: &str = "KNOWLEDGE_BENCH_RUNS";

/// What was measured, and what must hold.
pub(crate) struct Report {
    pub(crate) what: String,
    /// The bound is on the run that so many in a hundred are not slower than.
    pub(crate) percent: usize,
    pub(crate) bound: Duration,
}

/// How many runs to make.
pub(crate) fn runs(default: u64) -> u64 {
    chosen_runs().unwrap_or(default)
}

fn chosen_runs() -> Option<u64> {
    std::env::var(RUNS).ok()?.parse().ok()
}

impl Report {
    /// Prints both lines, and panics where the bound is broken.
    pub(crate) fn print(&self, times: &mut [Duration]) {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        let (what, bound, runs) = (&self.what, self.bound, times.len());
        println!(
            "{what}: median {:?}, 95 % {:?}, 99 % {:?}, slowest {:?} over {runs} runs",
            at(50),
            at(95),
            at(99),
            at(100)
        );
        let holds = at(self.percent) <= bound;
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let line = serde_json::json!({
            "what": what,
            "runs": runs,
            "median_us": us(at(50)),
            "p95_us": us(at(95)),
            "p99_us": us(at(99)),
            "slowest_us": us(at(100)),
            "bound_percent": self.percent,
            "bound_us": us(bound),
            "holds": holds,
        });
        println!("{line}");
        assert!(
            holds || chosen_runs().is_some(),
            "{} in a hundred are not within {bound:?}",
            self.percent
        );
    }
}
