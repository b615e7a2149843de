//! Gives every request an id that the upstream, the client and the logs share.

use sluice_sdk::serde::Deserialize;
use sluice_sdk::{Config, Filter, Flow, Headers, filter, log};

#[derive(Deserialize)]
#[serde(crate = "sluice_sdk::serde", deny_unknown_fields)]
struct Settings {
    #[serde(default = "name")]
    header: String,
}

fn name() -> String {
    "x-request-id".into()
}

struct RequestId {
    settings: Config<Settings>,
    id: String,
}

impl Filter for RequestId {
    type Settings = Settings;

    fn configure(settings: &Settings) -> Result<(), String> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if settings.header.is_empty() || !settings.header.bytes().all(token) {
            return Err(format!("\"{}\" is no header name", settings.header));
        }
        Ok(())
    }

    fn begin(settings: Config<Settings>) -> Self {
        RequestId { settings, id: String::new() }
    }

    fn on_request_headers(&mut self, headers: &Headers, _end: bool) -> Flow {
        match headers.get(&self.settings.header) {
            Some(id) if !id.is_empty() => self.id = id,
            _ => {
                self.id = fresh();
                headers.set(&self.settings.header, &self.id);
            }
        }
        Flow::Continue
    }

    fn on_response_headers(&mut self, headers: &Headers, _end: bool) -> Flow {
        // Empty when the response was given before the request came here: then there is no id to tell.
        if !self.id.is_empty() {
            headers.set(&self.settings.header, &self.id);
        }
        Flow::Continue
    }
}

/// A random UUID (version 4). Asked of the host each time, not of a generator seeded at start: where every request
/// gets a copy of one started guest, all copies would draw the same numbers.
fn fresh() -> String {
    let mut bytes = [0; 16];
    if let Err(why) = getrandom::fill(&mut bytes) {
        log::warn!("no random numbers from the host: {why}");
    }
    let bits = u128::from_be_bytes(bytes);
    let bits = bits & !(0xf000 << 64) & !(0xc000 << 48) | (0x4000 << 64) | (0x8000 << 48);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

filter!(RequestId);
