//! Chance from the operating system, one call for each draw: whoever knew a seed would know the pool.

use anyhow::{Result, anyhow};

/// A number below `bound`, which must not be 0. The bias of at most `bound / 2^64` does not matter here.
pub(crate) fn below(bound: usize) -> Result<usize> {
    Ok(((u128::from(random()?) * bound as u128) >> 64) as usize)
}

/// A number from 0 to 1.
pub(crate) fn unit() -> Result<f64> {
    Ok(random()? as f64 / u64::MAX as f64)
}

/// Puts items into random order.
pub(crate) fn shuffle<T>(items: &mut [T]) -> Result<()> {
    for place in (1..items.len()).rev() {
        items.swap(place, below(place + 1)?);
    }
    Ok(())
}

fn random() -> Result<u64> {
    getrandom::u64().map_err(|error| anyhow!("the operating system gives no random numbers: {error}"))
}
