//! The Node page.

use node_proto::capability::Tier;

/// This node's id.
pub const PEER_ID: &str = "This device's id";
/// What it is.
pub const PEER_ID_HINT: &str = "The public key by which others know this device.";
/// Lending.
pub const LEND: &str = "Lend this device";
/// What it means.
pub const LEND_HINT: &str = "It computes for others and keeps encrypted files of theirs while this page is open, also in the background on a desktop, and earns credits.";
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
    format!("Paused: the relay's list of models cannot be had, so there is nothing to compute with: {reason}")
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
/// Downloading; some of it may come from other devices.
pub fn downloading(done: &str, total: &str, from_peers: Option<&str>) -> String {
    match from_peers {
        Some(bytes) => format!("Downloading: {done} of {total}, {bytes} of it from other devices"),
        None => format!("Downloading: {done} of {total}"),
    }
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
/// Out of memory.
pub fn asleep(wakes_in: &str) -> String {
    format!(". Out of memory while nobody asks; back in about {wakes_in}.")
}
/// Ends a download.
pub const STOP: &str = "Stop the download";
/// Refused.
pub fn refused(reason: &str) -> String {
    format!("The model cannot be used here: {reason}")
}
/// What one can bring.
pub const BRING_HINT: &str = "You can bring an ONNX file of your own, with its tokenizer.json and config.json if it reads text. It is checked and measured here, and does not leave this device.";
/// The way in.
pub const BRING: &str = "Bring a model…";
/// One's own arrives.
pub const READING: &str = "Reading the file…";
/// One's own is tried.
pub const CHECKING: &str = "Checking and measuring…";
/// It did not come in.
pub fn not_added(name: &str, reason: &str) -> String {
    format!("{name} was not added. {reason}.")
}
/// None of the chosen files can be a model.
pub const NO_MODEL: &str = "Choose one file whose name ends in .onnx, and what belongs to it.";
/// One's own: size, speed, backend.
pub fn own_facts(size: &str, speed: &str, backend: &str) -> String {
    format!("Yours: {size}, {speed} on {backend}.")
}
/// A speed.
pub fn a_run(took: &str) -> String {
    format!("{took} a run")
}
/// Faster than that.
pub const A_MOMENT: &str = "under 1 ms a run";
/// No speed.
pub const NOT_MEASURED: &str = "not measured";
/// It goes with the page.
pub fn not_kept(reason: &str) -> String {
    format!("Only until this page is closed: the browser did not keep it ({reason}).")
}
/// Asks before it removes one.
pub const REMOVE: &str = "Remove…";
/// Does it.
pub const REMOVE_NOW: &str = "Delete it from this browser";
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
        "cpu" => "processor".to_owned(),
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
/// Paid for within a day.
pub const SOLD: &str = "Sold in the last 24 hours";
/// How many requests.
pub fn sold(number: u32) -> String {
    super::count(number as usize, "request", "requests")
}
/// Earnings.
pub const EARNED: &str = "Earned by it";
/// Time at work.
pub const BUSY: &str = "At work since the page opened";
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
