//! The host: the engine, the linker and the state that all filters share; turns bytes into filters.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use sluice_abi::AbiVersion;
use sluice_engine::{Cache, Code, Digest, Engine, EngineOptions, Limits, MemoryTotal, Refusal, Sandbox};
use wasmtime::{ExternType, FuncType, InstancePre, Linker, Module};

use crate::{
    Cap, Caps, Exports, Filter, FilterSpec, Grants, HostError, Isolation, LoadError, Outside, SharedCaps,
    blueprint::{Blueprint, Slow},
    caps::{Bound, Full, Told},
    filter::Identity,
    health::Health,
    image::Image,
    linker,
    log_rate::LogRate,
    meter::Meter,
    pool::Pool,
    share::Share,
    shared::{Accounts, Metrics, Queues, SharedData},
    state::{Held, State},
};

/// What all guests reach through their hostcalls.
pub(crate) struct Services {
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) data: SharedData,
    pub(crate) queues: Queues,
    pub(crate) metrics: Metrics,
    pub(crate) accounts: Accounts,
}

impl Services {
    fn new(outside: Arc<dyn Outside>, shared: SharedCaps) -> Self {
        Self {
            outside,
            data: SharedData::new(shared.data),
            queues: Queues::new(shared),
            metrics: Metrics::new(shared.metrics),
            accounts: Accounts::default(),
        }
    }
}

/// Sizes that are fixed when the process starts.
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// Of guests.
    pub engine: EngineOptions,
    /// Of what all filters keep together.
    pub shared: SharedCaps,
    /// Where compiled modules are kept.
    pub cache: Option<Arc<Cache>>,
}

impl From<EngineOptions> for HostOptions {
    fn from(engine: EngineOptions) -> Self {
        Self { engine, ..Self::default() }
    }
}

/// One for the process.
pub struct Host {
    engine: Engine,
    linker: Linker<Held>,
    known: HashMap<(String, String), FuncType>,
    services: Arc<Services>,
}

impl Host {
    /// Sets up the engine and links the hostcall table.
    ///
    /// # Errors
    /// [`HostError`] when the system refuses address space or a thread.
    pub fn new(options: impl Into<HostOptions>, outside: Arc<dyn Outside>) -> Result<Self, HostError> {
        let HostOptions { engine, shared, cache } = options.into();
        let engine = Engine::new(engine)?.with_cache(cache);
        let linker = linker::build(engine.wasmtime()).map_err(HostError::Linker)?;
        let services = Arc::new(Services::new(outside, shared));
        let known = known_types(&engine, &linker, &services);
        Ok(Self { engine, linker, known, services })
    }

    /// A host on the same engine, so that code which this one compiled runs there; filters of the two share nothing else.
    #[must_use]
    pub fn beside(&self, outside: Arc<dyn Outside>) -> Self {
        let services = Services::new(outside, SharedCaps::default());
        Self {
            services: Arc::new(services),
            engine: self.engine.clone(),
            linker: self.linker.clone(),
            known: self.known.clone(),
        }
    }

    /// Every metric that filters defined, for whoever shows them.
    pub fn metrics(&self) -> Vec<crate::MetricSample> {
        self.services.metrics.samples()
    }

    /// What every filter did and cost since the process began, by name: all its versions together, those that are gone too.
    pub fn totals(&self) -> Vec<crate::Total> {
        self.services.accounts.totals()
    }

    /// Compiles a module for guests of this isolation and checks that it is a filter. Takes CPU seconds for large modules.
    ///
    /// # Errors
    /// [`LoadError`] that says what is wrong with it.
    pub fn compile(&self, bytes: &[u8], isolation: Isolation) -> Result<Code, LoadError> {
        let code = match isolation {
            Isolation::Shared => Code::compile(&self.engine, bytes)?,
            Isolation::Request => Code::compile_recording(&self.engine, bytes)?,
        };
        abi_version(code.module())?;
        self.linker_for(code.module())?;
        Ok(code)
    }

    /// Links, starts and configures a filter: one guest for each of `shards` workers.
    ///
    /// # Errors
    /// [`LoadError`] that says in which step and how.
    pub fn load(&self, spec: &FilterSpec, shards: usize) -> Result<Arc<Filter>, LoadError> {
        let module = spec.code.module();
        spec.grants.check(module)?;
        let identity = Identity {
            name: spec.name.as_str().into(),
            digest: spec.code.digest(),
            abi: abi_version(module)?,
            root_id: spec.root_id.clone(),
            vm_id: spec.vm_id.clone(),
            vm_config: Bytes::from(spec.vm_config.clone()),
            configs: spec.configs.iter().map(|c| Bytes::from(c.clone())).collect(),
            env: spec.env.iter().map(|(k, v)| format!("{k}={v}")).collect(),
            grants: spec.grants.clone(),
            caps: spec.caps,
            account: self.services.accounts.of(&spec.name),
            told: Told::default(),
            log_rate: LogRate::default(),
        };
        let identity = Arc::new(identity);
        let ceiling = if spec.caps.memory_total > 0 { spec.caps.memory_total } else { usize::MAX };
        let memory = Arc::new(MemoryTotal::new(ceiling));
        let meter = Arc::new(Meter::new(spec.cpu_share.map(Share::new), memory.clone()));
        identity.account.opened(meter.clone());
        let blueprint = Arc::new(Blueprint {
            engine: self.engine.clone(),
            image: Image::of(self.link(module)?, None)?,
            limits: self.limits(spec, &identity, memory),
            identity,
            services: self.services.clone(),
            cpu_per_call: spec.cpu_per_call,
            cpu_start: spec.cpu_start,
            meter,
            health: Health::new(spec.quarantine),
            slow: Slow::new(spec.cpu_warn),
        });
        let pool = Pool::build(&blueprint, spec.isolation, shards, &spec.code, |module| self.link(module))?;
        Ok(Arc::new(Filter::new(blueprint, pool, spec, exports(module))))
    }

    fn link(&self, module: &Module) -> Result<InstancePre<Held>, LoadError> {
        let pre = match self.linker_for(module)? {
            Some(own) => own.instantiate_pre(module),
            None => self.linker.instantiate_pre(module),
        };
        pre.map_err(|e| LoadError::MissingImports(vec![format!("{e:#}")]))
    }

    /// The ceilings of every guest of a filter; what they refuse is told of like every other cap.
    fn limits(&self, spec: &FilterSpec, identity: &Arc<Identity>, total: Arc<MemoryTotal>) -> Limits {
        let (identity, outside) = (identity.clone(), self.services.outside.clone());
        let (memory, caps) = (spec.memory, spec.caps);
        let on_refused = move |what: Refusal| {
            let (cap, limit) = match what {
                Refusal::Memory => (Cap::Memory, memory),
                Refusal::MemoryTotal => (Cap::MemoryTotal, caps.memory_total),
                Refusal::TableElements => (Cap::TableElements, caps.table_elements),
            };
            identity.capped(&*outside, Full(cap, Bound::Own, limit));
        };
        Limits {
            memory,
            table_elements: caps.table_elements,
            total: Some(total),
            on_refused: Some(Arc::new(on_refused)),
        }
    }

    /// Checks every import. A linker of the module's own when it imports functions of WASI that few modules do.
    fn linker_for(&self, module: &Module) -> Result<Option<Linker<Held>>, LoadError> {
        let mut own: Option<Linker<Held>> = None;
        let mut missing = Vec::new();
        for import in module.imports() {
            let (from, name) = (import.module(), import.name());
            let ExternType::Func(wanted) = import.ty() else {
                missing.push(format!("{from}.{name} (not a function)"));
                continue;
            };
            let known = self.known.get(&(from.to_owned(), name.to_owned()));
            if known.is_some_and(|known| known.matches(&wanted)) {
                continue;
            }
            let linker = own.get_or_insert_with(|| self.linker.clone());
            if !linker::adapt(linker, from, name, &wanted)
                .map_err(|e| LoadError::MissingImports(vec![format!("{e:#}")]))?
            {
                missing.push(match known {
                    Some(known) => format!("{from}.{name} as {wanted} (it is {known} here)"),
                    None => format!("{from}.{name}"),
                });
            }
        }
        missing.sort();
        missing.dedup();
        if missing.is_empty() { Ok(own) } else { Err(LoadError::MissingImports(missing)) }
    }
}

/// The type of everything that the common linker has.
fn known_types(
    engine: &Engine,
    linker: &Linker<Held>,
    services: &Arc<Services>,
) -> HashMap<(String, String), FuncType> {
    // A linker tells types only to a store, so one is made for this and thrown away.
    let nobody = Identity {
        name: "".into(),
        digest: Digest::of(&[]),
        abi: AbiVersion::V0_2_1,
        root_id: String::new(),
        vm_id: String::new(),
        vm_config: Bytes::new(),
        configs: Vec::new(),
        env: Vec::new(),
        grants: Grants::default(),
        caps: Caps::default(),
        account: Arc::default(),
        told: Told::default(),
        log_rate: LogRate::default(),
    };
    let mut sandbox = Sandbox::new(engine, State::new(Arc::new(nobody), services.clone()), Limits::default());
    let all: Vec<_> = linker
        .iter(&mut *sandbox.store())
        .filter_map(|(module, name, item)| Some((module.to_owned(), name.to_owned(), item.into_func()?)))
        .collect();
    all.into_iter().map(|(module, name, f)| ((module, name), f.ty(&*sandbox.store()))).collect()
}

fn abi_version(module: &Module) -> Result<AbiVersion, LoadError> {
    let mut unknown = None;
    for export in module.exports() {
        if let Some(version) = AbiVersion::from_marker(export.name()) {
            return Ok(version);
        }
        if export.name().starts_with("proxy_abi_") {
            unknown = Some(export.name().to_owned());
        }
    }
    let known = "0.1.0, 0.2.0 and 0.2.1";
    Err(LoadError::Abi(match unknown {
        Some(marker) => format!("speaks an ABI that is not known here ({marker}); known are {known}"),
        None if module.exports().any(|e| e.name() == "_start") => format!(
            "is no Proxy-Wasm filter: it exports no proxy_abi_version_… marker (known are {known}); it looks like a WASI command"
        ),
        None => format!("is no Proxy-Wasm filter: it exports no proxy_abi_version_… marker (known are {known})"),
    }))
}

fn exports(module: &Module) -> Exports {
    let has = |name: &str| module.get_export_index(name).is_some();
    Exports {
        request_body: has("proxy_on_request_body"),
        response_body: has("proxy_on_response_body"),
        response_trailers: has("proxy_on_response_trailers"),
        downstream_data: has("proxy_on_downstream_data"),
        upstream_data: has("proxy_on_upstream_data"),
        edits_bodies: module.imports().any(|i| i.module() == "env" && i.name() == "proxy_set_buffer_bytes"),
    }
}
