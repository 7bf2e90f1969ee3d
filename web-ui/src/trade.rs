//! A request as a person follows it: six steps, each one line that grows more exact until the next begins.
//!
//! [`Trade`] folds the node's [`TradeStep`]s. When a provider fails and the next one is tried, the failed line stays and
//! says so; the new attempt writes lines of its own below it.

use node_proto::ids::NodeId;
use node_proto::view::TradeStep;

use crate::{format, text};

/// The steps of a trade, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Who offers it?
    Providers,
    /// What would it cost?
    Proposals,
    /// Both sides sign.
    Agreement,
    /// The work.
    Activity,
    /// Is it right?
    Verification,
    /// It is paid.
    Receipt,
}

/// How a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Going on.
    Running,
    /// Over, and well.
    Done,
    /// Over; something else is tried, or nothing.
    Failed,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which step.
    pub stage: Stage,
    /// What happened, for people.
    pub text: String,
    /// How it stands.
    pub mark: Mark,
}

/// The lines of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trade {
    lines: Vec<Line>,
    asked: u32,
    quoted: u32,
    refused: u32,
    /// What the agreement's line will say once both have signed.
    agreed: Option<String>,
}

/// Attempts are bounded by the node; this bounds what a page would show if they were not.
const LINES_MAX: usize = 60;

impl Stage {
    /// Its name in test ids.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Providers => "providers",
            Self::Proposals => "proposals",
            Self::Agreement => "agreement",
            Self::Activity => "activity",
            Self::Verification => "verification",
            Self::Receipt => "receipt",
        }
    }
}

impl Trade {
    /// The lines so far.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Takes in what happened. `name` is how a person knows a peer ("a strong device …x7Kp9Q").
    pub fn apply(&mut self, step: &TradeStep, name: impl Fn(NodeId) -> String) {
        match step {
            TradeStep::Searching { discovery_points } => {
                self.write(Stage::Providers, text::ask::searching(*discovery_points));
            }
            TradeStep::Found { candidates, asked } => {
                (self.asked, self.quoted, self.refused) = (*asked, 0, 0);
                self.write(Stage::Providers, text::ask::found(*candidates, *asked));
            }
            TradeStep::Proposal { .. } => {
                self.quoted += 1;
                self.write_proposals();
            }
            TradeStep::Refused { .. } => {
                self.refused += 1;
                self.write_proposals();
            }
            TradeStep::Waiting { .. } => self.write(Stage::Proposals, text::ask::ALL_BUSY.to_owned()),
            TradeStep::Countered { provider, price } => {
                let line = text::ask::countered(&name(*provider), &format::credits(*price));
                self.write(Stage::Proposals, line);
            }
            TradeStep::Hedged { provider, price } => {
                let line = text::ask::hedged(&name(*provider), &format::credits(*price));
                self.write(Stage::Activity, line);
            }
            TradeStep::Trying { providers } => self.write(Stage::Agreement, text::ask::trying(*providers)),
            TradeStep::Chosen {
                provider,
                price,
                backup,
                ..
            } => {
                let (name, price) = (name(*provider), format::credits(*price));
                self.agreed = Some(text::ask::agreed(&name, &price, backup.is_some()));
                self.write(Stage::Agreement, text::ask::chosen(&name, &price));
            }
            TradeStep::Agreed { .. } => {
                let line = self.agreed.take().unwrap_or_else(|| text::ask::AGREED.to_owned());
                self.write(Stage::Agreement, line);
            }
            TradeStep::Sent { items, bytes } => {
                self.write(
                    Stage::Activity,
                    text::ask::sent(*items, &format::bytes(u64::from(*bytes))),
                );
            }
            TradeStep::Delivered { took_ms } => {
                self.write(
                    Stage::Activity,
                    text::ask::delivered(&format::duration(u64::from(*took_ms))),
                );
            }
            TradeStep::Verified { verification } => {
                self.write(Stage::Verification, text::verification_line(verification));
            }
            TradeStep::Receipted { price, .. } => {
                self.write(Stage::Receipt, text::ask::receipted(&format::credits(*price)));
                self.close(Mark::Done);
            }
            TradeStep::Retrying { provider, reason } => {
                let line = text::ask::retrying(&name(*provider), &reason.to_string());
                if let Some(last) = self.lines.last_mut() {
                    last.text = line;
                }
                self.close(Mark::Failed);
            }
        }
    }

    /// Marks the line that was going on when the request ended.
    pub fn close(&mut self, mark: Mark) {
        if let Some(last) = self.lines.last_mut().filter(|line| line.mark == Mark::Running) {
            last.mark = mark;
        }
    }

    fn write_proposals(&mut self) {
        let asked = self.asked.max(self.quoted + self.refused);
        self.write(
            Stage::Proposals,
            text::ask::proposals(self.quoted, self.refused, asked),
        );
    }

    /// Rewrites the line of this stage if it is going on, else ends the one before and begins a new one.
    ///
    /// A late quote of a slow provider belongs to a line further up: it is corrected there.
    fn write(&mut self, stage: Stage, text: String) {
        let current = self
            .lines
            .iter()
            .rposition(|line| line.mark == Mark::Failed)
            .map_or(0, |failed| failed + 1);
        if let Some(line) = self.lines[current..].iter_mut().find(|line| line.stage == stage) {
            line.text = text;
            return;
        }
        self.close(Mark::Done);
        if self.lines.len() < LINES_MAX {
            self.lines.push(Line {
                stage,
                text,
                mark: Mark::Running,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use node_proto::ids::{AgreementId, Millicredits, ReceiptId};
    use node_proto::price::Factors;
    use node_proto::service::Failure;
    use node_proto::view::{Quote, Verification};

    use super::*;

    const ANN: NodeId = NodeId([1; 32]);
    const BEN: NodeId = NodeId([2; 32]);

    fn quote() -> Quote {
        let factors = Factors {
            base_cost: 400,
            quality_multiplier: 1_000_000,
            market_demand: 1_000_000,
            reputation_factor: 1_000_000,
        };
        Quote {
            price: Millicredits(400),
            factors,
            promised_ms: 900,
            valid_ms: 10_000,
        }
    }

    fn chosen(provider: NodeId) -> TradeStep {
        TradeStep::Chosen {
            provider,
            price: Millicredits(400),
            backup: None,
            expected_ms: 0,
        }
    }

    fn folded(steps: &[TradeStep]) -> Trade {
        let mut trade = Trade::default();
        steps.iter().for_each(|step| trade.apply(step, format::short_id));
        trade
    }

    #[test]
    fn six_steps_make_six_lines_in_order() {
        let trade = folded(&[
            TradeStep::Searching { discovery_points: 1 },
            TradeStep::Found {
                candidates: 5,
                asked: 2,
            },
            TradeStep::Proposal {
                provider: ANN,
                quote: quote(),
            },
            TradeStep::Refused {
                provider: BEN,
                reason: Failure::Busy,
            },
            chosen(ANN),
            TradeStep::Agreed {
                agreement: AgreementId([3; 32]),
            },
            TradeStep::Sent {
                items: 9,
                bytes: 4_000,
            },
            TradeStep::Delivered { took_ms: 800 },
            TradeStep::Verified {
                verification: Verification::SpotChecked {
                    probes: 2,
                    cosine_min: 1.0,
                },
            },
            TradeStep::Receipted {
                receipt: ReceiptId([4; 32]),
                price: Millicredits(400),
            },
        ]);
        let stages: Vec<_> = trade.lines().iter().map(|line| line.stage.slug()).collect();
        assert_eq!(
            stages,
            [
                "providers",
                "proposals",
                "agreement",
                "activity",
                "verification",
                "receipt"
            ]
        );
        assert!(
            trade.lines().iter().all(|line| line.mark == Mark::Done),
            "{:?}",
            trade.lines()
        );
        assert!(trade.lines()[1].text.contains("1 of 2"), "{:?}", trade.lines()[1]);
        assert!(
            trade.lines()[2].text.contains("0.4 credits"),
            "{:?}",
            trade.lines()[2]
        );
    }

    #[test]
    fn a_late_offer_corrects_its_own_line() {
        let mut trade = folded(&[
            TradeStep::Found {
                candidates: 2,
                asked: 2,
            },
            TradeStep::Proposal {
                provider: ANN,
                quote: quote(),
            },
            chosen(ANN),
        ]);
        trade.apply(
            &TradeStep::Proposal {
                provider: BEN,
                quote: quote(),
            },
            format::short_id,
        );
        assert_eq!(trade.lines().len(), 3);
        assert!(trade.lines()[1].text.contains("2 of 2"));
    }

    #[test]
    fn a_failed_attempt_stays_visible_and_the_next_one_starts_below() {
        let mut trade = folded(&[chosen(ANN), TradeStep::Sent { items: 1, bytes: 1 }]);
        trade.apply(
            &TradeStep::Retrying {
                provider: ANN,
                reason: Failure::Disconnected,
            },
            format::short_id,
        );
        trade.apply(&chosen(BEN), format::short_id);
        let marks: Vec<_> = trade.lines().iter().map(|line| (line.stage, line.mark)).collect();
        assert_eq!(
            marks,
            [
                (Stage::Agreement, Mark::Done),
                (Stage::Activity, Mark::Failed),
                (Stage::Agreement, Mark::Running)
            ]
        );
    }
}
