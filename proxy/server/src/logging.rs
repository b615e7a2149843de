//! The proxy's own log: set up once, to standard error, human or JSON.

use std::io::IsTerminal;

use sluice_config::plan::{Log, LogFormat, LogLevel};
use tracing_subscriber::{EnvFilter, fmt};

/// Who speaks at the level of the configuration: we and the filters. A library that speaks at `trace` would say gigabytes
/// while a guest is compiled, and Pingora writes a line for each failed request, which the access log has anyway.
const OURS: [&str; 5] = ["filter", "sluice_engine", "sluice_host", "sluice_server", "sluicegate"];
const OTHERS: &str = "error,pingora_proxy=off";

/// Starts logging; a second call changes nothing.
pub(crate) fn start(log: &Log) {
    let level = name(log.level);
    let ours: String = OURS.iter().map(|name| format!(",{name}={level}")).collect();
    let filter = EnvFilter::try_new(format!("{OTHERS}{ours}")).unwrap_or_else(|_| EnvFilter::new(level));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Only fails when logging was started before: then that one stays.
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

/// The same level in the ABI's numbers.
pub(crate) fn for_filters(level: LogLevel) -> sluice_host::LogLevel {
    match level {
        LogLevel::Trace => sluice_host::LogLevel::Trace,
        LogLevel::Debug => sluice_host::LogLevel::Debug,
        LogLevel::Info => sluice_host::LogLevel::Info,
        LogLevel::Warn => sluice_host::LogLevel::Warn,
        LogLevel::Error => sluice_host::LogLevel::Error,
    }
}
