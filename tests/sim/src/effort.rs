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
use std::ops::Range;

use crate::check::share;
use crate::network::Millis;
use crate::record::{End, Served};
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

/// One activity that was done for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// When it began.
    pub at: Millis,
    /// For whom.
    pub buyer: u32,
    /// Who did it.
    pub provider: u32,
    /// Its tokens, known answers not counted.
    pub tokens: u64,
    /// Those of known answers.
    pub probe_tokens: u64,
    /// What it was.
    pub kind: Kind,
}

/// What an activity was to its buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The result that was accepted.
    Accepted {
        /// It was checked, and is right.
        verified: bool,
    },
    /// A part that was computed rightly; there is none without known answers in it.
    Sample,
    /// Wrong, and not accepted.
    Wrong,
    /// A whole that nobody took.
    GivenUp,
}

/// Everything that was done for these requests.
pub fn pieces(summary: &Summary<'_>) -> Vec<Piece> {
    let requests = summary.requests.iter();
    let mut open: BTreeMap<(u32, u32), (u32, Option<&Served>)> = requests
        .map(|request| {
            let served = match &request.end {
                End::Served(served) => Some(served),
                _ => None,
            };
            ((request.buyer, request.number), (request.tokens, served))
        })
        .collect();
    let mut pieces = Vec::new();
    for host in summary.world.hosts() {
        for work in &host.works {
            let Some((tokens, served)) = open.get_mut(&(work.buyer, work.request)) else {
                continue;
            };
            let whole = work.item_tokens >= *tokens;
            // Accepted once, however often it was computed.
            let accepted = served.take_if(|served| whole && served.provider == host.index());
            let kind = match (accepted, work.right) {
                (Some(served), right) => Kind::Accepted {
                    verified: right && served.checked,
                },
                (None, false) => Kind::Wrong,
                (None, true) if whole => Kind::GivenUp,
                (None, true) => Kind::Sample,
            };
            pieces.push(Piece {
                at: work.at,
                buyer: work.buyer,
                provider: host.index(),
                tokens: work.item_tokens.into(),
                probe_tokens: work.probe_tokens.into(),
                kind,
            });
        }
    }
    pieces
}

impl Effort {
    /// What was done for these requests.
    pub fn of(summary: &Summary<'_>) -> Self {
        Self::begun(summary, 0..Millis::MAX)
    }

    /// The part of it that was begun within a time.
    pub fn begun(summary: &Summary<'_>, time: Range<Millis>) -> Self {
        let mut effort = Self::default();
        for piece in pieces(summary).iter().filter(|piece| time.contains(&piece.at)) {
            effort.probes += piece.probe_tokens;
            let part = match piece.kind {
                Kind::Accepted { .. } => &mut effort.useful,
                Kind::Wrong => &mut effort.wrong,
                Kind::GivenUp => &mut effort.given_up,
                Kind::Sample => &mut effort.samples,
            };
            *part += piece.tokens;
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
