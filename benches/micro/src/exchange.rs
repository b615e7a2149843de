//! Whole exchanges through chains, and what guests and modules cost to make.

use std::{fs, path::Path, sync::Arc};

use sluice_host::{Cache, EngineOptions, HostOptions, Isolation};

use crate::{
    Scene, Work,
    outside::{chain, exchange, host},
    root,
};

pub(crate) fn scenes() -> Vec<Scene> {
    let noop = |count| Scene::new(format!("exchange/{count}"), move || walk("noop", "", count, Isolation::Shared));
    let mut scenes: Vec<_> = [0, 1, 2, 5, 10].map(noop).into();
    scenes.extend([
        Scene::new("exchange/tag", || walk("tag", "tag", 1, Isolation::Shared)),
        // Slow to set up under valgrind, which has to compile three megabytes.
        Scene::new("exchange/go", || go(Isolation::Shared)).slow(),
        Scene::new("instance/request", || walk("noop", "", 1, Isolation::Request)),
        Scene::new("instance/request-go", || go(Isolation::Request)).slow(),
        Scene::new("instance/shared", load).slow(),
        Scene::new("module/compile", compile).slow(),
        Scene::new("module/from-cache", from_cache).slow(),
    ]);
    scenes
}

/// A module that was built from source.
pub(crate) fn module(path: &str) -> Vec<u8> {
    let file = root().join(path);
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}: run `make filters`", file.display()))
}

fn fixture(name: &str) -> Vec<u8> {
    module(&format!(".build/fixtures/{name}.wasm"))
}

fn walk(name: &str, config: &str, count: usize, isolation: Isolation) -> Work {
    let (host, chain) = chain(&fixture(name), config, count, isolation);
    Box::new(move || {
        let _alive = &host;
        exchange(&chain);
    })
}

fn go(isolation: Isolation) -> Work {
    let (host, chain) = chain(&module("filters/go/hello/hello.wasm"), "{\"greeting\":\"hi\"}", 1, isolation);
    Box::new(move || {
        let _alive = &host;
        exchange(&chain);
    })
}

/// A guest that is started and configured, for one shard.
fn load() -> Work {
    let module = fixture("tag");
    let host = host();
    let code = host.compile(&module, Isolation::Shared).expect("it compiles");
    let spec = sluice_host::FilterSpec::new("tag", code);
    Box::new(move || drop(host.load(&spec, 1).expect("it loads")))
}

fn compile() -> Work {
    let (host, module) = (host(), module("filters/rust/hello/hello.wasm"));
    Box::new(move || drop(host.compile(&module, Isolation::Shared).expect("it compiles")))
}

fn from_cache() -> Work {
    let folder = tempfile::tempdir().expect("a folder");
    let module = module("filters/rust/hello/hello.wasm");
    let host = cached(folder.path());
    host.compile(&module, Isolation::Shared).expect("it compiles");
    Box::new(move || {
        let _kept = &folder;
        let code = host.compile(&module, Isolation::Shared).expect("it loads");
        assert!(code.was_cached(), "it comes from the cache");
    })
}

fn cached(folder: &Path) -> sluice_host::Host {
    let cache = Arc::new(Cache::open(folder, None, u64::MAX).expect("a cache"));
    let options = HostOptions { engine: EngineOptions::default(), cache: Some(cache), ..HostOptions::default() };
    sluice_host::Host::new(options, crate::outside::nobody()).expect("a host")
}
