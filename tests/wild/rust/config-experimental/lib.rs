//! The filter http_config of the crate proxy-wasm-experimental 0.0.8, as it is published.
include!(concat!(env!("WILD_EXPERIMENTAL"), "/examples/http_config.rs"));
