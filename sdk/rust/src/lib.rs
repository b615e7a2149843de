//! Write Proxy-Wasm HTTP filters in Rust: typed configuration, headers as bytes, answers as values.
//!
//! ```ignore
//! use sluice_sdk::{Config, Filter, Flow, Headers, filter};
//!
//! #[derive(serde::Deserialize)]
//! struct Settings { greeting: String }
//!
//! struct Hello(Config<Settings>);
//!
//! impl Filter for Hello {
//!     type Settings = Settings;
//!     fn begin(settings: Config<Settings>) -> Self { Hello(settings) }
//!     fn on_request_headers(&mut self, headers: &Headers, _end: bool) -> Flow {
//!         headers.set("x-hello", &self.0.greeting);
//!         Flow::Continue
//!     }
//! }
//!
//! filter!(Hello);
//! ```
//!
//! It is a thin layer over the `proxy-wasm` crate and keeps nothing from you: every hostcall is still there under
//! [`proxy_wasm::hostcalls`], and a filter that outgrows [`Filter`] can implement the traits of that crate instead.

mod filter;
mod message;

pub use filter::{Config, Filter, Flow, install};
pub use log;
pub use message::{Body, Headers, Response};
pub use proxy_wasm;
pub use serde;
pub use serde_json;

/// Makes a [`Filter`] the one this module runs. Call it once, at the top level of the crate.
#[macro_export]
macro_rules! filter {
    ($filter:ty) => {
        $crate::proxy_wasm::main! {{ $crate::install::<$filter>(); }}
    };
}
