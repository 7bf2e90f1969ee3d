//! The Ask page.

use super::count;

/// Label of the passages.
pub const KNOWLEDGE: &str = "What this device knows";
/// Under the label.
pub const KNOWLEDGE_HINT: &str = "Write notes, or drop text, Markdown or HTML files. They are kept on this device. Each passage is sent once to be made searchable, when you ask.";
/// In the empty field.
pub const PLACEHOLDER: &str =
    "The spare key hangs behind the fuse box.\n\nThe bin for paper is emptied every second Tuesday.";
/// Takes the notes in.
pub const ADD_NOTES: &str = "Add these notes";
/// A document without a title.
pub const NOTES: &str = "Notes";
/// It lasts as long as the page.
pub fn unkept(reason: &str) -> String {
    format!("Only until this page is closed: {reason}")
}
/// The module did not come.
pub fn no_library(reason: &str) -> String {
    format!("What this device knows cannot be opened: {reason}. Reload the page to try again.")
}
/// Too early.
pub const NOT_OPEN: &str = "what this device knows is not open yet";
/// More waits than a question takes along.
pub fn waiting(waiting: usize, along: usize) -> String {
    format!(
        "{} not searchable yet: each question makes {along} more so, or all can be prepared now.",
        count(waiting, "passage is", "passages are")
    )
}
/// Embeds all.
pub const PREPARE: &str = "Make all searchable";
/// Its vectors are not kept.
pub const NOT_CHECKED: &str =
    "What came back could not be checked, so nothing of it is kept. Try again when more devices lend.";
/// How far that is.
pub fn preparing(done: usize, all: usize) -> String {
    format!("Made searchable: {done} of {all}")
}
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
    format!("it is larger than {limit}")
}
/// The browser could not read it.
pub const UNREADABLE: &str = "the browser could not read it";
/// Not text.
pub const NOT_TEXT: &str = "it is not plain text";
/// How much there is.
pub fn passages(number: usize) -> String {
    count(number, "passage", "passages")
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
        "To answer, the question, and passages that were never sent before, go to one or two devices in “{scope}”. Their owners could read them; the relay cannot."
    )
}
/// Anyone.
pub const PRIVACY_ANYONE: &str = "To answer, the question, and passages that were never sent before, may go to any device that offers it, also outside your group. Their owners could read them; the relay cannot.";
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
/// Strangers first compute a little.
pub fn trying(providers: u32) -> String {
    format!("{providers} that are new to you compute one text each: who is right, and quick?")
}
/// Nobody has room, or only for more than is to be spent.
pub const ALL_BUSY: &str = "Everyone is busy just now: asking again in a moment";
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
/// The same where nothing was computed.
pub fn kept_by(name: &str, took: &str, price: &str) -> String {
    format!("Kept by {name}, here in {took} for {price}")
}
/// Vectors from before.
pub fn recalled(passages: usize) -> String {
    let known = count(passages, "passage was", "passages were");
    format!("{known} computed and checked earlier, so only the rest was sent.")
}
/// Beside a score.
pub const SCORE_HINT: &str = "How close the passage's meaning is to the question's: 1 is the same, 0 is unrelated (cosine similarity).";
/// Where a passage is from: a file's title or the notes, its place, and the headings above it.
pub fn source(title: &str, number: u32, context: &str) -> String {
    let title = if title.is_empty() { "your notes" } else { title };
    match context {
        "" => format!("{title}, passage {number}"),
        context => format!("{title}, {context}, passage {number}"),
    }
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
