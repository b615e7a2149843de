//! The filter http_auth_random of the crate proxy-wasm 0.1.4, as it is published.
include!(concat!(env!("WILD_0_1"), "/examples/http_auth_random.rs"));
