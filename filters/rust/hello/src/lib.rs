//! Greets the upstream and the client with a header: the smallest filter that does something.

use sluice_sdk::serde::Deserialize;
use sluice_sdk::{Config, Filter, Flow, Headers, filter, log};

const NAME: &str = "x-hello-rust";

#[derive(Deserialize)]
#[serde(crate = "sluice_sdk::serde", deny_unknown_fields)]
struct Settings {
    greeting: String,
}

struct Hello(Config<Settings>);

impl Filter for Hello {
    type Settings = Settings;

    fn configure(settings: &Settings) -> Result<(), String> {
        if !settings.greeting.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
            return Err("the greeting goes into a header, so it cannot hold control characters".into());
        }
        log::info!("hello from Rust: greeting is \"{}\"", settings.greeting);
        Ok(())
    }

    fn begin(settings: Config<Settings>) -> Self {
        Hello(settings)
    }

    fn on_request_headers(&mut self, headers: &Headers, _end: bool) -> Flow {
        headers.add(NAME, &self.0.greeting);
        Flow::Continue
    }

    fn on_response_headers(&mut self, headers: &Headers, _end: bool) -> Flow {
        headers.add(NAME, &self.0.greeting);
        Flow::Continue
    }
}

filter!(Hello);
