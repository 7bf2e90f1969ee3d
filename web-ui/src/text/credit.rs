//! Credit lines between the members of a private group.

/// Title of the section.
pub const TITLE: &str = "Who may owe this device how much";
/// What it means.
pub const HINT: &str = "Among the members of your group nothing is limited unless you set it here. Every trade is receipted in any case.";
/// Column heads.
pub const WHO: &str = "Who";
/// What they owe.
pub const OWES: &str = "Owes now";
/// What they may owe.
pub const MAY_OWE: &str = "May owe";
/// Members without a line of their own.
pub const EVERYONE: &str = "Everyone else";
/// The choices, in order: value, name.
pub const CHOICES: [(&str, &str); 3] = [
    ("default", "as everyone else"),
    ("unlimited", "without limit"),
    ("limit", "up to…"),
];
/// The unit beside the amount.
pub const CREDITS: &str = "credits";
/// Label of a member's choice.
pub fn label(name: &str) -> String {
    format!("How much may {name} owe?")
}
/// Label of the amount.
pub fn amount_label(name: &str) -> String {
    format!("Credits that {name} may owe")
}
/// It owes nothing, this device owes it.
pub fn owed_to(amount: &str) -> String {
    format!("nothing; you owe {amount}")
}
/// What holds for a member without a line of its own.
pub fn holds(limit: Option<&str>) -> String {
    limit.map_or_else(
        || "now: without limit".to_owned(),
        |limit| format!("now: up to {limit}"),
    )
}
