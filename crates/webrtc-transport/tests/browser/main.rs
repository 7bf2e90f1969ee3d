//! The browser's half of the transport, in a real browser: both ends in one page.
#![cfg(target_family = "wasm")]
// The lints know `#[test]`, but not the helpers of these tests.
#![allow(clippy::unwrap_used, clippy::panic)]

mod raw;
mod sessions;
mod streams;
mod support;
mod swarms;

use wasm_bindgen_test::wasm_bindgen_test_configure;

wasm_bindgen_test_configure!(run_in_browser);
