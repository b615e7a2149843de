//! The trait a filter implements, and the contexts of the `proxy-wasm` crate that drive it.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MapType};
use serde::de::DeserializeOwned;

use crate::message::{Body, Headers, Response};

/// The configuration in force when an exchange began, shared by all its callbacks.
pub type Config<S> = Rc<S>;

/// What happens to the exchange after a callback.
pub enum Flow {
    /// Goes on, with the changes that the callback made.
    Continue,
    /// Waits. A paused body is buffered, and each further chunk calls again with the whole of it.
    Pause,
    /// Ends here: this response goes to the client, and the request no further.
    Respond(Response),
}

/// An HTTP filter: one value for each exchange, dropped at its end.
pub trait Filter: Sized + 'static {
    /// What the JSON of the filter's configuration is read into; an empty configuration reads as `{}`.
    type Settings: DeserializeOwned + 'static;

    /// Looks at a new configuration before any exchange sees it. `Err` refuses it, and the proxy keeps the old one.
    fn configure(_settings: &Self::Settings) -> Result<(), String> {
        Ok(())
    }

    /// Begins one exchange.
    fn begin(settings: Config<Self::Settings>) -> Self;

    /// The request line (as `:method`, `:path`, `:authority`, `:scheme`) and headers; `end` when no body follows.
    fn on_request_headers(&mut self, _headers: &Headers, _end: bool) -> Flow {
        Flow::Continue
    }

    /// Request bytes readable now; `end` with the last of them when no trailers follow.
    fn on_request_body(&mut self, _body: &Body, _end: bool) -> Flow {
        Flow::Continue
    }

    /// The request's trailers, after its body.
    fn on_request_trailers(&mut self, _trailers: &Headers) -> Flow {
        Flow::Continue
    }

    /// The response's status (as `:status`) and headers; `end` when no body follows.
    fn on_response_headers(&mut self, _headers: &Headers, _end: bool) -> Flow {
        Flow::Continue
    }

    /// Response bytes readable now; `end` with the last of them when no trailers follow.
    fn on_response_body(&mut self, _body: &Body, _end: bool) -> Flow {
        Flow::Continue
    }

    /// The response's trailers, after its body.
    fn on_response_trailers(&mut self, _trailers: &Headers) -> Flow {
        Flow::Continue
    }

    /// The exchange is over; the headers of both sides can still be read.
    fn on_log(&mut self, _request: &Headers, _response: &Headers) {}
}

/// Registers a filter with the `proxy-wasm` crate; [`filter!`](crate::filter!) calls it.
pub fn install<F: Filter>() {
    // The host drops what is below its own level, and can raise that level while it runs.
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root::<F> { settings: None }));
}

struct Root<F: Filter> {
    settings: Option<Config<F::Settings>>,
}

impl<F: Filter> Context for Root<F> {}

impl<F: Filter> RootContext for Root<F> {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let checked = parse::<F::Settings>(&text).and_then(|settings| {
            F::configure(&settings)?;
            Ok(settings)
        });
        match checked {
            Ok(settings) => {
                self.settings = Some(Rc::new(settings));
                true
            }
            Err(why) => {
                log::error!("configuration refused: {why}");
                false
            }
        }
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        let settings = self.settings.clone()?;
        Some(Box::new(Stream(F::begin(settings))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

// `null` is for filters whose settings are `()`.
fn parse<S: DeserializeOwned>(text: &[u8]) -> Result<S, String> {
    let parsed = if text.trim_ascii().is_empty() {
        serde_json::from_slice(b"{}").or_else(|why| serde_json::from_slice(b"null").map_err(|_| why))
    } else {
        serde_json::from_slice(text)
    };
    parsed.map_err(|why| why.to_string())
}

struct Stream<F>(F);

fn act(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Pause => Action::Pause,
        Flow::Respond(response) => {
            response.send();
            Action::Pause
        }
    }
}

impl<F: Filter> Context for Stream<F> {}

impl<F: Filter> HttpContext for Stream<F> {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        act(self.0.on_request_headers(&Headers::new(MapType::HttpRequestHeaders), end))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        act(self.0.on_request_body(&Body::request(size), end))
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        act(self.0.on_request_trailers(&Headers::new(MapType::HttpRequestTrailers)))
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        act(self.0.on_response_headers(&Headers::new(MapType::HttpResponseHeaders), end))
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        act(self.0.on_response_body(&Body::response(size), end))
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        act(self.0.on_response_trailers(&Headers::new(MapType::HttpResponseTrailers)))
    }

    fn on_log(&mut self) {
        self.0.on_log(&Headers::new(MapType::HttpRequestHeaders), &Headers::new(MapType::HttpResponseHeaders));
    }
}
