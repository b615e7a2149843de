//! From the limits of a plan to those of the host, and whether this machine's threads have room for them.

use std::{path::Path, sync::Arc};

use rustix::process::{Resource, getrlimit};
use sluice_config::{Position, plan};
use sluice_host::{Cache, Caps, EngineOptions, HostOptions, SharedCaps};

use crate::load::{Place, RunError};

/// What the frames of the proxy itself may need of a thread's stack beside a guest's.
const FRAMES: usize = 1 << 20;
/// The stack of a thread of which nobody said how large it shall be.
const THREAD: usize = 2 << 20;

pub(crate) fn caps(limits: &plan::Limits) -> Caps {
    Caps {
        memory_total: limits.memory_total,
        table_elements: limits.table_elements,
        body_buffer: limits.body_buffer,
        header_bytes: limits.header_bytes,
        header_fields: limits.header_fields,
        log_lines: limits.log_lines,
        log_bytes: limits.log_bytes,
        log_rate: limits.log_rate,
        log_burst: limits.log_burst,
        callouts_in_flight: limits.callouts_in_flight,
        shared_data: limits.shared_data,
        queues: limits.queues,
        queue_items: limits.queue_items,
        queue_bytes: limits.queue_bytes,
        metrics: limits.metrics,
    }
}

/// What is fixed when the process starts.
///
/// # Errors
/// [`RunError::Setup`] when a guest could overflow the stack of its thread, which would end the process.
pub(crate) fn host(server: &plan::Server, file: &Path) -> Result<HostOptions, RunError> {
    // Workers take the size of this variable; the thread that loads filters first is the process's own.
    let workers = std::env::var("RUST_MIN_STACK").ok().and_then(|size| size.parse().ok()).unwrap_or(THREAD);
    let main = getrlimit(Resource::Stack).current.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    let (guest, needed) = (server.guests.stack, server.guests.stack + FRAMES);
    for (who, has) in [("RUST_MIN_STACK gives threads", workers), ("`ulimit -s` gives the process", main)] {
        if has < needed {
            return Err(RunError::Setup {
                at: Place::new(file, Position::default()),
                message: format!(
                    "server.guests.stack: {who} a stack of {has} bytes; a guest with a stack of {guest} needs {needed}"
                ),
                help: Some("make the one larger or the other smaller".to_owned()),
            });
        }
    }
    Ok(HostOptions {
        engine: EngineOptions { max_guests: server.guests.max, max_stack: guest, ..EngineOptions::default() },
        shared: SharedCaps {
            data: server.shared.data,
            queues: server.shared.queues,
            queue_bytes: server.shared.queue_bytes,
            metrics: server.shared.metrics,
        },
        cache: server.cache.as_ref().and_then(|cache| self::cache(cache, file).transpose()).transpose()?,
    })
}

/// The folder of compiled modules. Without one that was asked for by name nothing works; without the usual one, each start
/// compiles.
fn cache(cache: &plan::Cache, file: &Path) -> Result<Option<Arc<Cache>>, RunError> {
    let usual = || {
        let from = |name: &str, more: &str| {
            let set = std::env::var_os(name).filter(|path| Path::new(path).is_absolute());
            set.map(|path| Path::new(&path).join(more))
        };
        // The first is what systemd sets for a service with `CacheDirectory=`.
        from("CACHE_DIRECTORY", "")
            .or_else(|| from("XDG_CACHE_HOME", "sluice"))
            .or_else(|| from("HOME", ".cache/sluice"))
    };
    let key = cache.key.as_deref();
    match (&cache.path, usual()) {
        (Some(path), _) => match Cache::open(path, key, cache.max) {
            Ok(cache) => Ok(Some(Arc::new(cache))),
            Err(error) => Err(RunError::setup(file, Position::default(), format!("server.cache: {error}"))),
        },
        (None, Some(path)) => Ok(match Cache::open(&path, key, cache.max) {
            Ok(cache) => Some(Arc::new(cache)),
            Err(error) => {
                tracing::warn!(
                    "modules are compiled at every start, as their code cannot be kept (`server.cache`): {error}"
                );
                None
            }
        }),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sluice_config::{Memory, Source, parse, schema};
    use sluice_host::Cap;

    use super::*;

    #[test]
    fn the_defaults_of_the_configuration_are_those_of_the_host() {
        let text = "listeners: [{ address: :1 }]\nupstreams: { e: { builtin: echo } }\nroutes: [{ upstream: e }]\n\
                    filters: { f: { source: { path: f } } }\n";
        let plan = parse(Source { text, name: "f", dir: Path::new("/") }, &Memory::new()).expect("it is right");
        assert_eq!(caps(&plan.filters[0].limits), Caps::default());
        let options = host(&plan.server, Path::new("f")).expect("there is room");
        assert_eq!(options.shared, SharedCaps::default());
        let engine = EngineOptions::default();
        assert_eq!((options.engine.max_guests, options.engine.max_stack), (engine.max_guests, engine.max_stack));
        let mut server = plan.server;
        server.guests.stack = usize::MAX - FRAMES;
        let refused = host(&server, Path::new("f")).expect_err("nobody has so much").to_string();
        assert!(refused.contains("server.guests.stack: RUST_MIN_STACK gives threads a stack of"), "{refused}");
    }

    #[test]
    fn the_page_of_limits_has_every_cap_with_its_default_range_and_token() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
        let page = std::fs::read_to_string(path).expect("docs/limits.md is there");
        let row = |key: &str| page.lines().find(|line| line.contains(&format!("`{key}` |"))).unwrap_or_default();
        let schema = schema();
        let filter = "/properties/filters/additionalProperties/properties/limits/properties";
        for (place, before) in [
            (filter, ""),
            ("/properties/server/properties/shared/properties", "server.shared."),
            ("/properties/server/properties/guests/properties", "server.guests."),
        ] {
            let keys = schema.pointer(place).and_then(|keys| keys.as_object()).expect("a section");
            for (key, setting) in keys {
                let (title, default) = (setting["title"].as_str().expect("a title"), &setting["default"]);
                let (_, range) = title.split_once(" from ").expect("a range");
                let default = match default {
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Null => "none".to_owned(),
                    other => other.to_string(),
                };
                let row = row(&format!("{before}{key}"));
                assert!(row.contains(&format!("| {default}")), "{before}{key}: the default is {default}: {row}");
                assert!(row.contains(&format!("| {range}")), "{before}{key}: the range is {range}: {row}");
            }
        }
        for cap in Cap::ALL {
            let row = row(cap.setting().trim_start_matches("limits."));
            assert!(row.ends_with(&format!("| `{}` |", cap.token())), "{} has {}: {row}", cap.setting(), cap.token());
        }
    }
}
