//! `filters:`: where a module comes from, what it is told, what it may cost.

use serde_json::{Value, json};

use crate::{
    declare::{choice, section},
    grant::{Callouts, Known, Listed},
    limits::Limits,
    node::{Kind, Node},
    payload::{EnvValue, Payload},
    plan::{self, Isolation, OnError, Position, Ungranted},
    quarantine::Quarantine,
    reader::Cx,
    scalar::{FilePath, Free, Text},
    shape::{Map, Shape, or_variable},
};

section! {
    /// One WebAssembly filter
    Filter, check granted_env {
        /// Where the module comes from: one of `path` and `build`.
        source: Source,
        /// Pin: a module with another SHA-256 is refused.
        digest: Option<Digest>,
        /// Which root context of the module to use.
        root_id: Text = "",
        /// Namespace of shared data and queues; filters with the same one share them.
        vm_id: Text = "",
        /// Configuration of the filter (`proxy_on_configure`).
        config: Payload = "",
        /// Configuration of the VM (`proxy_on_vm_start`).
        vm_config: Payload = "",
        /// Environment variables that the guest sees.
        env: Map<Free, EnvValue>,
        /// Which guest a request meets.
        isolation: Isolation = "shared",
        /// What a request gets when the filter fails.
        on_error: OnError = "fail_closed",
        /// `true`: Pause in a headers callback holds only the head, and the body callbacks go on (Envoy's option of this
        /// name). `false`: it holds everything, as Envoy does by default.
        on_headers_stop_iteration: bool = "false",
        /// Budgets and caps, all of them enforced.
        limits: Limits = "{}",
        /// When it is taken out of service because it crashes.
        quarantine: Quarantine = "{}",
        /// What the filter may ask of the host.
        capabilities: Capabilities = "{}",
    }
}

section! {
    /// Where a module comes from
    Source, check one_source {
        /// A `.wasm` file.
        path: Option<FilePath>,
        /// A folder with a Cargo.toml or a go.mod, which `sluice build` builds; its module is in it, under the folder's own name.
        build: Option<FilePath>,
        /// Reserved for OCI registries; not supported yet.
        oci: Option<NotYet>,
    }
}

section! {
    /// What a filter may ask of the host
    Capabilities {
        /// Hostcalls by name; the default is all of them.
        hostcalls: Known = "default",
        /// WASI functions by name; the default is all of them.
        wasi: Known = "default",
        /// Upstreams, or `host:port`, that a callout may reach; the default grants none.
        callouts: Callouts = "default",
        /// Properties by their path with dots, each with all below it; the default is all of them.
        properties: Listed = "default",
        /// Foreign functions by name; the default is all of them.
        foreign: Known = "default",
        /// Namespaces (`vm_id`) of shared data and queues; the default is the own one, and queues of others by name.
        shared_data: Listed = "default",
        /// Names that `env:` of the filter may set; the default is all that it sets.
        env: Listed = "default",
        /// What happens to a module that imports a hostcall or WASI function which is not granted.
        ungranted: Ungranted = "refuse_module",
    }
}

choice!(Isolation {
    "shared" => Isolation::Shared, "One guest for each worker, many requests in it.";
    "request" => Isolation::Request, "A fresh guest for each request.";
});

choice!(OnError {
    "fail_closed" => OnError::FailClosed, "The request is answered 503.";
    "fail_open" => OnError::FailOpen, "The filter is skipped from there on.";
});

choice!(Ungranted {
    "refuse_module" => Ungranted::RefuseModule, "It is not loaded; the error names all of them.";
    "refuse_call" => Ungranted::RefuseCall, "It is loaded, and these calls fail.";
});

fn granted_env(filter: &Node, cx: &mut Cx<'_>) {
    let granted = filter.get("capabilities").and_then(|capabilities| capabilities.get("env"));
    let Some(Kind::List(granted)) = granted.map(|granted| &granted.kind) else { return };
    for entry in filter.get("env").map_or(&[][..], Node::entries) {
        if !granted.iter().any(|name| name.text() == Some(&entry.key)) {
            let help = format!("add it to `capabilities.env` of this filter, or take it out of `env`: `{}`", entry.key);
            cx.error::<()>(entry.at, "this variable is not granted", help);
        }
    }
}

fn one_source(source: &Node, cx: &mut Cx<'_>) {
    let help = "write `source: { path: filter.wasm }` or `source: { build: FOLDER }`";
    match (source.get("path"), source.get("build")) {
        (Some(_), Some(_)) => {
            cx.error::<()>(source.at, "`path` and `build` exclude each other", help);
        }
        (None, None) if source.get("oci").is_none() => {
            cx.error::<()>(cx.here(), "this source has neither `path` nor `build`", help);
        }
        _ => {}
    }
}

/// A key that later versions will understand.
pub(crate) struct NotYet;

impl Shape for NotYet {
    fn title() -> String {
        "nothing yet".into()
    }
    fn schema() -> Value {
        json!({ "not": {} })
    }
    fn read(_node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let help = "pull the module with `oras` or `crane`, and give its file as `path`";
        cx.error(cx.here(), "`oci` sources are not supported yet", help)
    }
}

/// `sha256:` and 64 hex digits.
pub(crate) struct Digest(String);

impl Shape for Digest {
    fn title() -> String {
        "`sha256:` and 64 hex digits".into()
    }
    fn schema() -> Value {
        or_variable(json!({ "type": "string", "pattern": "^sha256:[0-9A-Fa-f]{64}$" }))
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let help = "`sha256sum filter.wasm` prints the digits; put `sha256:` before them";
        let scalar = cx.string(node, &Self::title(), help)?;
        let hex = scalar.text.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.chars().all(|c| c.is_ascii_hexdigit()) {
            return cx.error(node.at, format!("`{}` is not a digest", scalar.shown()), help);
        }
        Some(Self(hex.to_ascii_lowercase()))
    }
}

impl Filter {
    pub(crate) fn plan(self, name: String, at: Position) -> Option<plan::Filter> {
        let source = match (self.source.path, self.source.build) {
            (Some(FilePath(path)), None) => plan::Source::Path(path),
            (None, Some(FilePath(folder))) => plan::Source::Build(folder),
            // `one_source` has said so.
            _ => return None,
        };
        let Capabilities { hostcalls, wasi, callouts, properties, foreign, shared_data, ungranted, .. } =
            self.capabilities;
        Some(plan::Filter {
            name,
            source,
            digest: self.digest.map(|digest| digest.0),
            root_id: self.root_id.0,
            vm_id: self.vm_id.0,
            config: self.config.0,
            vm_config: self.vm_config.0,
            env: self.env.0.into_iter().map(|(name, _, value)| (name.0, value.0)).collect(),
            isolation: self.isolation,
            on_error: self.on_error,
            on_headers_stop_iteration: self.on_headers_stop_iteration,
            limits: self.limits.plan()?,
            quarantine: self.quarantine.plan(),
            capabilities: plan::Capabilities {
                hostcalls: hostcalls.0,
                wasi: wasi.0,
                callouts: callouts.0,
                properties: properties.0,
                foreign: foreign.0,
                shared_data: shared_data.0,
                ungranted,
            },
            at,
        })
    }
}
