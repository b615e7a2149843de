//! Sluice with one worker and nothing on that the work does not ask for.

use std::{fmt::Write, fs, path::Path};

use tempfile::TempDir;

use crate::{
    contender::Extra,
    daemon::{Daemon, PROXY_CORE, free_address},
    work::Work,
    world::{Front, World},
};

/// Serves a configuration in which `LISTEN` is the address and `DIR` a folder of its own.
pub(crate) fn serve(world: &World, yaml: &str) -> Daemon {
    let dir = TempDir::new().expect("a folder");
    let address = free_address();
    let yaml = yaml.replace("LISTEN", &address.to_string()).replace("DIR", &dir.path().display().to_string());
    fs::write(dir.path().join("sluice.yaml"), yaml).expect("a file");
    Daemon::start(PROXY_CORE, &world.sluice.display().to_string(), &["run", "-c", "sluice.yaml"], address, dir)
}

pub(crate) fn start(binary: &Path, world: &World, front: Front, work: Work, extra: Extra) -> Daemon {
    let dir = TempDir::new().expect("a folder");
    let address = free_address();
    let mut yaml = String::new();
    let tls = match front {
        Front::Plain => String::new(),
        _ => format!(", tls: {{ cert: {}, key: {} }}", world.pem("cert.pem"), world.pem("key.pem")),
    };
    let mut say = |line: String| writeln!(yaml, "{line}").expect("a string grows");
    say(format!("listeners: [{{ address: \"{address}\"{tls} }}]"));
    let (cache, guests) = (dir.path().join("cache"), world.guests);
    say(format!("server: {{ workers: 1, guests: {{ max: {guests} }}, cache: {{ path: {} }} }}", cache.display()));
    let quiet = "log: { level: error }";
    let log = dir.path().join("access.log");
    let traced = |sampling: &str| {
        let otlp = format!("otlp: {{ endpoint: \"http://{}\" }}", free_address());
        format!("telemetry: {{ {quiet}, access_log: off, {otlp}, sampling: {sampling} }}")
    };
    say(match extra {
        Extra::Traced => traced("0.01"),
        Extra::Failures => traced("{ ratio: 0.0, errors: true }"),
        Extra::Undrawn => traced("{ ratio: 0.0, errors: false }"),
        Extra::Logged => format!("telemetry: {{ {quiet}, access_log: {{ path: {} }} }}", log.display()),
        _ => format!("telemetry: {{ {quiet}, access_log: off }}"),
    });
    say(format!("upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}", world.origin.address));
    say("filters:".to_owned());
    let filters = work.filters();
    let isolation = if extra == Extra::Fresh { "request" } else { "shared" };
    for filter in &filters {
        say(format!(
            "  {}: {{ source: {{ path: {} }}, config: '{}', isolation: {isolation}, capabilities: {{ callouts: [up] }} }}",
            filter.name,
            filter.module.display(),
            filter.config
        ));
    }
    if filters.is_empty() {
        yaml.truncate(yaml.len() - "filters:\n".len());
    }
    let names: Vec<_> = filters.iter().map(|filter| filter.name.as_str()).collect();
    writeln!(yaml, "routes: [{{ filters: [{}], upstream: up }}]", names.join(", ")).expect("a string grows");
    fs::write(dir.path().join("sluice.yaml"), yaml).expect("a file");
    let binary = binary.display().to_string();
    Daemon::start(PROXY_CORE, &binary, &["run", "-c", "sluice.yaml"], address, dir)
}
