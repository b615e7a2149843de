//! Gives bytes to `sluice_fuzz::module`, as libFuzzer chooses them.

#![no_main]
#![allow(missing_docs, unsafe_code, reason = "what the macro makes")]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluice_fuzz::module(data));
