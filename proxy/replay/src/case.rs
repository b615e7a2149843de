//! The case file: filters, what the client sends, what the upstream answers, what is expected.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Expect, Limits, Scripted};

/// A name and a value of a header. Each character is one byte (Latin-1), so that every value can be written.
pub type Pair = (String, String);

/// One case: one exchange or several, through one chain.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What holds, as a sentence.
    pub name: String,
    /// The chain, in the order of requests.
    pub filters: Vec<Use>,
    /// `shared` or `request`; both when it is not said.
    pub isolation: Option<Isolated>,
    /// What the client sends.
    #[serde(default)]
    pub request: Message,
    /// What the upstream answers.
    #[serde(default)]
    pub upstream: Upstream,
    /// Instead of both, a TCP connection.
    pub connection: Option<Connection>,
    /// What is expected of the first exchange.
    #[serde(default)]
    pub expect: Expect,
    /// Further exchanges on the same guests.
    #[serde(default)]
    pub then: Vec<Talk>,
    /// The exchanges run at the same time, one event of each in turn, instead of one after the other.
    #[serde(default)]
    pub together: bool,
    /// Properties of the route: path with dots, value.
    #[serde(default)]
    pub properties: Vec<Pair>,
    /// What comes of calls that the filters make. A call that none fits fails.
    #[serde(default)]
    pub calls: Vec<Scripted>,
    /// Further upstreams that exist; all do when neither this nor `calls` names one.
    pub upstreams: Option<Vec<String>>,
    /// Shared data, queues and metrics begin empty, and what is full there is full for nobody else.
    #[serde(default)]
    pub own_host: bool,
    /// The chain does not load, and the error contains this.
    pub refused: Option<String>,
    /// Messages that the filters log when they are let go of, exactly.
    pub ending: Option<Vec<String>>,
}

/// One exchange.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Talk {
    /// What the client sends.
    pub request: Message,
    /// What the upstream answers.
    pub upstream: Upstream,
    /// Instead of both, a TCP connection.
    pub connection: Option<Connection>,
    /// What is expected.
    pub expect: Expect,
    /// Virtual milliseconds that pass before it.
    pub after_ms: u64,
}

/// `isolation` of every filter of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolated {
    /// One guest for all exchanges.
    Shared,
    /// A fresh guest for each.
    Request,
}

/// One filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Which module: whoever plays the case knows where it is found.
    pub module: String,
    /// Its name; the module's when it is not said.
    pub name: Option<String>,
    /// Its configuration.
    #[serde(default)]
    pub config: String,
    /// Several configurations: one place in the chain for each.
    #[serde(default)]
    pub configs: Vec<String>,
    /// What `proxy_on_vm_start` reads.
    #[serde(default)]
    pub vm_config: String,
    /// Which root context of the module.
    #[serde(default)]
    pub root_id: String,
    /// Namespace of shared data and queues.
    #[serde(default)]
    pub vm_id: String,
    /// Environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Goes on without the filter when it fails.
    #[serde(default)]
    pub fail_open: bool,
    /// Pause in a headers callback holds only the head.
    #[serde(default)]
    pub on_headers_stop_iteration: bool,
    /// Its ceilings.
    #[serde(default)]
    pub limits: Limits,
    /// Names of the hostcalls it is granted, or the one word `all`; the default set when it is not said.
    pub hostcalls: Option<Vec<String>>,
    /// Names of the WASI functions it is granted; all when it is not said.
    pub wasi: Option<Vec<String>>,
    /// A module that imports what is not granted is not loaded; else only the call fails.
    #[serde(default)]
    pub refuse_ungranted: bool,
    /// Upstreams that its callouts may reach.
    #[serde(default)]
    pub callouts: Vec<String>,
    /// Properties that it may read; all when it is not said.
    pub properties: Option<Vec<String>>,
    /// Foreign functions that it may call; all when it is not said.
    pub foreign: Option<Vec<String>>,
    /// Namespaces of shared data and queues that it may use; all when it is not said.
    pub shared_data: Option<Vec<String>>,
}

/// A TCP connection: what each side sends, in pieces; the last piece is the last of its side. Then both sides close.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connection {
    /// From the client.
    pub downstream: Vec<String>,
    /// From the upstream.
    pub upstream: Vec<String>,
}

/// What the client sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Message {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Host` field; none when empty.
    pub authority: String,
    /// Fields in order.
    pub headers: Vec<Pair>,
    /// Pieces in which the body comes; an empty list is no body, an empty last piece is a late end.
    pub body: Vec<String>,
    /// Trailers; an empty list is none.
    pub trailers: Vec<Pair>,
    /// The client goes away after this many events of the exchange.
    pub leaves_after: Option<usize>,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            authority: "a.test".into(),
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            leaves_after: None,
        }
    }
}

/// What the upstream answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// The status.
    pub status: u16,
    /// Fields in order.
    pub headers: Vec<Pair>,
    /// Pieces of the body, as in [`Message::body`].
    pub body: Vec<String>,
    /// Trailers; an empty list is none.
    pub trailers: Vec<Pair>,
    /// It answers after so many events of the request, and not only after all.
    pub early: Option<usize>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self { status: 200, headers: Vec::new(), body: vec!["hello".into()], trailers: Vec::new(), early: None }
    }
}

impl Case {
    /// Every exchange of the case in order.
    pub fn talks(&self) -> Vec<Talk> {
        let (request, upstream, expect) = (self.request.clone(), self.upstream.clone(), self.expect.clone());
        let first = Talk { request, upstream, connection: self.connection.clone(), expect, after_ms: 0 };
        std::iter::once(first).chain(self.then.iter().cloned()).collect()
    }
}

/// Reads every case of a file: one YAML document each.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    yaml_serde::Deserializer::from_str(text)
        .map(|document| Case::deserialize(document).map_err(|e| e.to_string()))
        .collect()
}
