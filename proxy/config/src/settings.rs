//! `server:` and `admin:`: the proxy itself.

use serde_json::{Value, json};

use crate::{
    declare::section,
    net::Bind,
    node::Node,
    plan,
    reader::Cx,
    scalar::{FilePath, Int},
    shape::Shape,
    telemetry::{is_off, off},
    units::{GIB, HOUR, KIB, MIB, SECOND, Size, Time},
};

section! {
    /// Limits and sizes of the proxy itself
    Server {
        /// Worker threads; 0 is one for each core.
        workers: Int<0, 1024> = "0",
        /// Idle client connections are closed after this.
        keepalive: Time<SECOND, { 24 * HOUR }> = "60s",
        /// Most bytes of request headers; more is answered 431.
        max_header_bytes: Size<KIB, { 16 * MIB }> = "64KiB",
        /// Most request header fields; more is answered 431.
        max_headers: Int<1, 10_000> = "128",
        /// How long a stop waits for requests in flight.
        shutdown_grace: Time<0, HOUR> = "10s",
        /// How long a client may take to send its next bytes.
        read_timeout: Time<1, HOUR> = "30s",
        /// Sizes of guests; a change of them needs a restart.
        guests: Guests = "{}",
        /// Room for what all filters keep together, beside the `limits` of each; a change of it needs a restart.
        shared: Shared = "{}",
        /// Compiled modules are kept here, so that each is compiled once and not at every start; a change of it needs a
        /// restart.
        cache: Cache = "{}",
    }
}

section! {
    /// Where compiled modules are kept
    CacheParts {
        /// A folder that nobody else can write to; `$CACHE_DIRECTORY`, `$XDG_CACHE_HOME/sluice` or `~/.cache/sluice` when it
        /// is not there.
        path: Option<FilePath>,
        /// The key that they are sealed with, 32 bytes; the file `key` in the folder when it is not there. Whoever has it can
        /// have this host run any machine code.
        key: Option<FilePath>,
        /// Most bytes of all of them; those that were used least are removed.
        max: Size<MIB, { 1024 * GIB }> = "1GiB",
    }
}

section! {
    /// Sizes of guests
    Guests {
        /// Most guests of all filters alive at one time: one for each filter and worker, and while a new configuration
        /// is loaded twice as many; with `isolation: request` one for each request on its way.
        max: Int<1, 16_384> = "512",
        /// Stack of a guest. The threads that run guests have 2 MiB in all.
        stack: Size<{ 64 * KIB }, MIB> = "512KiB",
    }
}

section! {
    /// Room for what all filters keep together
    Shared {
        /// Bytes of shared data: keys, values, and 64 for each.
        data: Size<0, { 64 * GIB }> = "64MiB",
        /// Shared queues.
        queues: Int<0, 1_000_000> = "1024",
        /// Bytes of items in shared queues, and of the names of queues.
        queue_bytes: Size<0, { 64 * GIB }> = "64MiB",
        /// Metrics that filters define.
        metrics: Int<0, 1_000_000> = "4096",
    }
}

section! {
    /// The admin listener
    AdminParts {
        /// Where to listen; keep it on loopback.
        address: Bind = "127.0.0.1:9901",
        /// How many requests `/debug/requests` remembers with what their filters did; 0 remembers none and costs nothing.
        requests: Int<0, 1000> = "0",
    }
}

/// `off`, or where compiled modules are kept.
pub(crate) struct Cache(Option<plan::Cache>);

impl Shape for Cache {
    fn title() -> String {
        "`off`, or `{ path, key, max }`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [off(), CacheParts::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self(None));
        }
        if node.text().is_some() {
            return cx.mismatch(node, &Self::title(), "write `{ path: /var/cache/sluice }`");
        }
        let parts = CacheParts::read(node, cx)?;
        Some(Self(Some(plan::Cache {
            path: parts.path.map(|path| path.0),
            key: parts.key.map(|key| key.0),
            max: parts.max.0 as u64,
        })))
    }
}

/// `off`, or where.
pub(crate) struct Admin(Option<plan::Admin>);

impl Shape for Admin {
    fn title() -> String {
        "`off`, or `{ address, requests }`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [off(), AdminParts::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self(None));
        }
        if node.text().is_some() {
            return cx.mismatch(node, &Self::title(), "write `{ address: \"127.0.0.1:9901\" }`");
        }
        let parts = AdminParts::read(node, cx)?;
        let requests = usize::try_from(parts.requests.0).ok()?;
        Some(Self(Some(plan::Admin { address: parts.address.0, requests, at: parts.at })))
    }
}

impl Admin {
    pub(crate) fn plan(self) -> Option<plan::Admin> {
        self.0
    }
}

impl Server {
    pub(crate) fn plan(self) -> Option<plan::Server> {
        Some(plan::Server {
            workers: usize::try_from(self.workers.0).ok()?,
            keepalive: self.keepalive.0,
            max_header_bytes: self.max_header_bytes.0,
            max_headers: usize::try_from(self.max_headers.0).ok()?,
            shutdown_grace: self.shutdown_grace.0,
            read_timeout: self.read_timeout.0,
            guests: plan::Guests { max: u32::try_from(self.guests.max.0).ok()?, stack: self.guests.stack.0 },
            shared: plan::Shared {
                data: self.shared.data.0,
                queues: usize::try_from(self.shared.queues.0).ok()?,
                queue_bytes: self.shared.queue_bytes.0,
                metrics: usize::try_from(self.shared.metrics.0).ok()?,
            },
            cache: self.cache.0,
        })
    }
}
