//! `telemetry.log:`: what the proxy and its filters say, and how.

use serde_json::{Value, json};

use crate::{
    declare::section,
    node::Scalar,
    plan::{self, LogFormat, LogLevel, LogModule, Position},
    reader::{Cx, Declared, shorten},
    shape::{Label, Map},
};

section! {
    /// The proxy's own log
    Log {
        /// What is logged.
        level: LogLevel = "info",
        /// How a line looks.
        format: LogFormat = "human",
        /// Levels of single filters.
        filters: Map<FilterName, LogLevel>,
        /// Levels of parts of the proxy: `server`, `host`, which tells of what befalls filters, `pingora`, `wasmtime`. The
        /// last two say only errors when they have none.
        modules: Map<LogModule, LogLevel>,
    }
}

impl Log {
    pub(crate) fn plan(self) -> plan::Log {
        plan::Log {
            level: self.level,
            format: self.format,
            filters: self.filters.0.into_iter().map(|(name, _, level)| (name.0, level)).collect(),
            modules: self.modules.0.into_iter().map(|(module, _, level)| (module, level)).collect(),
        }
    }
}

/// The name of a filter that the file declares.
pub(crate) struct FilterName(String);

impl Label for FilterName {
    fn read(key: &str, at: Position, cx: &mut Cx<'_>) -> Option<Self> {
        cx.refer(Declared::Filter, &Scalar::plain(key), at).map(|_| Self(key.to_owned()))
    }
    fn schema() -> Option<Value> {
        None
    }
}

impl Label for LogModule {
    fn read(key: &str, at: Position, cx: &mut Cx<'_>) -> Option<Self> {
        if let Some(module) = Self::ALL.into_iter().find(|module| module.name() == key) {
            return Some(module);
        }
        let names = Self::ALL.map(Self::name);
        let help = cx.similar(key, &names).unwrap_or_else(|| format!("known are {}", names.join(", ")));
        cx.error(at, format!("`{}` is no part of the proxy", shorten(key)), help)
    }
    fn schema() -> Option<Value> {
        Some(json!({ "enum": Self::ALL.map(Self::name) }))
    }
}
