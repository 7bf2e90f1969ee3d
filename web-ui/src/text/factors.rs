//! The four factors of a price.

/// Table's caption.
pub const CAPTION: &str = "How the price is made";
/// Column heads.
pub const FACTOR: &str = "Factor";
/// The number itself.
pub const VALUE: &str = "Value";
/// What it adds.
pub const ADDS: &str = "Adds (credits)";
/// In the order of the product: name, key in test ids, what it means.
pub const ALL: [(&str, &str, &str); 4] = [
    ("Work", "base_cost", "The measured work on the provider's device"),
    (
        "Quality",
        "quality_multiplier",
        "Precision and speed that are promised",
    ),
    ("Demand", "market_demand", "How busy the provider is"),
    (
        "Standing",
        "reputation_factor",
        "What the provider's record is worth",
    ),
];
/// The sum.
pub const PRICE: &str = "Price";
