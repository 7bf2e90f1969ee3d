//! What a device can do: five measurements, the tier that follows, and the limits its owner sets.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;
use crate::service::Service;

/// The three classes of device in the source document.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Tier {
    /// Phone level: consumes; 50 MB on disk, 200 MB of memory.
    #[n(0)]
    Basic = 0,
    /// Mid-range: stores and serves; 200 MB on disk, 1 GB of memory.
    #[n(1)]
    Standard = 1,
    /// Laptop and up: primary provider; 500 MB on disk.
    #[n(2)]
    Power = 2,
}

/// One reading and its age. Unknown is `None` at the place of use, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// In the unit that the field names.
    pub value: f64,
    /// When it was taken.
    pub at: Timestamp,
    /// Measured here, or only a hint from the browser.
    pub measured: bool,
}

/// What the shell measured. A `None` field leaves the former reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurements {
    /// Tokens a second of the reference model on the best backend; before a model is loaded, of the micro-benchmark scaled.
    pub processing_tokens_per_s: Option<Reading>,
    /// Memory the tab may use, bytes.
    pub memory_bytes: Option<Reading>,
    /// Charge, 0..=1; a device without battery reports nothing.
    pub battery_level: Option<Reading>,
    /// Round trip to the nearest discovery point, milliseconds.
    pub network_rtt_ms: Option<Reading>,
    /// Free storage quota, bytes.
    pub storage_bytes: Option<Reading>,
}

/// What changes by the minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// On mains; `None` when the browser does not say.
    pub charging: Option<bool>,
    /// A metered connection; `None` when the browser does not say.
    pub metered: Option<bool>,
    /// The page is in the background.
    pub hidden: bool,
    /// A phone or tablet (lending in the background is for desktops).
    pub mobile: bool,
}

/// The lending switch and its limits, as the person set them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LendPolicy {
    /// The switch.
    pub enabled: bool,
    /// Share of processor and graphics time, 0..=1.
    pub compute_share: f32,
    /// Memory for engines, bytes.
    pub memory_bytes: u64,
    /// Storage for models and others' data, bytes.
    pub storage_bytes: u64,
    /// Pause on battery.
    pub only_charging: bool,
    /// Pause on a metered connection.
    pub only_unmetered: bool,
}

impl Default for LendPolicy {
    fn default() -> Self {
        Self {
            enabled: false,
            compute_share: 0.5,
            memory_bytes: 1 << 30,
            storage_bytes: 500_000_000,
            only_charging: true,
            only_unmetered: true,
        }
    }
}

/// Why lending is paused although it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// Running on battery.
    Battery,
    /// On a metered connection.
    Metered,
    /// A phone's page is in the background.
    Hidden,
    /// No model is loaded yet.
    NoModel,
    /// No discovery point can be reached.
    Offline,
    /// The compute share is used up for the moment.
    LimitReached,
    /// Storage refuses writes, so no receipt could be kept.
    Storage,
    /// The tier is too low to provide anything.
    TierTooLow,
}

/// Measurements and what follows from them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capability {
    /// The readings.
    pub measurements: Measurements,
    /// What this device can provide (`determine_serviceable_tasks` of the source document).
    pub can_provide: Vec<Service>,
    /// What it needs from others (`determine_needed_services`).
    pub need_provider: Vec<Service>,
    /// The roles that suit it best (`calculate_optimal_roles`), best first.
    pub optimal_roles: Vec<Service>,
}
