//! The module's side of the computation service: a function from bytes to bytes, or to a message for who sent them.
//!
//! ```ignore
//! guest::entry!(|input| Ok(input.to_ascii_uppercase()));
//! ```
//!
//! The convention is that of the crate `computation`: `alloc` gives a place for the input, and `run` takes place and length
//! and answers with place and length of the result, the top bit set if it is a message.

/// What a module makes of its input.
pub type Answer = Result<Vec<u8>, String>;

/// Makes a function from `&[u8]` to [`Answer`] the one that the module computes.
#[macro_export]
macro_rules! entry {
    ($compute:expr) => {
        /// A place for so many bytes of input.
        #[unsafe(no_mangle)]
        pub extern "C" fn alloc(length: usize) -> *mut u8 {
            $crate::reserve(length)
        }

        /// Computes what is at the place.
        ///
        /// # Safety
        /// The place is one that `alloc` gave for this length, and nobody uses it any more.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn run(place: *mut u8, length: usize) -> u64 {
            // SAFETY: the same is asked of the caller here.
            unsafe { $crate::answer(place, length, $compute) }
        }
    };
}

/// Reserves a place for an input.
#[must_use]
pub fn reserve(length: usize) -> *mut u8 {
    Box::leak(vec![0; length].into_boxed_slice()).as_mut_ptr()
}

/// Computes, and says where the result is: its place in the high half, its length in the low one, and the top bit for a message.
///
/// # Safety
/// The place is one that [`reserve`] gave for this length, and nobody uses it any more.
pub unsafe fn answer(place: *mut u8, length: usize, compute: impl FnOnce(&[u8]) -> Answer) -> u64 {
    // SAFETY: the caller says that this is the whole of what `reserve` leaked.
    let input = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(place, length)) };
    let (message, bytes) = match compute(&input) {
        Ok(bytes) => (0, bytes),
        Err(message) => (1 << 63, message.into_bytes()),
    };
    let bytes = Box::leak(bytes.into_boxed_slice());
    message | (bytes.as_ptr() as u64) << 32 | bytes.len() as u64
}
