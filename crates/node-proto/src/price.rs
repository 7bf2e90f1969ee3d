//! The price of a service: `base_cost × quality_multiplier × market_demand × reputation_factor`.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// The four factors of a price, as the source document's `calculate_service_value` names them. The last three are
/// dimensionless and in parts per million, so that everyone recomputes the same integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Factors {
    /// Millicredits for the measured work.
    #[n(0)]
    pub base_cost: i64,
    /// Precision and speed promised, parts per million.
    #[n(1)]
    pub quality_multiplier: u32,
    /// The provider's utilisation and the demand it sees, parts per million.
    #[n(2)]
    pub market_demand: u32,
    /// The provider's standing, parts per million.
    #[n(3)]
    pub reputation_factor: u32,
}
