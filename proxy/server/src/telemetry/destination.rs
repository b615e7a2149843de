//! Where spans, metrics and log records go: as the configuration says, or else the environment.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use sluice_config::plan::{self, OtlpCompression, OtlpProtocol};

/// How long a request may take when nobody says.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// Where one of them goes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// All of it: what HTTP posts to, or the server of gRPC.
    pub(super) url: String,
    pub(super) protocol: OtlpProtocol,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) timeout: Duration,
    pub(super) compression: OtlpCompression,
    pub(super) ca: Option<PathBuf>,
    /// The configuration says so, and not the environment.
    pub(super) of_file: bool,
}

/// A URL may hold a password, and a field a key.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            OtlpProtocol::Grpc => "gRPC",
            OtlpProtocol::Http => "HTTP",
        };
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        write!(f, "{scheme}://{host} by {protocol}")
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Signal {
    /// In the names of variables.
    fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// Where HTTP takes it.
    fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }
}

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the environment says; nothing where it is empty.
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `None` when nobody says anything, or the environment wants none.
///
/// # Errors
/// The environment asks for something that is not there.
pub(super) fn destination(signal: Signal, otlp: Option<&plan::Otlp>) -> Result<Option<Destination>, String> {
    resolve(signal, otlp, &env)
}

/// Whether the environment wants none of it, whatever the configuration says.
pub(super) fn is_off(signal: Signal) -> bool {
    off(signal, &env)
}

fn off(signal: Signal, env: Env<'_>) -> bool {
    env("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"))
        || env(&format!("OTEL_{}_EXPORTER", signal.name())).is_some_and(|v| v == "none")
}

fn resolve(signal: Signal, otlp: Option<&plan::Otlp>, env: Env<'_>) -> Result<Option<Destination>, String> {
    if off(signal, env) {
        return Ok(None);
    }
    let Some(otlp) = otlp else { return of_environment(signal, env) };
    let url = match otlp.protocol {
        OtlpProtocol::Grpc => otlp.endpoint.clone(),
        OtlpProtocol::Http => under(&otlp.endpoint, signal),
    };
    Ok(Some(Destination {
        url,
        protocol: otlp.protocol,
        headers: otlp.headers.clone(),
        timeout: otlp.timeout,
        compression: otlp.compression,
        ca: otlp.ca.clone(),
        of_file: true,
    }))
}

fn of_environment(signal: Signal, env: Env<'_>) -> Result<Option<Destination>, String> {
    let own = |what: &str| env(&format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.name()));
    let said = |what: &str| own(what).or_else(|| env(&format!("OTEL_EXPORTER_OTLP_{what}")));
    let Some(endpoint) = said("ENDPOINT") else { return Ok(None) };
    let protocol = match said("PROTOCOL").as_deref() {
        Some("grpc") => OtlpProtocol::Grpc,
        None | Some("http/protobuf") => OtlpProtocol::Http,
        Some(other) => {
            let known = "`grpc` or `http/protobuf`";
            return Err(format!("OTEL_EXPORTER_OTLP_PROTOCOL: `{other}` is not known here: write {known}"));
        }
    };
    let url = match protocol {
        OtlpProtocol::Grpc if !endpoint.contains("://") => {
            let plain = said("INSECURE").is_some_and(|v| v.eq_ignore_ascii_case("true"));
            format!("{}://{endpoint}", if plain { "http" } else { "https" })
        }
        // What is said for one signal only is the whole of it.
        OtlpProtocol::Http if own("ENDPOINT").is_none() => under(&endpoint, signal),
        OtlpProtocol::Grpc | OtlpProtocol::Http => endpoint,
    };
    let compression = match said("COMPRESSION").as_deref() {
        None | Some("none") => OtlpCompression::None,
        Some("gzip") => OtlpCompression::Gzip,
        Some(other) => {
            return Err(format!("OTEL_EXPORTER_OTLP_COMPRESSION: `{other}` is not known here: write `gzip` or `none`"));
        }
    };
    let timeout = match said("TIMEOUT").map(|text| text.parse()) {
        None => TIMEOUT,
        Some(Ok(millis)) if millis > 0 => Duration::from_millis(millis),
        Some(_) => return Err("OTEL_EXPORTER_OTLP_TIMEOUT: write a number of milliseconds above 0".to_owned()),
    };
    let headers = said("HEADERS").as_deref().map(fields).unwrap_or_default();
    let ca = said("CERTIFICATE").map(PathBuf::from);
    Ok(Some(Destination { url, protocol, headers, timeout, compression, ca, of_file: false }))
}

fn under(endpoint: &str, signal: Signal) -> String {
    format!("{}{}", endpoint.trim_end_matches('/'), signal.path())
}

/// `a=1,b=2`, with percent signs in values.
fn fields(text: &str) -> BTreeMap<String, String> {
    let field = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((name.trim().to_ascii_lowercase(), value.into_owned()))
    };
    text.split(',').filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(signal: Signal, otlp: Option<&plan::Otlp>, env: &[(&str, &str)]) -> Result<Option<Destination>, String> {
        let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        resolve(signal, otlp, &env)
    }

    fn file(protocol: OtlpProtocol) -> plan::Otlp {
        plan::Otlp {
            endpoint: "http://u:secret@a:4317/x".into(),
            protocol,
            headers: [("x-key".to_owned(), "secret".to_owned())].into(),
            timeout: Duration::from_secs(1),
            compression: OtlpCompression::Gzip,
            ca: None,
        }
    }

    #[test]
    fn the_file_comes_before_the_environment_and_either_turns_it_on() {
        let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:4318")];
        for (signal, path) in
            [(Signal::Traces, "/v1/traces"), (Signal::Metrics, "/v1/metrics"), (Signal::Logs, "/v1/logs")]
        {
            assert!(of(signal, None, &[]).is_ok_and(|none| none.is_none()));
            let resolved = of(signal, None, &env).expect("valid").expect("it is on");
            assert_eq!((resolved.url, resolved.protocol), (format!("http://b:4318{path}"), OtlpProtocol::Http));
            let http = file(OtlpProtocol::Http);
            let resolved = of(signal, Some(&http), &env).expect("valid").expect("it is on");
            assert_eq!(resolved.url, format!("http://u:secret@a:4317/x{path}"));
            assert_eq!(resolved.to_string(), "http://a:4317 by HTTP", "no password, no key");
        }
        let grpc = file(OtlpProtocol::Grpc);
        let resolved = of(Signal::Metrics, Some(&grpc), &env).expect("valid").expect("it is on");
        assert_eq!(resolved.url, grpc.endpoint);
        for (name, value) in [("OTEL_SDK_DISABLED", "true"), ("OTEL_METRICS_EXPORTER", "none")] {
            let off = of(Signal::Metrics, Some(&grpc), &[(name, value)]);
            assert!(off.is_ok_and(|none| none.is_none()), "{name}");
        }
        assert!(of(Signal::Metrics, Some(&grpc), &[("OTEL_TRACES_EXPORTER", "none")]).expect("valid").is_some());
    }

    #[test]
    fn what_is_said_for_one_signal_comes_first_and_is_the_whole_of_it() {
        let env = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:4318/"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m:1/in"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "X-Key = se%20cret , broken, b=2=3"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ];
        let metrics = of(Signal::Metrics, None, &env).expect("valid").expect("it is on");
        assert_eq!(metrics.url, "https://m:1/in");
        let fields: Vec<_> = metrics.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(fields, [("b", "2=3"), ("x-key", "se cret")]);
        assert_eq!((metrics.timeout, metrics.compression), (Duration::from_millis(250), OtlpCompression::Gzip));
        assert_eq!(metrics.ca, Some("/ca.pem".into()));
        let logs = of(Signal::Logs, None, &env).expect("valid").expect("it is on");
        assert_eq!((logs.url.as_str(), logs.timeout), ("http://b:4318/v1/logs", TIMEOUT));
        assert_eq!(logs.headers["a"], "1");
    }

    #[test]
    fn a_server_of_grpc_without_a_scheme_is_asked_by_tls_unless_that_is_not_wanted() {
        let url = |insecure| {
            let env = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_INSECURE", insecure),
            ];
            of(Signal::Logs, None, &env).expect("valid").expect("it is on").url
        };
        assert_eq!((url("false"), url("TRUE")), ("https://c:4317".into(), "http://c:4317".into()));
    }

    #[test]
    fn nonsense_in_the_environment_says_what_is_known() {
        let said = |name: &str, value: &str| {
            let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:1"), (name, value)];
            of(Signal::Traces, None, &env).expect_err("refused")
        };
        let protocol = said("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
        assert!(protocol.contains("`http/json`") && protocol.contains("http/protobuf"), "{protocol}");
        assert!(said("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd").contains("`zstd`"));
        for timeout in ["0", "-1", "10s"] {
            assert!(said("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", timeout).contains("milliseconds"));
        }
    }
}
