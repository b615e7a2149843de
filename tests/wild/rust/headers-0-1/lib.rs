//! The filter http_headers of the crate proxy-wasm 0.1.4, as it is published.
include!(concat!(env!("WILD_0_1"), "/examples/http_headers.rs"));
