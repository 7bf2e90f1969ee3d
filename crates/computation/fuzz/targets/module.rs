#![no_main]
//! See `exercise::module`.

#[path = "../exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| exercise::module(data));
