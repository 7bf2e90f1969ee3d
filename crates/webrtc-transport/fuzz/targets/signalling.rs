#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| webrtc_transport::fuzzing::signalling(bytes));
