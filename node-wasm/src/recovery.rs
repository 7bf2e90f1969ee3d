//! When what a worker or a GPU took with it is tried again, and when it is given up.

use node_proto::ids::Timestamp;

/// Deaths of the worker in a row after which its models are given up.
const DEATHS_MAX: u32 = 3;
/// Wait before a dead worker's models are loaded again, when those loaded after the last death did not live to finish anything.
const REVIVE_AFTER_MS: u32 = 2_000;
/// Losses of WebGPU after which it is set aside for as long as the page lives.
const GPU_LOSSES_MAX: u32 = 3;
/// How long WebGPU rests after a loss: a process that hangs needs time to be replaced by the browser.
const GPU_REST_MS: u64 = 60_000;

/// Deaths of the worker since it last finished something.
#[derive(Debug, Default)]
pub(crate) struct Deaths(u32);

impl Deaths {
    /// The worker died. Returns after how many milliseconds its models are loaded again; `None` when that looks hopeless.
    pub(crate) fn died(&mut self) -> Option<u32> {
        self.0 = self.0.saturating_add(1);
        match self.0 {
            ..=1 => Some(0),
            2..=DEATHS_MAX => Some(REVIVE_AFTER_MS),
            _ => None,
        }
    }

    /// The worker finished something.
    pub(crate) fn lives(&mut self) {
        self.0 = 0;
    }
}

/// How often WebGPU hung, failed or lost its device, and since when it rests.
#[derive(Debug, Default)]
pub(crate) struct GpuRest {
    losses: u32,
    lost_at: Option<Timestamp>,
}

impl GpuRest {
    pub(crate) fn lost(&mut self, now: Timestamp) {
        self.losses = self.losses.saturating_add(1);
        self.lost_at = Some(now);
    }

    /// Whether it is left alone now.
    pub(crate) fn is_on(&self, now: Timestamp) -> bool {
        let is_recent = |lost_at| now.ms_since(lost_at) < GPU_REST_MS;
        self.losses >= GPU_LOSSES_MAX || self.lost_at.is_some_and(is_recent)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_worker_is_replaced_at_once_then_after_a_pause_and_then_no_more() {
        let mut deaths = Deaths::default();
        let four = [(); 4].map(|()| deaths.died());
        assert_eq!(four, [Some(0), Some(2_000), Some(2_000), None]);
        deaths.lives();
        assert_eq!(deaths.died(), Some(0));
    }

    #[test]
    fn a_gpu_rests_for_a_minute_and_for_ever_after_the_third_loss() {
        let mut rest = GpuRest::default();
        assert!(!rest.is_on(Timestamp(0)));
        for at in [0, 100_000] {
            rest.lost(Timestamp(at));
            assert!(rest.is_on(Timestamp(at + 59_999)));
            assert!(!rest.is_on(Timestamp(at + 60_000)));
        }
        rest.lost(Timestamp(200_000));
        assert!(rest.is_on(Timestamp(100_000_000)));
    }
}
