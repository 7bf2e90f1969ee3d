//! The Market page.

/// Nothing on offer.
pub const EMPTY: &str = "Nobody offers anything yet. Offers appear here as soon as a device in your group switches lending on: this one under Node, or another one that opens this page.";
/// Under the heading.
pub const INTRO: &str = "Prices are for 1,000 tokens, about 750 words; of computations for 1,000 units of work, about a quarter of a second of a laptop; of cached answers for 1,000 texts; of storage for a megabyte for an hour. Each is the product of four factors: work × quality × demand × standing.";
/// The table's name.
pub const OFFERS: &str = "Offers";
/// Column heads.
pub const PROVIDER: &str = "Provider";
/// What.
pub const OFFER: &str = "Offer";
/// Price.
pub const PRICE: &str = "Price (credits)";
/// Why.
pub const FACTORS: &str = "Why this price";
/// Claimed.
pub const SPEED: &str = "Speed";
/// What speed means.
pub const SPEED_HINT: &str = "Time for 1,000 tokens or units of work, as the provider claims";
/// Measured.
pub const RTT: &str = "Round trip";
/// How it is measured.
pub const RTT_HINT: &str = "Measured by ping over the present connection";
/// Reputation.
pub const REPUTATION: &str = "Reputation";
/// The interval.
pub const REPUTATION_HINT: &str = "90 % interval of the score; ranked by its lower end";
/// The newcomer's line.
pub fn allowance(amount: &str) -> String {
    format!("A newcomer may owe strangers up to {amount} before earning anything.")
}
/// In a group without limits.
pub const UNLIMITED: &str = "Within this group nobody's credit is limited.";
/// Nobody traded with it yet.
pub const NO_RECORD: &str = "no record yet";
