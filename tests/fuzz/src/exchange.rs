//! Exchanges in any order of events, with guests that call anything and return anything.
//!
//! The guest is the fixture `probe` in its word `chaos`. Whatever the bytes say: nothing panics, every stream that was
//! created in a guest is deleted there, bytes that nobody may change come out as they went in, and nothing is left.

use std::{
    fs,
    sync::{Arc, LazyLock},
    time::Duration,
};

use sluice_host::{
    Caps, Chain, Code, EngineOptions, Filter, FilterSpec, Grants, Host, Hostcall, Isolation, Link, LoadError,
};

use crate::{
    flow::{BOTH, Flow, Promise},
    world::{self, World},
};

const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.build/fixtures/probe.wasm");
/// Most exchanges at one time, and most events.
const MAX_FLOWS: usize = 4;
const MAX_EVENTS: usize = 300;

static HOST: LazyLock<Host> =
    LazyLock::new(|| Host::new(EngineOptions::default(), Arc::new(World)).expect("the host can be set up"));
static CODE: LazyLock<Code> = LazyLock::new(|| {
    let bytes = fs::read(PROBE).expect("run `tools/build-guests.sh fixtures` first");
    HOST.compile(&bytes, Isolation::Shared).expect("a filter")
});

/// What a filter may do so that the promise can be kept.
fn grants(promise: Promise) -> Grants {
    use Hostcall as H;
    let mut grants = Grants { callouts: Some(vec!["u".into()]), ..Grants::all() };
    if promise != Promise::Nothing {
        for denied in [H::proxy_set_buffer_bytes, H::proxy_send_local_response, H::proxy_close_stream] {
            grants.hostcalls &= !denied.bit();
        }
    }
    grants
}

fn filter(number: usize, promise: Promise) -> Result<Arc<Filter>, LoadError> {
    let how = world::byte();
    let spec = FilterSpec {
        // Two namespaces, and little in them: they outlive the filters.
        vm_id: if how & 1 == 0 { String::new() } else { "v".into() },
        configs: vec![String::new(); usize::from(how >> 1 & 1) + 1],
        env: [("SCRIPT".to_owned(), "*: chaos".to_owned())].into(),
        isolation: if how & 4 == 0 { Isolation::Shared } else { Isolation::Request },
        fail_open: promise == Promise::All || how & 8 == 0,
        stop_iteration: how & 16 == 0,
        cpu_per_call: Duration::from_secs(20),
        cpu_per_request: Duration::from_secs(100),
        cpu_start: Duration::from_secs(20),
        memory: 16 << 20,
        caps: Caps { body_buffer: if promise == Promise::Nothing { 64 } else { 1 << 20 }, ..Caps::default() },
        cpu_warn: Duration::from_secs(20),
        grants: grants(promise),
        ..FilterSpec::new(format!("filter {number}"), CODE.clone())
    };
    HOST.load(&spec, 1)
}

/// Plays what the bytes say.
pub fn exchange(data: &[u8]) {
    world::begin(data);
    let setup = world::byte();
    let promise = [Promise::Nothing, Promise::Order, Promise::All][usize::from(setup) % 3];
    let count = usize::from(setup / 3) % 3 + 1;
    // A guest that dies while it is configured is a filter that does not load.
    let Ok(filters) = (0..count).map(|number| filter(number, promise)).collect::<Result<Vec<_>, _>>() else { return };
    let links = |filter: &Arc<Filter>| {
        (0..filter.roots()).map(|configuration| Link { filter: filter.clone(), configuration }).collect::<Vec<_>>()
    };
    let chain = Chain::new(filters.iter().flat_map(links).collect());
    drop(filters);
    play(&chain, promise);
    world::no_stream_is_left();
    drop(chain);
    world::no_guest_is_left();
}

fn play(chain: &Chain, promise: Promise) {
    let mut flows: Vec<Flow> = Vec::new();
    for _ in 0..MAX_EVENTS {
        if !world::more() {
            break;
        }
        let (what, choice) = (world::byte(), world::byte());
        let direction = BOTH[usize::from(what & 1)];
        let at = usize::from(what >> 1 & 7) % flows.len().max(1);
        let room = flows.len() < MAX_FLOWS;
        let Some(flow) = flows.get_mut(at) else {
            flows.push(Flow::new(chain, choice.is_multiple_of(4), promise));
            continue;
        };
        match what >> 4 {
            0..8 => flow.feed(direction, choice),
            8 | 9 => flow.listen(),
            10 => flow.give_up(direction),
            11 => world::pass(Duration::from_millis(choice.into())),
            12 => drop(world::answer()),
            13 if room => flows.push(Flow::new(chain, choice.is_multiple_of(4), promise)),
            13 => flow.finish(),
            14 => flow.close(direction),
            // The client has gone.
            _ => drop(flows.swap_remove(at)),
        }
    }
    flows.iter_mut().filter(|flow| !flow.over).for_each(Flow::drain);
}
