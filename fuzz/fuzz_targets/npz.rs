#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snapprune_fuzz::npz(bytes));
