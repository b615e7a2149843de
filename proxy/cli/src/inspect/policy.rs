//! The grants that a module needs, ready to paste under its filter in the configuration.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Imports;

/// What callers of a foreign function, readers of a property and users of shared data need cannot be read from imports.
const BY_NAME: [(&str, &str, &[&str]); 4] = [
    (
        "callouts",
        "it makes callouts: name the upstreams, or `host:port`; the log names each that is refused",
        &["proxy_http_call", "proxy_grpc_call", "proxy_grpc_stream"],
    ),
    (
        "properties",
        "it uses properties: name their paths, or leave the default",
        &["proxy_get_property", "proxy_set_property"],
    ),
    ("foreign", "it calls foreign functions: name them, or leave the default", &["proxy_call_foreign_function"]),
    (
        "shared_data",
        "it uses shared data or queues: name the namespaces (`vm_id`), or leave the default",
        &[
            "proxy_get_shared_data",
            "proxy_set_shared_data",
            "proxy_register_shared_queue",
            "proxy_resolve_shared_queue",
            "proxy_enqueue_shared_queue",
            "proxy_dequeue_shared_queue",
        ],
    ),
];

/// The policy as YAML.
pub(crate) fn yaml(imports: &Imports) -> String {
    let mut out = "capabilities:\n".to_owned();
    list(&mut out, "hostcalls", &imports.hostcalls.iter().map(|h| h.name()).collect::<Vec<_>>());
    list(&mut out, "wasi", &wasi(imports));
    for (key, why, calls) in BY_NAME {
        let used = imports.hostcalls.iter().any(|h| calls.contains(&h.name()));
        // Writing to a `String` cannot fail.
        let _ = match (used, key) {
            (false, _) => writeln!(out, "  {key}: []"),
            (true, "callouts") => writeln!(out, "  {key}: []  # {why}"),
            (true, _) => writeln!(out, "  {key}: default  # {why}"),
        };
    }
    out
}

/// The policy as JSON: the same keys; `default` where only a person can say more.
pub(crate) fn json(imports: &Imports) -> Value {
    let hostcalls: Vec<&str> = imports.hostcalls.iter().map(|h| h.name()).collect();
    let mut policy = json!({ "hostcalls": hostcalls, "wasi": wasi(imports) });
    for (key, _, calls) in BY_NAME {
        let used = key != "callouts" && hostcalls.iter().any(|name| calls.contains(name));
        policy[key] = if used { json!("default") } else { json!([]) };
    }
    json!({ "capabilities": policy })
}

/// One name for both spellings of the module.
fn wasi(imports: &Imports) -> Vec<&str> {
    let mut names: Vec<&str> = imports.wasi.iter().map(|(_, name)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn list(out: &mut String, key: &str, names: &[&str]) {
    let _ = match names {
        [] => writeln!(out, "  {key}: []"),
        names => names.iter().fold(writeln!(out, "  {key}:"), |_, name| writeln!(out, "    - {name}")),
    };
}
