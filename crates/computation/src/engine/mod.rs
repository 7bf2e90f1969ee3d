//! Runs a metered module. What calls what, and what is checked when, is here and the same everywhere; an engine
//! only calls, reads and writes.
//!
//! The twins `native` (wasmi, an interpreter) and `browser` (the browser's own engine, in a worker) have one
//! signature: `Compiled::new(wasm)`, `Compiled::instantiate()`, and what [`Instance`] asks for.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::browser::Compiled;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::native::Compiled;

use crate::instrument::stop;
use crate::limits::Limits;
use crate::outcome::{Ending, Failure, Outcome, Trap};
use crate::refusal::quote;
use crate::weights;

/// A module in memory of its own, before or while it runs.
pub(crate) trait Instance {
    /// Fills the tank.
    fn set_fuel(&mut self, units: i64) -> Result<(), Halt>;
    /// What is left of it.
    fn fuel(&mut self) -> Result<i64, Halt>;
    /// Why the meters ended the run.
    fn stop(&mut self) -> Result<i32, Halt>;
    /// The module's `alloc`.
    fn alloc(&mut self, length: u32) -> Result<u32, Halt>;
    /// The module's `run`.
    fn run(&mut self, place: u32, length: u32) -> Result<i64, Halt>;
    /// Bytes of its memory.
    fn memory_bytes(&mut self) -> Result<usize, Halt>;
    /// Writes into its memory, where there is room.
    fn write(&mut self, place: usize, bytes: &[u8]) -> Result<(), Halt>;
    /// Reads from its memory, where there is as much.
    fn read(&mut self, place: usize, length: usize) -> Result<Vec<u8>, Halt>;
}

/// Why an engine did not return.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The module trapped.
    Trap(Trap),
    /// The engine could not go on.
    Machine(String),
}

/// Runs an instance once. It is not to be used again.
pub(crate) fn run(
    instance: &mut impl Instance,
    input: &[u8],
    fuel: u64,
    start_units: u64,
    limits: &Limits,
) -> Outcome {
    if input.len() > limits.input_bytes_max {
        return Outcome::unused(Failure::InputTooLong);
    }
    let fuel = fuel.min(limits.fuel_max);
    let upfront = start_units.saturating_add(weights::moving(input.len()));
    let Some(tank) = fuel.checked_sub(upfront) else {
        return Outcome {
            fuel_used: fuel,
            ending: Ending::Failed(Failure::OutOfFuel),
        };
    };
    let ended = call(instance, input, tank, limits);
    settle(instance, ended, fuel)
}

fn call(
    instance: &mut impl Instance,
    input: &[u8],
    tank: u64,
    limits: &Limits,
) -> Result<Result<Vec<u8>, Failure>, Halt> {
    // At most `fuel_max`, which is far from 63 bits.
    instance.set_fuel(i64::try_from(tank).unwrap_or(i64::MAX))?;
    // At most `input_bytes_max`, which fits into the memory.
    let length = u32::try_from(input.len()).unwrap_or(u32::MAX);
    let place = instance.alloc(length)?;
    // In 64 bits: a place may be the last of 32.
    if u64::from(place) + u64::from(length) > instance.memory_bytes()? as u64 {
        return Ok(Err(Failure::BadPlace));
    }
    instance.write(place as usize, input)?;
    let result = instance.run(place, length)?;
    let (message, place, length) = unpack(result);
    let most = if message {
        limits.message_bytes_max
    } else {
        limits.output_bytes_max
    };
    if length > most {
        return Ok(Err(Failure::OutputTooLong));
    }
    if place + length > instance.memory_bytes()? {
        return Ok(Err(Failure::BadPlace));
    }
    let bytes = instance.read(place, length)?;
    Ok(if message {
        Err(Failure::Refused(String::from_utf8_lossy(&bytes).into_owned()))
    } else {
        Ok(bytes)
    })
}

/// The top bit marks a message; then 31 bits of place and 32 of length.
fn unpack(result: i64) -> (bool, usize, usize) {
    let bits = result.cast_unsigned();
    let place = (bits >> 32) & 0x7fff_ffff;
    let length = bits & 0xffff_ffff;
    // A memory has at most 2 GiB, and what does not fit into its addresses is refused as too long.
    let narrow = |value: u64| usize::try_from(value).unwrap_or(usize::MAX / 4);
    (result < 0, narrow(place), narrow(length))
}

/// Says what happened from what the meters and the engine say.
fn settle(instance: &mut impl Instance, ended: Result<Result<Vec<u8>, Failure>, Halt>, fuel: u64) -> Outcome {
    let (left, stop) = match (instance.fuel(), instance.stop()) {
        (Ok(left), Ok(stop)) => (left, stop),
        (Err(halt), _) | (_, Err(halt)) => return Outcome::unused(machine(halt)),
    };
    let ending = match ended {
        Err(Halt::Machine(reason)) => return Outcome::unused(Failure::Machine(quote(&reason))),
        Err(Halt::Trap(_)) if stop == stop::HOST_MEMORY => {
            return Outcome::unused(Failure::Machine("it has no memory to give".into()));
        }
        // Code may run a little beyond its fuel before it is stopped: however that ends, it was too little.
        _ if left < 0 => Ending::Failed(Failure::OutOfFuel),
        Err(Halt::Trap(trap)) => Ending::Failed(match stop {
            stop::FUEL => Failure::OutOfFuel,
            stop::DEPTH => Failure::CallDepth,
            stop::GAVE_UP => Failure::Trap(Trap::Unreachable),
            stop::GAVE_UP_WITHOUT_MEMORY => Failure::MemoryLimit,
            _ => Failure::Trap(trap),
        }),
        Ok(Err(failure)) => Ending::Failed(failure),
        Ok(Ok(output)) => Ending::Output(output),
    };
    Outcome {
        fuel_used: fuel.saturating_sub(u64::try_from(left).unwrap_or(0)),
        ending,
    }
}

fn machine(halt: Halt) -> Failure {
    match halt {
        Halt::Machine(reason) => Failure::Machine(quote(&reason)),
        Halt::Trap(trap) => Failure::Machine(trap.to_string()),
    }
}
