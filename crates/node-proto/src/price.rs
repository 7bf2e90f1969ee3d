//! The price of a service: `base_cost × quality_multiplier × market_demand × reputation_factor`.

use serde::{Deserialize, Serialize};

/// The four factors of a price, as the source document's `calculate_service_value` names them. The last three are
/// dimensionless and in parts per million, so that everyone recomputes the same integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factors {
    /// Millicredits for the measured work.
    pub base_cost: i64,
    /// Precision and speed promised, parts per million.
    pub quality_multiplier: u32,
    /// The provider's utilisation and the demand it sees, parts per million.
    pub market_demand: u32,
    /// The provider's standing, parts per million.
    pub reputation_factor: u32,
}
