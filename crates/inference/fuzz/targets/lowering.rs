#![no_main]
//! See `exercise::lowering`.

#[path = "../exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|file: &[u8]| exercise::lowering(file));
