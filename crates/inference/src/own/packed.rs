//! Questions and answers as bytes inside the protocol's messages.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::EngineError;

/// Bytes of a message.
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a browser has workers")
)]
pub(crate) fn pack(message: &impl Serialize) -> Result<Vec<u8>, EngineError> {
    bincode::serialize(message).map_err(|error| EngineError::Input(format!("it cannot be sent: {error}")))
}

/// The message of bytes.
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only a browser has workers")
)]
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EngineError> {
    bincode::deserialize(bytes).map_err(|error| EngineError::Input(format!("it cannot be read: {error}")))
}
