//! What the meters write when they end a run.

pub(crate) const NONE: i32 = 0;
pub(crate) const FUEL: i32 = 1;
pub(crate) const DEPTH: i32 = 2;
pub(crate) const HOST_MEMORY: i32 = 3;
/// The module executed `unreachable`.
pub(crate) const GAVE_UP: i32 = 4;
/// The same after it was refused memory.
pub(crate) const GAVE_UP_WITHOUT_MEMORY: i32 = GAVE_UP + 1;
