//! How many tests passed and failed, read from the reports of the test runners.

use std::fmt;
use std::iter::Sum;

/// Numbers of tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed, or that never came to run.
    pub(crate) failed: u64,
}

impl Counts {
    /// A check without tests of its own that passed.
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0 };
    /// A check without tests of its own that failed.
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1 };

    /// Adds up every line of a report that counts tests: nextest's `Summary`, libtest's and wasm-bindgen's `test result`,
    /// and the end-to-end suite's last line.
    pub(crate) fn read(report: &str) -> Self {
        let lines = report.lines().filter(|line| counts_tests(line.trim()));
        let (sums, others): (Vec<_>, Vec<_>) = lines.partition(|line| line.trim().starts_with("Summary ["));
        // nextest quotes what a failed test's own process printed, and that is counted already.
        let counting = if sums.is_empty() { others } else { sums };
        counting.into_iter().map(read_line).sum()
    }

    /// Adds what the runner's own exit status says: a run that failed without a failed test did not get to its tests.
    pub(crate) fn with_status(self, success: bool) -> Self {
        if success || self.failed > 0 {
            self
        } else {
            Self { failed: 1, ..self }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, next| Self {
            passed: sum.passed + next.passed,
            failed: sum.failed + next.failed,
        })
    }
}

fn counts_tests(line: &str) -> bool {
    let is_plain_sum = line.ends_with(" failed")
        && line
            .split_once(" passed, ")
            .is_some_and(|(passed, _)| passed.parse::<u64>().is_ok());
    line.starts_with("Summary [") || line.starts_with("test result:") || is_plain_sum
}

fn read_line(line: &str) -> Counts {
    let words: Vec<&str> = line
        .split([' ', ',', ';', '(', ')'])
        .filter(|word| !word.is_empty())
        .collect();
    let before = |noun: &[&str]| -> u64 {
        let pairs = words.windows(2).filter(|pair| noun.contains(&pair[1]));
        pairs.filter_map(|pair| pair[0].parse::<u64>().ok()).sum()
    };
    Counts {
        passed: before(&["passed"]),
        failed: before(&["failed", "timed"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_is_read() {
        let report =
            "   Summary [   1.204s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 3 skipped\n";
        assert_eq!(Counts::read(report), Counts { passed: 9, failed: 3 });
    }

    #[test]
    fn what_nextest_quotes_of_a_failed_test_is_not_counted_twice() {
        let report = "test result: FAILED. 0 passed; 1 failed; 0 ignored\n\
                      Summary [ 1.0s] 2 tests run: 1 passed, 1 failed, 0 skipped\n";
        assert_eq!(Counts::read(report), Counts { passed: 1, failed: 1 });
    }

    #[test]
    fn several_wasm_test_binaries_are_added_up() {
        let report = "test result: ok. 3 passed; 0 failed; 0 ignored; 0 filtered out\nnoise\n\
                      test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 filtered out\n";
        assert_eq!(Counts::read(report), Counts { passed: 4, failed: 2 });
    }

    #[test]
    fn the_last_line_of_the_end_to_end_suite_is_read_and_prose_is_not() {
        let report = "the reviewer said 3 passed, 1 failed\n7 passed, 1 failed\n";
        assert_eq!(Counts::read(report), Counts { passed: 7, failed: 1 });
    }

    #[test]
    fn a_run_that_broke_before_its_tests_counts_as_a_failure() {
        assert_eq!(Counts::default().with_status(false), Counts::FAILED);
        assert_eq!(Counts::PASSED.with_status(true), Counts::PASSED);
    }
}
