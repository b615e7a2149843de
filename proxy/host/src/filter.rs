//! One configured filter: its code linked, its guests pooled. Immutable and shared by all requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use sluice_abi::{AbiVersion, hostcalls::Hostcall, wasi::MODULES};
use sluice_engine::{Code, Digest};
use wasmtime::Module;

use crate::{
    Cap, Caps, LastError, LoadError, Quarantine, Usage, blueprint::Blueprint, caps::Told, log_rate::LogRate,
    pool::Pool, shared::Account,
};

/// What is needed to load a filter.
#[derive(Clone)]
pub struct FilterSpec {
    /// Its name in the configuration.
    pub name: String,
    /// Its compiled module.
    pub code: Code,
    /// Which root context of the module.
    pub root_id: String,
    /// Namespace of shared data and queues.
    pub vm_id: String,
    /// What `proxy_on_vm_start` reads.
    pub vm_config: String,
    /// What `proxy_on_configure` reads: one root context for each; at least one.
    pub configs: Vec<String>,
    /// What WASI shows as environment.
    pub env: BTreeMap<String, String>,
    /// Which guest a request meets.
    pub isolation: Isolation,
    /// Whether an exchange goes on without the filter when it fails.
    pub fail_open: bool,
    /// Pause in a headers callback holds only the head, and the body callbacks go on.
    pub stop_iteration: bool,
    /// CPU time of one callback.
    pub cpu_per_call: Duration,
    /// CPU time of all callbacks of one exchange.
    pub cpu_per_request: Duration,
    /// CPU time of start and configure together.
    pub cpu_start: Duration,
    /// CPU time a second of all its guests together; `None` sets no limit.
    pub cpu_share: Option<Duration>,
    /// A callback that takes more CPU time than this is told of.
    pub cpu_warn: Duration,
    /// When it is taken out of service.
    pub quarantine: Quarantine,
    /// Bytes of linear memory of one guest.
    pub memory: usize,
    /// Everything else that is limited.
    pub caps: Caps,
    /// What it may call.
    pub grants: Grants,
}

impl FilterSpec {
    /// A filter with an empty configuration, the default grants, and the limits of a small one: 10 ms of CPU a call, 50 ms
    /// an exchange, 1 s to start, 64 MiB of memory, and the default caps.
    pub fn new(name: impl Into<String>, code: Code) -> Self {
        Self {
            name: name.into(),
            code,
            root_id: String::new(),
            vm_id: String::new(),
            vm_config: String::new(),
            configs: vec![String::new()],
            env: BTreeMap::new(),
            isolation: Isolation::Shared,
            fail_open: false,
            stop_iteration: false,
            cpu_per_call: Duration::from_millis(10),
            cpu_per_request: Duration::from_millis(50),
            cpu_start: Duration::from_secs(1),
            cpu_share: None,
            cpu_warn: Duration::from_millis(5),
            quarantine: Quarantine::default(),
            memory: 64 << 20,
            caps: Caps::default(),
            grants: Grants::default(),
        }
    }
}

/// Which guest a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Isolation {
    /// One guest for each worker shard, many requests in it.
    #[default]
    Shared,
    /// A fresh guest for each request, started and configured for it.
    Request,
}

/// What a filter may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// A bit for each hostcall (see [`Hostcall::bit`]).
    pub hostcalls: u64,
    /// Names of WASI functions; `None` grants all that the host has.
    pub wasi: Option<Vec<String>>,
    /// Properties by path with dots, which grants all below it too; `None` grants all.
    pub properties: Option<Vec<String>>,
    /// Names of foreign functions; `None` grants all that the host has.
    pub foreign: Option<Vec<String>>,
    /// Upstreams and `host:port` that callouts may reach; `None` grants all.
    pub callouts: Option<Vec<String>>,
    /// Namespaces of shared data and queues; `None` grants the filter's own and those it is told the name of.
    pub shared_data: Option<Vec<String>>,
    /// A module that imports a hostcall or WASI function which is not granted is loaded all the same, and the call fails.
    pub loads_ungranted: bool,
}

impl Default for Grants {
    fn default() -> Self {
        // Callouts are calls like any other; what is granted by name is whom they may reach.
        Self { callouts: Some(Vec::new()), ..Self::all() }
    }
}

impl Grants {
    /// Every hostcall, every WASI function, every property.
    pub fn all() -> Self {
        Self::with(Hostcall::ALL.iter().map(|h| h.bit()).sum())
    }

    fn with(hostcalls: u64) -> Self {
        Self {
            hostcalls,
            wasi: None,
            properties: None,
            foreign: None,
            callouts: None,
            shared_data: None,
            loads_ungranted: false,
        }
    }

    /// What this module imports and is not granted: hostcalls and functions of WASI, each sorted and once.
    ///
    /// # Errors
    /// [`LoadError::Ungranted`] when there is any and the module is not to be loaded then.
    pub(crate) fn check(&self, module: &Module) -> Result<(), LoadError> {
        if self.loads_ungranted {
            return Ok(());
        }
        let (mut hostcalls, mut wasi) = (BTreeSet::new(), BTreeSet::new());
        for import in module.imports() {
            let name = import.name();
            if import.module() == "env"
                && Hostcall::from_name(name).is_some_and(|call| self.hostcalls & call.bit() == 0)
            {
                hostcalls.insert(name.to_owned());
            } else if MODULES.contains(&import.module()) && !self.wasi(name) {
                wasi.insert(name.to_owned());
            }
        }
        if hostcalls.is_empty() && wasi.is_empty() { Ok(()) } else { Err(LoadError::Ungranted { hostcalls, wasi }) }
    }

    pub(crate) fn wasi(&self, name: &str) -> bool {
        granted(&self.wasi, name.as_bytes())
    }

    pub(crate) fn callout(&self, upstream: &[u8]) -> bool {
        granted(&self.callouts, upstream)
    }

    pub(crate) fn foreign(&self, name: &[u8]) -> bool {
        granted(&self.foreign, name)
    }

    pub(crate) fn shared_data(&self, vm_id: &[u8]) -> bool {
        granted(&self.shared_data, vm_id)
    }

    /// Whether a property may be read or set; `path` has its segments joined by NUL.
    pub(crate) fn property(&self, path: &[u8]) -> bool {
        let same = |name: &str| {
            let mut pairs = name.bytes().zip(path);
            pairs.all(|(n, p)| n == *p || (n == b'.' && *p == 0))
                && (path.len() == name.len() || (path.len() > name.len() && path[name.len()] == 0))
        };
        self.properties.as_ref().is_none_or(|names| names.iter().any(|n| same(n)))
    }
}

fn granted(list: &Option<Vec<String>>, name: &[u8]) -> bool {
    list.as_ref().is_none_or(|names| names.iter().any(|n| n.as_bytes() == name))
}

/// Which filter a guest belongs to, as its hostcalls see it.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: Arc<str>,
    pub(crate) digest: Digest,
    pub(crate) abi: AbiVersion,
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) vm_config: Bytes,
    pub(crate) configs: Vec<Bytes>,
    /// `K=V`.
    pub(crate) env: Vec<String>,
    pub(crate) grants: Grants,
    pub(crate) caps: Caps,
    /// What it keeps in the shared state.
    pub(crate) account: Arc<Account>,
    pub(crate) told: Told,
    pub(crate) log_rate: LogRate,
}

/// One configured filter.
pub struct Filter {
    pub(crate) blueprint: Arc<Blueprint>,
    pub(crate) pool: Pool,
    pub(crate) fail_open: bool,
    pub(crate) stop_iteration: bool,
    pub(crate) cpu_per_request: Duration,
    pub(crate) exports: Exports,
}

/// What of the callback table matters before a guest is entered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exports {
    /// `proxy_on_request_body`.
    pub request_body: bool,
    /// `proxy_on_response_body`.
    pub response_body: bool,
    /// `proxy_on_response_trailers`.
    pub response_trailers: bool,
    /// `proxy_on_downstream_data`.
    pub downstream_data: bool,
    /// `proxy_on_upstream_data`.
    pub upstream_data: bool,
    /// Imports `proxy_set_buffer_bytes`.
    pub edits_bodies: bool,
}

impl Filter {
    pub(crate) fn new(blueprint: Arc<Blueprint>, pool: Pool, spec: &FilterSpec, exports: Exports) -> Self {
        Self {
            blueprint,
            pool,
            fail_open: spec.fail_open,
            stop_iteration: spec.stop_iteration,
            cpu_per_request: spec.cpu_per_request,
            exports,
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.blueprint.identity.name
    }

    /// What it was compiled from.
    pub fn digest(&self) -> Digest {
        self.blueprint.identity.digest
    }

    /// The ABI version that its module declares.
    pub fn abi(&self) -> AbiVersion {
        self.blueprint.identity.abi
    }

    /// What of the callback table matters to an embedder.
    pub fn exports(&self) -> Exports {
        self.exports
    }

    /// What it did and cost since it was loaded.
    pub fn usage(&self) -> Usage {
        self.blueprint.meter.usage()
    }

    /// CPU time that one callback may take, and all callbacks of one exchange.
    pub fn budgets(&self) -> (Duration, Duration) {
        (self.blueprint.cpu_per_call, self.cpu_per_request)
    }

    /// How many of its guests live.
    pub fn guests(&self) -> u64 {
        self.blueprint.meter.guests()
    }

    /// Whether it is out of service after too many crashes.
    pub fn is_quarantined(&self) -> bool {
        self.blueprint.health.is_out()
    }

    /// What went wrong last with it, or with an earlier version of it.
    pub fn last_error(&self) -> Option<LastError> {
        self.blueprint.identity.account.last_error()
    }

    /// How often each cap was met since a filter of this name was loaded first.
    pub fn capped(&self) -> impl Iterator<Item = (Cap, u64)> + '_ {
        Cap::ALL.iter().map(|cap| (*cap, self.blueprint.identity.account.hits(*cap)))
    }

    /// Ends every guest now, whatever waits in it: exchanges that still meet the filter fail, and no guest is built any
    /// more. Guests that requests have of their own end with those.
    pub fn cut_off(&self) {
        self.pool.cut_off();
    }

    /// Ends it before its last holder is gone, as dropping it does: its roots are told and may take their time.
    pub fn end(&self) {
        self.pool.end();
    }

    /// Number of root contexts, one for each configuration.
    pub fn roots(&self) -> usize {
        self.blueprint.identity.configs.len()
    }
}

/// The last exchange is over and no configuration names the filter any more.
impl Drop for Filter {
    fn drop(&mut self) {
        self.pool.end();
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").field("name", self.name()).field("digest", &self.digest()).finish_non_exhaustive()
    }
}
