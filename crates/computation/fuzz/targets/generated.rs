#![no_main]
//! See `exercise::generated`.

#[path = "../exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| exercise::generated(data));
