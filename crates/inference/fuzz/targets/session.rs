#![no_main]
//! See `exercise::session`.

#[path = "../exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|file: &[u8]| exercise::session(file));
