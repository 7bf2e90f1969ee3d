//! The Reputation page.

/// Everyone with a record.
pub const PEERS: &str = "Peers";
/// Nothing yet.
pub const EMPTY: &str = "You have not traded with anyone yet. After the first answer, whoever computed it appears here with the receipts behind the score.";
/// Under the heading.
pub const INTRO: &str = "Scores rest on this device's own receipts. A bar shows where the true value lies with 90 % certainty: the less is known, the wider it is.";
/// In the order of the columns: name, key in test ids, what it means.
pub const METRICS: [(&str, &str, &str); 4] = [
    ("Reliability", "reliability", "Delivered what was agreed"),
    ("Availability", "availability", "Answered when asked"),
    ("Response time", "response_time", "Kept the promised time"),
    ("Quality", "quality", "Results that were checked were right"),
];
/// The ranking score.
pub const SCORE: &str = "Score";
/// The receipts behind it.
pub fn why(receipts: usize) -> String {
    format!(
        "Why this score? {}",
        super::count(receipts, "receipt", "receipts")
    )
}
/// What is below, in words.
pub fn rests_on(receipts: usize, observed: f32) -> String {
    format!(
        "{} with this device and {observed:.0} observations of how it kept its word. The newest receipts:",
        super::count(receipts, "receipt", "receipts")
    )
}
/// Whose payments speak for a peer: this device's, those of people it traded with, and those of others beyond them.
pub fn vouchers(you: bool, traded: usize, others: usize) -> String {
    let counted = [
        (traded, "person you traded with", "people you traded with"),
        (others, "person beyond them", "people beyond them"),
    ];
    let counted = counted.into_iter().filter(|(number, ..)| *number > 0);
    let counted = counted.map(|(number, one, many)| super::count(number, one, many));
    let who: Vec<String> = you.then(|| "you".to_owned()).into_iter().chain(counted).collect();
    if who.is_empty() {
        return "Nobody's payments speak for it yet.".to_owned();
    }
    format!(
        "Payments speak for it: {} paid it. Each one's part:",
        who.join(", ")
    )
}
/// None are kept here.
pub const NO_RECEIPTS: &str = "No receipt with this peer yet.";
/// All receipts.
pub const RECEIPTS: &str = "Receipts";
/// No receipts at all.
pub const RECEIPTS_EMPTY: &str = "No receipts yet. Each trade leaves one, signed by both sides.";
/// Column heads.
pub const WHEN: &str = "When";
/// With whom.
pub const WITH: &str = "With";
/// What.
pub const WHAT: &str = "Service";
/// How much.
pub const AMOUNT: &str = "Credits";
/// Checked how.
pub const CHECKED: &str = "Checked";
/// Hash.
pub const RECEIPT: &str = "Receipt";
/// Whole.
pub const COMPLETE: &str = "complete";
/// Half.
pub const PENDING: &str = "pending";
/// How much is known.
pub fn observations(number: f32) -> String {
    format!("{number:.1} observations, recent ones count more")
}
