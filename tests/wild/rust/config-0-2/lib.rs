//! The filter http_config of the crate proxy-wasm 0.2.0, as it is published.
include!(concat!(env!("WILD_0_2"), "/examples/http_config.rs"));
