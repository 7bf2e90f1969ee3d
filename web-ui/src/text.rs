//! Every sentence of the page, in English. A second language is a second file of this shape.
//!
//! Plain words first: what a person who never heard of peers or tiers needs. Terms of the machinery appear only where the
//! machinery is shown.

use node_proto::capability::{PauseReason, Tier};
use node_proto::service::{Failure, Service};
use node_proto::view::Verification;

use crate::route::Page;

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
        Verification::Wrong { .. } => "Checked and wrong: the result is refused and not paid".to_owned(),
    }
}

/// What the check did, for the trade's details.
pub fn verification_detail(verification: &Verification) -> String {
    match verification {
        Verification::Unchecked => "No known answer and no second provider was available.".to_owned(),
        Verification::SpotChecked { probes, cosine_min } => {
            format!(
                "{probes} texts with known answers were hidden among yours; the least similar came back at {cosine_min:.4} of 1."
            )
        }
        Verification::TwoAgree {
            compared,
            probes,
            cosine_min,
            ..
        } => format!(
            "{compared} of your texts were also computed by a second provider, and {probes} known answers were hidden; the least similar pair agrees at {cosine_min:.4} of 1."
        ),
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
        Failure::NotAMember => "Open the group's invitation on this device first.",
        Failure::CreditLimit { .. } => {
            "Earn credits by lending this device, or ask within a group of your own."
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

/// The header and the notices.
pub mod shell {
    /// Shown until the node runs.
    pub const STARTING: &str = "Starting…";
    /// The group of the plain address.
    pub const OPEN_GROUP: &str = "Everyone here";
    /// What the open group means.
    pub const OPEN_GROUP_HINT: &str = "The relay's open group: whoever opens this address is in it.";
    /// A group of one's own.
    pub const OWN_GROUP: &str = "Your group";
    /// What that means.
    pub const OWN_GROUP_HINT: &str = "Only devices that opened the group's invitation are in it.";
    /// The button.
    pub const INVITE: &str = "Invite";
    /// Beside the balance.
    pub const BALANCE: &str = "Balance";
    /// The title of the balance.
    pub fn balance_hint(settled: &str, pending: &str, allowance: &str) -> String {
        format!(
            "{settled} settled, {pending} waiting for the other side's signature. Strangers let a newcomer owe up to {allowance}."
        )
    }
    /// No network.
    pub const OFFLINE: &str = "You are offline. What is kept on this device stays readable; asking and lending go on when the network is back.";
    /// A new version.
    pub const UPDATE: &str = "A new version is ready. Running trades end before you switch; nothing is lost.";
    /// Takes it.
    pub const UPDATE_NOW: &str = "Reload now";
    /// Leaves it.
    pub const UPDATE_LATER: &str = "Later";
    /// A second tab.
    pub const OTHER_TAB: &str = "Your node runs in another tab of this browser. One device is one node: two with one key would spend the same credits twice.";
    /// The node went to another tab.
    pub const TAKEN_OVER: &str = "Your node moved to another tab of this browser.";
    /// Takes it here.
    pub const USE_HERE: &str = "Use it here";
    /// While it moves.
    pub const TAKING_OVER: &str = "Moving it here…";
    /// The node did not start.
    pub fn start_failed(reason: &str) -> String {
        format!("The node did not start: {reason}. What this browser keeps is unchanged.")
    }
    /// Tries again.
    pub const TRY_AGAIN: &str = "Try again";
    /// A temporary identity.
    pub const TEMPORARY_INSECURE: &str = "This address is not secure (http), so the browser keeps no key: identity and balance of this device last until the tab closes. Open the page by https to keep them.";
    /// A browser without locks.
    pub const TEMPORARY_NO_LOCKS: &str = "This browser cannot keep two tabs apart, so identity and balance of this device last until the tab closes.";
    /// Private mode.
    pub const TEMPORARY_NO_STORAGE: &str = "This browser keeps nothing (private mode or a full disk): identity and balance of this device last until the tab closes.";
    /// The browser's settings store refuses.
    pub const NOT_KEPT: &str = "This browser did not keep your texts: they are lost when the tab closes.";
}

/// Who is here.
pub mod presence {
    use super::count;

    /// Everything is as it should be.
    pub fn here(others: usize) -> String {
        match others {
            1 => "You are here. 1 other is here.".to_owned(),
            n => format!("You are here. {n} others are here."),
        }
    }
    /// The first seconds.
    pub const LOOKING: &str = "You are here. Looking for others…";
    /// Found, not yet connected.
    pub fn connecting(others: usize) -> String {
        format!(
            "You are here. Connecting to {}…",
            count(others, "other", "others")
        )
    }
    /// Nobody.
    pub const ALONE: &str =
        "You are here. The relay answers, but nobody else is here yet: press Invite for a link to share.";
    /// No relay.
    pub const NO_RELAY: &str = "The relay does not answer, so nobody can be found. Trying again by itself.";
    /// No direct path.
    pub const NO_DIRECT: &str =
        "Your network blocks direct connections: answers come through the relay, slower.";
    /// No network.
    pub const OFFLINE: &str = "You are offline.";
}

/// The Ask page.
pub mod ask {
    use super::count;

    /// Label of the passages.
    pub const KNOWLEDGE: &str = "What this device knows";
    /// Under the label.
    pub const KNOWLEDGE_HINT: &str = "Paste notes or drop text files. A blank line separates passages. They are kept on this device and leave it only when you ask.";
    /// In the empty field.
    pub const PLACEHOLDER: &str =
        "The spare key hangs behind the fuse box.\n\nThe bin for paper is emptied every second Tuesday.";
    /// The file button.
    pub const ADD_FILES: &str = "Add text files";
    /// Removes a file.
    pub fn remove(name: &str) -> String {
        format!("Remove {name}")
    }
    /// After it was removed.
    pub fn removed(name: &str) -> String {
        format!("{name} was removed.")
    }
    /// Brings it back.
    pub const UNDO: &str = "Undo";
    /// A file could not be kept.
    pub fn not_added(name: &str, reason: &str) -> String {
        format!("{name} was not added: {reason}. Everything else is as it was.")
    }
    /// Larger than the whole store.
    pub fn too_large(limit: &str) -> String {
        format!("it is larger than the {limit} that this device keeps")
    }
    /// The browser could not read it.
    pub const UNREADABLE: &str = "the browser could not read it";
    /// No room.
    pub fn full(room: &str) -> String {
        format!("there is room for {room} more")
    }
    /// Not text.
    pub const NOT_TEXT: &str = "it is not plain text";
    /// Nothing in it.
    pub const EMPTY_FILE: &str = "it is empty";
    /// How much there is.
    pub fn passages(number: usize) -> String {
        count(number, "passage", "passages")
    }
    /// How much of it is asked.
    pub fn too_many(asked: usize, all: usize) -> String {
        format!(
            "One question is compared with {asked} passages at most; the first {asked} of {all} are used."
        )
    }
    /// Label of the question.
    pub const QUESTION: &str = "Your question";
    /// In the empty field.
    pub const QUESTION_PLACEHOLDER: &str = "When does the paper bin go out?";
    /// The button.
    pub const SUBMIT: &str = "Ask";
    /// Gives up.
    pub const CANCEL: &str = "Cancel";
    /// No passages yet.
    pub const NO_PASSAGES: &str = "Add at least one passage first: the answer is found among them.";
    /// No question yet.
    pub const NO_QUESTION: &str = "Write a question first.";
    /// Before text leaves the device.
    pub fn privacy(scope: &str) -> String {
        format!(
            "To answer, the question and the passages are sent to one or two devices in “{scope}”. Their owners could read them; the relay cannot."
        )
    }
    /// Anyone.
    pub const PRIVACY_ANYONE: &str = "To answer, the question and the passages may be sent to any device that offers it, also outside your group. Their owners could read them; the relay cannot.";
    /// Label of the scope.
    pub const SCOPE: &str = "Who may compute it";
    /// Anyone.
    pub const SCOPE_ANYONE: &str = "Anyone";
    /// Waits for the node.
    pub const WAITING: &str = "Waiting until this device is connected…";
    /// Steps' heading.
    pub const STEPS: &str = "What happens";
    /// Discovery.
    pub fn searching(discovery_points: u32) -> String {
        match discovery_points {
            1 => "Asking the relay who can help".to_owned(),
            n => format!("Asking {n} meeting points who can help"),
        }
    }
    /// Candidates.
    pub fn found(candidates: u32, asked: u32) -> String {
        let helpers = count(candidates as usize, "device offers help", "devices offer help");
        if asked == candidates {
            format!("{helpers}; asking for a price")
        } else {
            format!("{helpers}; asking {asked} of them for a price")
        }
    }
    /// Quotes.
    pub fn proposals(quoted: u32, refused: u32, asked: u32) -> String {
        let offers = format!("{quoted} of {asked} offers came back");
        match refused {
            0 => offers,
            n => format!("{offers}, {n} declined"),
        }
    }
    /// The choice.
    pub fn chosen(name: &str, price: &str) -> String {
        format!("Choosing {name}, for {price}")
    }
    /// A counter-offer.
    pub fn countered(name: &str, price: &str) -> String {
        format!("Asking {name} to do it for {price}")
    }
    /// A late provider.
    pub fn hedged(name: &str, price: &str) -> String {
        format!("It takes longer than promised: {name} computes it too, for {price}")
    }
    /// Signed.
    pub fn agreed(name: &str, price: &str, backup: bool) -> String {
        let reserve = if backup { "; another one stands by" } else { "" };
        format!("Agreed with {name}, for {price}{reserve}")
    }
    /// Signed, when it was not said with whom.
    pub const AGREED: &str = "Both sides signed";
    /// Sent.
    pub fn sent(items: u32, bytes: &str) -> String {
        format!(
            "{} on the way ({bytes}); it computes",
            count(items as usize, "text", "texts")
        )
    }
    /// Back.
    pub fn delivered(took: &str) -> String {
        format!("The result came back after {took}")
    }
    /// Paid.
    pub fn receipted(price: &str) -> String {
        format!("Paid {price}; both hold the receipt")
    }
    /// The next one.
    pub fn retrying(name: &str, reason: &str) -> String {
        super::sentence(&format!("{name} did not deliver: {reason}. Trying the next one"))
    }
    /// The answer's heading.
    pub const ANSWER: &str = "Closest passages";
    /// Who, how, how much.
    pub fn by(name: &str, took: &str, price: &str) -> String {
        format!("Computed by {name} in {took} for {price}")
    }
    /// Vectors from before.
    pub fn recalled(passages: usize) -> String {
        let known = count(passages, "passage was", "passages were");
        format!("{known} computed and checked earlier in this visit, so only the rest was sent.")
    }
    /// Beside a score.
    pub const SCORE_HINT: &str = "How close the passage's meaning is to the question's: 1 is the same, 0 is unrelated (cosine similarity).";
    /// A passage from the field.
    pub fn from_pasted(number: usize) -> String {
        format!("your notes, passage {number}")
    }
    /// A passage of a file.
    pub fn from_file(name: &str, number: usize) -> String {
        format!("{name}, passage {number}")
    }
    /// Shows the rest.
    pub fn more(number: usize) -> String {
        format!("Show {}", count(number, "more passage", "more passages"))
    }
    /// The details.
    pub const SHOW_TRADE: &str = "Show the trade";
    /// The vectors cannot be used.
    pub fn bad_answer(reason: &str) -> String {
        format!("The answer cannot be read: {reason}")
    }
    /// Failed heading.
    pub const NO_ANSWER: &str = "No answer";
    /// What is kept.
    pub const KEPT: &str = "Your passages and the question are kept.";
    /// The names of a trade's facts.
    pub const FACT_PRICE: &str = "Price";
    /// Who computed.
    pub const FACT_PROVIDER: &str = "Provider";
    /// How long.
    pub const FACT_TIME: &str = "Time";
    /// From asking to the answer.
    pub fn total_time(took: &str) -> String {
        format!("{took} from asking to the answer")
    }
    /// Checked how.
    pub const FACT_CHECK: &str = "Checked";
    /// Receipt.
    pub const FACT_RECEIPT: &str = "Receipt";
    /// Backend.
    pub const FACT_BACKEND: &str = "Computed with";
    /// The provider's word.
    pub const BACKEND_HINT: &str = "as the provider says; not verified";
    /// Model.
    pub const FACT_MODEL: &str = "Model";
    /// Both halves.
    pub const FULLY_SIGNED: &str = "signed by both sides";
    /// One half.
    pub const HALF_SIGNED: &str = "waiting for the other side's signature";
}

/// The four factors of a price.
pub mod factors {
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
}

/// The Market page.
pub mod market {
    /// Nothing on offer.
    pub const EMPTY: &str = "Nobody offers anything yet. Offers appear here as soon as a device in your group switches lending on: this one under Node, or another one that opens this page.";
    /// Under the heading.
    pub const INTRO: &str = "Prices are for 1,000 tokens, about 750 words. Each is the product of four factors: work × quality × demand × standing.";
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
    pub const SPEED_HINT: &str = "Time for 1,000 tokens, as the provider claims";
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
}

/// The Reputation page.
pub mod reputation {
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
    /// None are kept here.
    pub const NO_RECEIPTS: &str = "No receipt with this peer is among the newest 100.";
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
}

/// The Node page.
pub mod node {
    use node_proto::capability::Tier;

    /// This node's id.
    pub const PEER_ID: &str = "This device's id";
    /// What it is.
    pub const PEER_ID_HINT: &str = "The public key by which others know this device.";
    /// Lending.
    pub const LEND: &str = "Lend this device";
    /// What it means.
    pub const LEND_HINT: &str = "It computes for others while this page is open, also in the background on a desktop, and earns credits.";
    /// Switch is off.
    pub const OFF: &str = "Off. Nobody uses this device.";
    /// Waiting for work.
    pub const LENDING_IDLE: &str = "Lending. Others can find this device; nothing to do right now.";
    /// At work.
    pub fn lending(running: u32) -> String {
        format!(
            "Lending. Working on {} now.",
            super::count(running as usize, "request", "requests")
        )
    }
    /// Registered nowhere yet.
    pub const LENDING_SOON: &str = "Lending. Telling the relay about it…";
    /// The model is on its way.
    pub const PREPARING: &str = "Preparing: the model is not ready yet.";
    /// No model list.
    pub fn no_models(reason: &str) -> String {
        format!(
            "Paused: the relay's list of models cannot be had, so there is nothing to compute with: {reason}"
        )
    }
    /// Limits.
    pub const LIMITS: &str = "Limits";
    /// Compute share.
    pub const COMPUTE: &str = "Processor and graphics";
    /// What a share means.
    pub fn compute_hint(share: u32) -> &'static str {
        match share {
            0..=25 => "you will not notice it",
            26..=60 => "a fan may start",
            _ => "like a video call",
        }
    }
    /// Memory.
    pub const MEMORY: &str = "Memory";
    /// What it means.
    pub fn memory_hint(megabytes: u64) -> &'static str {
        match megabytes {
            0..=400 => "up to as much as a simple browser tab",
            401..=1_100 => "up to as much as one more large browser tab",
            _ => "up to as much as a game or a photo editor",
        }
    }
    /// Storage.
    pub const STORAGE: &str = "Storage";
    /// What it means.
    pub fn storage_hint(megabytes: u64) -> String {
        format!("about {} photos", (megabytes / 4).max(1))
    }
    /// Charging only.
    pub const CHARGING: &str = "Only when charging";
    /// A desktop.
    pub const CHARGING_HINT: &str = "A desktop without battery counts as charging.";
    /// Unmetered only.
    pub const UNMETERED: &str = "Only on unmetered networks";
    /// When the browser does not tell.
    pub const UNMETERED_HINT: &str = "Where the browser does not say, the network counts as unmetered.";
    /// The tier.
    pub const TIER: &str = "What this device is";
    /// Not yet.
    pub const TIER_UNKNOWN: &str = "Being measured…";
    /// What a tier does, and its budget.
    pub const fn tier_role(tier: Tier) -> &'static str {
        match tier {
            Tier::Basic => "Asks others. Keeps to 50 MB of storage and 200 MB of memory.",
            Tier::Standard => "Asks, and computes for others. Keeps to 200 MB of storage and 1 GB of memory.",
            Tier::Power => "Computes for many. Keeps to 500 MB of storage.",
        }
    }
    /// The tier's storage budget in bytes.
    pub const fn tier_storage(tier: Tier) -> u64 {
        match tier {
            Tier::Basic => 50_000_000,
            Tier::Standard => 200_000_000,
            Tier::Power => 500_000_000,
        }
    }
    /// The budget's meter.
    pub fn budget(used: &str, budget: &str) -> String {
        format!("{used} of {budget} storage used")
    }
    /// Services.
    pub const CAN_PROVIDE: &str = "Can provide";
    /// Services of others.
    pub const NEEDS: &str = "Needs from others";
    /// Roles.
    pub const ROLES: &str = "Suits best";
    /// An empty list of services.
    pub const NOTHING: &str = "nothing yet";
    /// The measurements.
    pub const MEASUREMENTS: &str = "Measurements";
    /// Column heads.
    pub const MEASURED: &str = "What";
    /// The reading.
    pub const VALUE: &str = "Value";
    /// Its age.
    pub const AGE: &str = "When";
    /// Taken here.
    pub const HOW_MEASURED: &str = "measured";
    /// A hint.
    pub const HOW_HINT: &str = "the browser's hint";
    /// The five, in order: name, key in test ids, how they are measured.
    pub const FIVE: [(&str, &str, &str); 5] = [
        (
            "Processing",
            "processing",
            "Tokens a second of the reference model on the best backend",
        ),
        ("Memory", "memory", "What this tab may use"),
        (
            "Battery",
            "battery",
            "Charge; a device without battery reports nothing",
        ),
        ("Network", "network", "Round trip to the relay"),
        ("Storage", "storage", "Free space this browser offers"),
    ];
    /// A speed.
    pub fn tokens_per_second(value: f64) -> String {
        if value < 10.0 {
            format!("{value:.1} tokens/s")
        } else {
            format!("{value:.0} tokens/s")
        }
    }
    /// Models.
    pub const MODELS: &str = "Models";
    /// None listed.
    pub const MODELS_EMPTY: &str = "No model list yet: it comes from the relay.";
    /// Loading one.
    pub fn load(size: &str) -> String {
        format!("Download {size}")
    }
    /// Forgets one.
    pub const UNLOAD: &str = "Unload";
    /// Available.
    pub fn available(size: &str, license: &str) -> String {
        format!("Not on this device. Download: {size}. Licence: {license}.")
    }
    /// Downloading.
    pub fn downloading(done: &str, total: &str) -> String {
        format!("Downloading: {done} of {total}")
    }
    /// Checking.
    pub fn verifying(backend: Option<&str>) -> String {
        backend.map_or_else(
            || "Preparing…".to_owned(),
            |name| format!("Checking on {name} against the known answer…"),
        )
    }
    /// Loaded.
    pub fn loaded(backend: &str, speed: f64) -> String {
        format!("Ready on {backend}: {speed:.0} tokens/s")
    }
    /// Refused.
    pub fn refused(reason: &str) -> String {
        format!("The model cannot be used here: {reason}")
    }
    /// Backends.
    pub const BACKENDS: &str = "Backends";
    /// The choice.
    pub const PIN: &str = "Compute with";
    /// The fastest correct one.
    pub const PIN_AUTO: &str = "the fastest that is correct";
    /// Applies at the next load.
    pub const PIN_HINT: &str = "A loaded model is prepared again with your choice.";
    /// A backend's name.
    pub fn backend(slug: &str) -> String {
        match slug {
            "webgpu" => "graphics (WebGPU)".to_owned(),
            "wonnx" => "graphics (WebGPU, wonnx)".to_owned(),
            "tract" => "processor (tract)".to_owned(),
            other => other.to_owned(),
        }
    }
    /// Reproduced the known answer.
    pub fn correct(took: &str, cosine: f32) -> String {
        format!("correct: {took} a run, known answer met at {cosine:.4} of 1")
    }
    /// Did not.
    pub fn backend_refused(reason: &str) -> String {
        format!("refused: {reason}")
    }
    /// Was not tried.
    pub fn not_tried(reason: &str) -> String {
        format!("not tried: {reason}")
    }
    /// The one in use.
    pub const IN_USE: &str = "in use";
    /// Today.
    pub const SERVED: &str = "Served since the page opened";
    /// How many requests.
    pub fn served(number: u32) -> String {
        super::count(number as usize, "request", "requests")
    }
    /// Earnings.
    pub const EARNED: &str = "Earned";
    /// Time at work.
    pub const BUSY: &str = "Time at work";
    /// Credit.
    pub const CREDIT: &str = "Credit";
    /// Settled.
    pub const SETTLED: &str = "Settled";
    /// Pending.
    pub const PENDING: &str = "Waiting for a signature";
    /// Allowance.
    pub const ALLOWANCE: &str = "Newcomer allowance";
    /// What it is.
    pub const ALLOWANCE_HINT: &str = "So far below zero a newcomer may go with strangers.";
    /// Identity is kept.
    pub const KEPT: &str = "Kept in this browser, encrypted with a key that cannot leave it.";
    /// Versions.
    pub fn versions(node: &str, protocol: &str) -> String {
        format!("Version {node}, protocol {protocol}")
    }
    /// What is in this browser.
    pub const STORED: &str = "Stored in this browser";
    /// The usage.
    pub fn stored(used: &str, quota: &str) -> String {
        format!("{used} of {quota} that it offers")
    }
    /// Eviction.
    pub const NOT_PERSISTED: &str = "The browser may clear it when space runs short.";
    /// Ledger failure.
    pub fn ledger_error(reason: &str) -> String {
        format!("The last receipt could not be stored: {reason}. Trades stop until that works again.")
    }
}

/// The Network page.
pub mod network {
    /// No connections.
    pub const EMPTY: &str = "No connections. The relay is tried again by itself.";
    /// The graph's name.
    pub fn graph(peers: usize, servers: usize) -> String {
        format!(
            "This device in the middle, connected to {} and {}",
            super::count(peers, "peer", "peers"),
            super::count(servers, "server", "servers")
        )
    }
    /// Table's caption.
    pub const CONNECTIONS: &str = "Connections";
    /// Column heads.
    pub const PEER: &str = "Who";
    /// Role.
    pub const ROLE: &str = "What";
    /// The relay's role.
    pub const RELAY: &str = "relay";
    /// Any other's.
    pub const NODE: &str = "device";
    /// A member.
    pub const MEMBER: &str = "group member";
    /// Way.
    pub const PATH: &str = "How";
    /// Round trip.
    pub const RTT: &str = "Round trip";
    /// A transport, in words.
    pub fn transport(slug: &str) -> &'static str {
        match slug {
            "webrtc" => "direct (WebRTC)",
            "webrtc-direct" => "server (WebRTC)",
            "websocket" => "server (WebSocket)",
            "relayed" => "through the relay",
            "tcp" => "server (TCP)",
            _ => "another way",
        }
    }
    /// Diagnosis.
    pub const DIAGNOSIS: &str = "Diagnosis";
    /// Fine.
    pub const OK: &str = "Direct connections work.";
    /// Early.
    pub const STARTING: &str = "Connecting to the relay…";
    /// Through the relay so far.
    pub const CONNECTING: &str = "Connected through the relay; a direct connection is being made.";
    /// No network.
    pub const OFFLINE: &str = "No peers because this device is offline.";
    /// No relay.
    pub fn no_relay(detail: &str) -> String {
        format!("No peers because the relay does not answer: {detail}")
    }
    /// Alone.
    pub const ALONE: &str = "No peers because nobody else has this page open in your group. Invite someone.";
    /// Blocked.
    pub fn no_direct(failed: u32, detail: &str) -> String {
        format!(
            "No direct connection because {} failed: {detail}. Answers come through the relay, slower.",
            super::count(failed as usize, "attempt", "attempts")
        )
    }
    /// The relay's state.
    pub const RELAY_HEADING: &str = "Relay";
    /// Being made.
    pub fn relay_connecting(attempt: u32) -> String {
        match attempt {
            0 | 1 => "connecting…".to_owned(),
            n => format!("connecting, attempt {n}…"),
        }
    }
    /// It stands.
    pub const RELAY_CONNECTED: &str = "connected; not reachable for others yet";
    /// All is well.
    pub const RELAY_RESERVED: &str = "connected; others can reach this device through it";
    /// Next attempt.
    pub fn relay_waiting(attempt: u32, delay: &str, reason: &str) -> String {
        format!("attempt {attempt} failed ({reason}); the next one in {delay}")
    }
    /// Try now.
    pub const RECONNECT: &str = "Try now";
    /// Discovery.
    pub const MEETING_POINTS: &str = "Meeting points";
    /// Members.
    pub const MEMBERS: &str = "Members seen";
    /// By hand.
    pub const DIAL: &str = "Connect by address";
    /// What an address is.
    pub const DIAL_HINT: &str = "A multiaddress, for example /dns4/relay.example/tcp/443/wss/p2p/12D3KooW…";
    /// Label.
    pub const ADDRESS: &str = "Address";
    /// The button.
    pub const DIAL_SUBMIT: &str = "Connect";
    /// At work.
    pub const DIALLING: &str = "Connecting…";
    /// Done.
    pub fn dialled(name: &str) -> String {
        format!("Connected to {name}.")
    }
}

/// The invitation.
pub mod invite {
    /// Title.
    pub const TITLE: &str = "Invite to your group";
    /// The secret.
    pub const HINT: &str = "Whoever opens this link, on any device, is in your group. Its secret is the part behind #, which is never sent to a server: show it only to those you mean.";
    /// Label of the link.
    pub const LINK: &str = "Link";
    /// Copies it.
    pub const COPY: &str = "Copy";
    /// Done.
    pub const COPIED: &str = "Copied.";
    /// The clipboard refused.
    pub const COPY_FAILED: &str = "The browser did not allow copying: select the link and copy it by hand.";
    /// Shares it.
    pub const SHARE: &str = "Share…";
    /// The picture's name.
    pub const QR: &str = "QR code of the link";
    /// The plain address.
    pub const OPEN_HINT: &str = "The plain address, without the part behind #, leads to the relay's open group: whoever opens it sees and answers the others there.";
    /// Back.
    pub const LEAVE: &str = "Leave your group, back to everyone here";
    /// After leaving.
    pub const LEFT: &str =
        "You are with everyone here again. Whoever has the invitation is still in the group.";
    /// The way back.
    pub const UNDO: &str = "Back to the group";
    /// No way back.
    pub const FORGET: &str = "Forget it";
    /// localhost.
    pub const LOCAL_ONLY: &str = "This address works on this machine only. Start the relay with --lan to invite phones and other computers.";
    /// No plain http on phones.
    pub const INSECURE: &str = "This address is not secure (http): browsers on other devices will not keep a key or use graphics there.";
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
