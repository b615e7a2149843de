//! What a proxy does with each request on top of passing it on: the chains that are measured, the same for all hosts.

use std::path::PathBuf;

use sluice_benches::root;

/// One filter of a chain.
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) module: PathBuf,
    pub(crate) config: &'static str,
}

/// A chain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Nothing,
    /// So many filters that do nothing.
    Noop(usize),
    /// So many filters that read a header and set one, on both ways.
    Tag(usize),
    /// One filter in Go that adds a header, on both ways.
    Go,
    /// One filter that holds the response's body and writes it anew in capitals.
    Body,
    /// One filter that holds the request until a call to the backend is answered.
    Callout,
}

impl Work {
    pub(crate) fn filters(self) -> Vec<Filter> {
        let many = |count: usize, module: &str, config: &'static str| -> Vec<Filter> {
            let one = |n| Filter { name: format!("f{n}"), module: module_path(module), config };
            (1..=count).map(one).collect()
        };
        match self {
            Self::Nothing => Vec::new(),
            Self::Noop(count) => many(count, ".build/fixtures/noop.wasm", ""),
            Self::Tag(count) => many(count, ".build/fixtures/tag.wasm", "tag"),
            Self::Go => many(1, "filters/go/hello/hello.wasm", "{\"greeting\":\"hi\"}"),
            Self::Body => many(1, ".build/fixtures/body.wasm", "{\"response\":\"upper\",\"drop_length\":true}"),
            Self::Callout => many(1, ".build/fixtures/callout.wasm", "up 5000"),
        }
    }

    /// A header that the filter wants to see.
    pub(crate) fn header(self) -> Option<&'static str> {
        (self == Self::Callout).then_some("x-call-at: request_headers")
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Noop(1) => "1 no-op".to_owned(),
            Self::Noop(count) => format!("{count} no-ops"),
            Self::Tag(1) => "1 filter".to_owned(),
            Self::Tag(count) => format!("{count} filters"),
            Self::Go => "1 Go filter".to_owned(),
            Self::Body => "1 body filter".to_owned(),
            Self::Callout => "1 callout".to_owned(),
        }
    }
}

fn module_path(path: &str) -> PathBuf {
    let file = root().join(path);
    assert!(file.exists(), "{} is missing: run `make filters`", file.display());
    file
}
