//! What the work of all engines was for: each activity is put down to the request that it was done for.
//!
//! ```text
//! known answers in any activity ─────────────────────────▶ probes
//! the rest: of the provider whose result was accepted ───▶ useful (its rightness is another measurement)
//!           with a wrong result ─────────────────────────▶ wrong
//!           of a part of the request ────────────────────▶ samples (second opinions)
//!           of the whole ────────────────────────────────▶ given up (hedges, retries, results too late)
//! ```
//!
//! Both sides of every comparison are thus the same requests: work for others', among them cheats', is in neither.

use std::collections::BTreeMap;

use crate::check::share;
use crate::record::End;
use crate::summary::Summary;

/// Tokens by what they were computed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// In results that buyers accepted.
    pub useful: u64,
    /// In known answers, wherever they were hidden.
    pub probes: u64,
    /// In parts of requests that a second provider computed rightly.
    pub samples: u64,
    /// In results that were wrong and not accepted.
    pub wrong: u64,
    /// In whole results that were right or would have been, and that nobody took.
    pub given_up: u64,
}

impl Effort {
    /// What was done for these requests.
    pub fn of(summary: &Summary<'_>) -> Self {
        let requests = summary.requests.iter();
        let mut open: BTreeMap<(u32, u32), (u32, Option<u32>)> = requests
            .map(|request| {
                let provider = match &request.end {
                    End::Served(served) => Some(served.provider),
                    _ => None,
                };
                ((request.buyer, request.number), (request.tokens, provider))
            })
            .collect();
        let mut effort = Self::default();
        for host in summary.world.hosts() {
            for work in &host.works {
                let Some((tokens, provider)) = open.get_mut(&(work.buyer, work.request)) else {
                    continue;
                };
                effort.probes += u64::from(work.probe_tokens);
                let whole = work.item_tokens >= *tokens;
                // Accepted once, however often it was computed.
                let accepted = whole && provider.take_if(|provider| *provider == host.index()).is_some();
                let part = match (accepted, work.right) {
                    (true, _) => &mut effort.useful,
                    (_, false) => &mut effort.wrong,
                    _ if whole => &mut effort.given_up,
                    _ => &mut effort.samples,
                };
                *part += u64::from(work.item_tokens);
            }
        }
        effort
    }

    /// Everything beyond what was accepted, for each token of that.
    pub fn extra(&self) -> f64 {
        self.parts().iter().map(|(_, part)| part).sum()
    }

    /// What the extra work was for, for each accepted token.
    pub fn parts(&self) -> [(&'static str, f64); 4] {
        let part = |tokens: u64| share(tokens as f64, self.useful as f64);
        [
            ("probes", part(self.probes)),
            ("second opinions", part(self.samples)),
            ("wrong results, refused", part(self.wrong)),
            ("given up (hedges, retries)", part(self.given_up)),
        ]
    }
}
