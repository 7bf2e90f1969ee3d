#![no_main]
//! See `exercise::reader`.

#[path = "../exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|file: &[u8]| exercise::reader(file));
