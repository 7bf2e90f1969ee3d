//! Every sentence of the page, in English. A second language is a second folder of this shape: here what pages share, below a
//! file for each page.
//!
//! Plain words first: what a person who never heard of peers or tiers needs. Terms of the machinery appear only where the
//! machinery is shown.

use node_proto::capability::{PauseReason, Tier};
use node_proto::ids::Timestamp;
use node_proto::service::{Failure, Service};
use node_proto::view::Verification;

use crate::format;
use crate::route::Page;

pub mod ask;
pub mod backup;
pub mod compute;
pub mod credit;
pub mod factors;
pub mod invite;
pub mod market;
pub mod network;
pub mod node;
pub mod presence;
pub mod reputation;
pub mod shell;

/// The product's name.
pub const NAME: &str = "Knowledge network";
/// First focusable element.
pub const SKIP: &str = "Skip to content";
/// Label of the navigation.
pub const PAGES: &str = "Pages";
/// Where a value was never measured.
pub const UNKNOWN: &str = "unknown";
/// An age below what anyone cares about.
pub const JUST_NOW: &str = "just now";
/// This node, where peers are named.
pub const YOU: &str = "this device";
/// Label of the scope of a request.
pub const SCOPE: &str = "Who may compute it";
/// The widest one.
pub const SCOPE_ANYONE: &str = "Anyone";
/// Closes a dialog.
pub const CLOSE: &str = "Close";

/// A page's name in the navigation.
pub const fn page(page: Page) -> &'static str {
    match page {
        Page::Ask => "Ask",
        Page::Market => "Market",
        Page::Reputation => "Reputation",
        Page::Node => "Node",
        Page::Network => "Network",
    }
}

/// The page's title in the browser's tab.
pub fn title(open: Page) -> String {
    format!("{} – {NAME}", page(open))
}

/// The question that a page answers, as its heading.
pub const fn heading(page: Page) -> &'static str {
    match page {
        Page::Ask => "What do we know about this?",
        Page::Market => "Who offers what, and why at that price?",
        Page::Reputation => "Whom can I rely on, and how sure is that?",
        Page::Node => "What does my device do, and how much?",
        Page::Network => "Who is connected, and how?",
    }
}

/// An amount of exactly one.
pub fn one_credit(number: &str) -> String {
    format!("{number} credit")
}

/// Any other amount.
pub fn credits(number: &str) -> String {
    format!("{number} credits")
}

/// An age.
pub fn ago(duration: &str) -> String {
    format!("{duration} ago")
}

/// A count with its noun.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {many}")
    }
}

/// A tier's name.
pub const fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Basic => "Basic",
        Tier::Standard => "Standard",
        Tier::Power => "Power",
    }
}

/// A tier's name in test ids and classes.
pub const fn tier_slug(tier: Tier) -> &'static str {
    match tier {
        Tier::Basic => "basic",
        Tier::Standard => "standard",
        Tier::Power => "power",
    }
}

/// A peer as a person would speak of it.
pub const fn device(tier: Option<Tier>) -> &'static str {
    match tier {
        Some(Tier::Basic) => "a small device",
        Some(Tier::Standard) => "a mid-range device",
        Some(Tier::Power) => "a strong device",
        None => "a device",
    }
}

/// A service's name.
pub const fn service(service: Service) -> &'static str {
    match service {
        Service::Inference => "Inference",
        Service::CacheQuery => "Cached answers",
        Service::Storage => "Storage",
        Service::Computation => "Computation",
        Service::ModelTraining => "Model training",
        Service::ComplexInference => "Complex inference",
        Service::LargeStorage => "Large storage",
        Service::SpecialisedProcessing => "Specialised processing",
        Service::Coordination => "Coordination",
        Service::Reputation => "Reputation",
        Service::MarketFacilitation => "Market facilitation",
        Service::ResourceDiscovery => "Resource discovery",
    }
}

/// How a result was checked, in two or three words.
pub const fn verification(verification: &Verification) -> &'static str {
    match verification {
        Verification::Unchecked => "not independently checked",
        Verification::SpotChecked { .. } => "spot-checked",
        Verification::TwoAgree { .. } => "two agree",
        Verification::Kept { signers: 0 | 1, .. } => "kept answer, not independently checked",
        Verification::Kept { .. } => "kept answer, several agree",
        Verification::Proved { .. } => "proved to be there",
        Verification::Wrong { .. } => "checked and wrong",
    }
}

/// The same as one line of a trade.
pub fn verification_line(verification: &Verification) -> String {
    match verification {
        Verification::Unchecked => {
            "Not independently checked: nothing was at hand to check it with".to_owned()
        }
        Verification::SpotChecked { probes, .. } => {
            format!(
                "Spot-checked: {} came back right",
                count(*probes as usize, "hidden known answer", "hidden known answers")
            )
        }
        Verification::TwoAgree { compared, .. } => {
            format!(
                "Two agree: a second device computed {} alike",
                count(*compared as usize, "sample", "samples")
            )
        }
        Verification::Kept { signer, signers, .. } => {
            let by = format::short_id(*signer);
            match signers {
                0 | 1 => format!("Not computed again: {by} signed it, nobody else did"),
                n => format!("Not computed again: {by} signed it, and {n} devices in all signed the same"),
            }
        }
        Verification::Proved { .. } => {
            "Proved to be there: a question that only a holder can answer was answered".to_owned()
        }
        Verification::Wrong { .. } => "Checked and wrong: the result is refused and not paid".to_owned(),
    }
}

/// What the check did, for the details of a trade of that time.
pub fn verification_detail(verification: &Verification, at: Timestamp) -> String {
    match verification {
        Verification::Unchecked => "No known answer and no second provider was available.".to_owned(),
        Verification::SpotChecked { probes, cosine_min } => {
            format!(
                "Texts with known answers hidden among yours: {probes}; the least similar came back at {cosine_min:.4} of 1."
            )
        }
        Verification::TwoAgree {
            compared,
            probes,
            cosine_min,
            ..
        } => format!(
            "Your texts that a second provider computed as well: {compared}; known answers hidden: {probes}; the least similar pair agrees at {cosine_min:.4} of 1."
        ),
        Verification::Kept {
            signer,
            computed_at,
            signers,
        } => format!(
            "{} computed it {} before, and signed text, model and time. Devices that signed the same: {signers}.",
            format::short_id(*signer),
            format::duration(at.ms_since(*computed_at)),
        ),
        Verification::Proved { questions } => {
            format!("Questions about random parts of the file that were answered rightly: {questions}.")
        }
        Verification::Wrong { cosine_min, required } => {
            format!("The least similar vector is at {cosine_min:.4} of 1; {required:.4} is required.")
        }
    }
}

/// Why lending is paused.
pub const fn pause(reason: PauseReason) -> &'static str {
    match reason {
        PauseReason::Battery => "Paused: the device runs on battery. It goes on when it charges.",
        PauseReason::Metered => "Paused: this connection is metered. It goes on when you are on another one.",
        PauseReason::Hidden => "Paused: a phone lends only while the page is open in front.",
        PauseReason::NoModel => "Preparing: the model is not ready yet.",
        PauseReason::Offline => "Paused: the relay cannot be reached, so nobody can find this device.",
        PauseReason::LimitReached => "Paused: the share you set is used up for the moment.",
        PauseReason::Storage => "Paused: this browser refuses to store receipts. Free some space to go on.",
        PauseReason::TierTooLow => "Paused: this device is too small to compute for others.",
    }
}

/// A failure, for people.
pub fn failure(failure: &Failure) -> String {
    sentence(failure)
}

/// What an error says, with a capital letter.
pub fn sentence(error: &impl ToString) -> String {
    let sentence = error.to_string();
    let mut letters = sentence.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What one can do about a failure. What was typed is kept in any case.
pub const fn advice(failure: &Failure) -> &'static str {
    match failure {
        Failure::NoDiscovery => "Check this device's connection. The page keeps trying the relay by itself.",
        Failure::NoProvider | Failure::UnknownModel | Failure::UnknownService => {
            "Open this page on another device and switch lending on under Node, or lend this one. Then ask again."
        }
        Failure::NoProposal { .. } | Failure::Busy | Failure::Paused | Failure::Expired => {
            "Ask again in a moment."
        }
        Failure::NoRoom => "Lend more storage on another device, or keep less.",
        Failure::NotHeld => "Ask for it to be computed.",
        Failure::NotAMember => "Open the group's invitation on this device first.",
        Failure::CreditLimit { .. } => {
            "Earn credits by lending this device. In a group of your own, whoever lends can let you owe more."
        }
        Failure::TooExpensive => "Ask again when there is less demand.",
        Failure::Deadline | Failure::Disconnected => "Ask again; another device may be faster.",
        Failure::WrongResult | Failure::BadSignature | Failure::Protocol { .. } => {
            "Nothing was paid for it. Ask again: a device that answers wrongly loses its reputation."
        }
        Failure::InvalidRequest { .. } => "Shorten the passages and ask again.",
        Failure::Engine { .. } => "Ask again; another device may manage.",
        Failure::Storage => "Free some space in this browser, then ask again.",
        Failure::Cancelled => "Nothing more will be sent. What was signed before stays paid.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen before the program arrives is written in `index.html`; both must say the same, or the page jumps.
    #[test]
    fn the_static_frame_says_what_the_page_says() {
        let frame = include_str!("../../index.html");
        assert!(frame.contains(&format!("<span>{NAME}</span>")));
        assert!(frame.contains(shell::STARTING));
        for open in Page::ALL {
            let link = format!("</span>{}</a>", page(open));
            assert!(
                frame.contains(&link) && frame.contains(&format!("href=\"{}\"", open.href())),
                "{open:?}"
            );
        }
    }

    #[test]
    fn nothing_can_run_inline() {
        let frame = include_str!("../../index.html");
        assert!(!frame.contains("<script") && !frame.contains("<style") && !frame.contains(" style="));
    }
}
