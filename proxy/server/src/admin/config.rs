//! The configuration as it is meant, without what may be secret.
//!
//! Whether a value was written there or came from another file or the environment is not known any more. So everything
//! that filters read, and every value that goes to others, is shown as its length and a mark: the same text has the same
//! mark for as long as the process lives, and nobody can try out texts against it.

mod filter;
mod process;
mod route;
mod upstream;

use std::{path::Path, sync::LazyLock, time::Duration};

use serde_json::{Map, Value, json};
use sluice_config::{
    Origins,
    plan::{self, Plan},
};
use sluice_host::Digest;

pub(super) use self::filter::{capabilities, isolation, limits, on_error};
use self::{
    filter::filter,
    process::{reload, server, telemetry},
    route::{listener, route},
    upstream::upstream,
};
use crate::outside::fill_random;

/// What is shown of a plan.
pub(super) fn shown(plan: &Plan) -> Value {
    // Every field is named here and below, so that a new one must decide.
    let Plan {
        listeners,
        filters,
        upstreams,
        routes,
        services,
        admin,
        telemetry,
        reload,
        server,
        secret_files,
        origins: _,
    } = plan;
    let named = |name: &String, value: Value| (name.clone(), value);
    json!({
        "listeners": listeners.iter().map(|l| listener(plan, l)).collect::<Vec<_>>(),
        "filters": filters.iter().map(|f| named(&f.name, filter(f))).collect::<Map<_, _>>(),
        "upstreams": upstreams.iter().map(|u| named(&u.name, upstream(u))).collect::<Map<_, _>>(),
        "routes": routes.iter().map(|r| route(plan, r)).collect::<Vec<_>>(),
        "services": services.iter().filter_map(|i| filters.get(*i)).map(|f| &f.name).collect::<Vec<_>>(),
        "admin": admin.as_ref().map(|plan::Admin { address, requests, at: _ }| json!({ "address": address, "requests": requests })),
        "telemetry": self::telemetry(telemetry),
        "reload": self::reload(reload),
        "server": self::server(server),
        "secret_files": secret_files.iter().map(|file| path(file)).collect::<Vec<_>>(),
    })
}

/// Where each value of the file stands: its path, and the file with the line. What is not there is a default.
pub(super) fn origins(origins: &Origins) -> Value {
    let Origins { file, lines, more: _ } = origins;
    Value::Object(lines.iter().map(|(path, line)| (path.clone(), format!("{file}:{line}").into())).collect())
}

/// How much there is, and what tells it apart from another text.
fn hidden(text: &str) -> Value {
    static SALT: LazyLock<[u8; 32]> = LazyLock::new(|| {
        let mut salt = [0; 32];
        fill_random(&mut salt);
        salt
    });
    let mark = Digest::of(&[&*SALT, text.as_bytes()].concat());
    json!({ "hidden_bytes": text.len(), "mark": mark.short() })
}

fn hidden_values<'a>(values: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
    Value::Object(values.into_iter().map(|(name, value)| (name.clone(), hidden(value))).collect())
}

fn time(time: Duration) -> String {
    // As the file writes it, without blanks.
    humantime::format_duration(time).to_string().replace(' ', "")
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use sluice_config::{Memory, parse};

    use super::*;

    #[test]
    fn nothing_that_filters_read_or_others_are_sent_is_shown() {
        let world = Memory::new().with_env("KEY", "s3cret-env").with_file("/etc/s/key", "s3cret-file");
        let text = r#"
listeners: [{ address: ":1" }, { address: ":2", tcp: { upstream: u, filters: [{ use: f, config: s3cret-tcp }], properties: { p: s3cret-p } } }]
filters:
  f: { source: { path: f.wasm }, config: { key: "${KEY}" }, vm_config: { file: s/key }, env: { TOKEN: "${KEY}" } }
  g: { source: { path: g.wasm }, config: { file: s/key } }
upstreams: { u: { endpoints: ["a:1"] } }
routes:
  - match: { path: /a, headers: { x-key: s3cret-match } }
    filters: [{ use: f, config: s3cret-route }]
    properties: { p: s3cret-p }
    upstream: u
  - respond: { status: 200, headers: { x-a: s3cret-header }, body: s3cret-body }
telemetry:
  otlp: { endpoint: "http://user:s3cret-url@collector:4317" }
  metrics: { endpoint: "http://user:s3cret-url@collector:4317", headers: { x-key: s3cret-field } }
"#;
        let plan = parse(sluice_config::Source { text, name: "s.yaml", dir: Path::new("/etc") }, &world);
        let plan = plan.unwrap_or_else(|errors| panic!("{errors}"));
        let value = shown(&plan);
        let shown = value.to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
        let config = |name: &str| value["filters"][name]["config"].clone();
        assert_eq!(config("g"), value["filters"]["f"]["vm_config"], "the same text has the same mark");
        assert_ne!(config("g")["mark"], config("f")["mark"]);
        assert_eq!(config("g")["hidden_bytes"], 11);
        assert_eq!(value["filters"]["f"]["limits"]["cpu_per_call"], "10ms");
        assert!(!shown.contains(&Digest::of(b"s3cret-file").short()), "nobody can try texts out");
    }
}
