//! Configuration swaps without reading and compiling: what of a reload comes between two generations.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sluice_host::{Chain, Isolation};

use crate::{
    Scene, Work,
    exchange::module,
    guest::{Callback, guest},
    outside::{chain, exchange, spec},
};

/// Filters of the chain, and which of them is replaced.
const FILTERS: usize = 5;
const REPLACED: usize = 2;

const SMALL: &[Callback] = &[
    Callback::new("proxy_on_configure", &[("proxy_get_buffer_bytes", "7 0 64 2048 2056")]).returns(1),
    Callback::new("proxy_on_request_headers", &[("proxy_get_header_map_value", "0 0 9 2048 2056")]),
];

pub(crate) fn scenes() -> Vec<Scene> {
    let hello = |language| swap(&module(&format!("filters/{language}/hello/hello.wasm")), "{\"greeting\":\"hi\"}");
    vec![
        Scene::new("swap/small", || swap(&guest(SMALL), "a configuration")),
        Scene::new("swap/rust", move || hello("rust")).slow(),
        Scene::new("swap/go", move || hello("go")).slow(),
    ]
}

/// One filter of a chain is loaded anew from code that is there, as when only its configuration changed. The others are
/// taken over, the new chain is stored where requests find it, and the old filter ends, as no request has it any more.
/// The server does it for each worker's guest; here there is one.
fn swap(module: &[u8], config: &str) -> Work {
    let (host, chain) = chain(&guest(SMALL), "a configuration", FILTERS, Isolation::Shared);
    let code = host.compile(module, Isolation::Shared).expect("it compiles");
    let spec = spec(chain.links()[REPLACED].filter.name().as_ref(), &code, config, Isolation::Shared);
    let live = ArcSwap::from_pointee(chain);
    let swap = move || {
        let filter = host.load(&spec, 1).expect("it loads");
        let mut links = live.load().links().to_vec();
        links[REPLACED].filter = filter;
        live.store(Arc::new(Chain::new(links)));
        live.load_full()
    };
    // What cannot serve is found before it is measured.
    exchange(&swap());
    Box::new(move || drop(swap()))
}
