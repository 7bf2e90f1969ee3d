#![no_main]
//! See `exercise::message`.

#[path = "../exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| exercise::message(data));
