//! my-filter: greets the upstream and the client with a header, and turns away who asks for it.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::<Root>::default());
}}

/// One for each guest: reads the configuration, and makes a filter for each request.
#[derive(Default)]
struct Root {
    greeting: String,
}

impl Context for Root {}

impl RootContext for Root {
    /// Reads `config` of the filter in sluice.yaml. A version that answers false never serves.
    fn on_configure(&mut self, _size: usize) -> bool {
        match String::from_utf8(self.get_plugin_configuration().unwrap_or_default()) {
            Ok(greeting) if !greeting.is_empty() => self.greeting = greeting,
            _ => {
                log::error!("`config` has to be the text of a greeting");
                return false;
            }
        }
        log::info!("greets with \"{}\"", self.greeting);
        true
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter { greeting: self.greeting.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// One for each request.
struct Filter {
    greeting: String,
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        if self.get_http_request_header_bytes("x-deny").is_some() {
            self.send_http_response(403, vec![("content-type", "text/plain")], Some(b"denied\n"));
            return Action::Pause;
        }
        self.set_http_request_header("x-greeting", Some(&self.greeting));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.set_http_response_header("x-greeting", Some(&self.greeting));
        Action::Continue
    }
}
