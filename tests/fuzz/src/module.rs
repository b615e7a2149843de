//! Modules that nobody wrote, as filters: whatever is in them, they are refused with an error, or run within their budgets.
//!
//! Nothing panics, an exchange through such a filter keeps its promises, and when it is over every guest has been given
//! back: as many as there is room for can be built.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arbitrary::Unstructured;
use sluice_host::{
    Chain, Code, Direction, EngineOptions, Facts, Filter, FilterSpec, Grants, Host, Isolation, Link, LoadError,
};

use crate::{
    flow::{BOTH, Flow, Promise},
    smith, world,
};

/// Bytes of a guest's memory.
const MEMORY: usize = 1 << 20;
/// Most guests at one time.
const GUESTS: u32 = 8;
/// Longer than a root may take to its end.
const ENDING: Duration = Duration::from_secs(6);

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let options = EngineOptions { max_guests: GUESTS, max_memory: MEMORY, ..EngineOptions::default() };
    Host::new(options, Arc::new(world::World)).expect("the host can be set up")
});
/// A filter that does nothing.
static CALM: LazyLock<Code> = LazyLock::new(|| {
    let wat = r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 0))"#;
    HOST.compile(&wat::parse_str(wat).expect("a module"), Isolation::Shared).expect("a filter")
});

/// What became of the modules so far.
#[derive(Default)]
struct Tally {
    runs: AtomicU64,
    made: AtomicU64,
    compiled: AtomicU64,
    loaded: AtomicU64,
    calls: AtomicU64,
    deaths: AtomicU64,
}

static TALLY: LazyLock<Tally> = LazyLock::new(Tally::default);

/// What became of the modules of this process, in a line.
pub fn modules_so_far() -> String {
    let of = |count: &AtomicU64| count.load(Relaxed);
    format!(
        "modules: {} runs, {} modules made, {} compiled as filters, {} loaded ({}% of those made), {} callbacks, {} deaths",
        of(&TALLY.runs),
        of(&TALLY.made),
        of(&TALLY.compiled),
        of(&TALLY.loaded),
        100 * of(&TALLY.loaded) / of(&TALLY.made).max(1),
        of(&TALLY.calls),
        of(&TALLY.deaths),
    )
}

/// Bytes that begin as a module does are one; others say how one is made, and what happens to it.
pub fn module(data: &[u8]) {
    let runs = TALLY.runs.fetch_add(1, Relaxed) + 1;
    world::begin(data);
    if data.starts_with(b"\0asm") {
        play(data, Isolation::Shared, true, false);
        play(data, Isolation::Request, true, false);
    } else {
        // Bytes that are used up go on as zeros: what is made is a module in any case.
        let _ = made(&mut Unstructured::new(data));
    }
    // What may still hold a guest goes.
    world::pass(ENDING);
    world::begin(&[]);
    let all = HOST.load(&FilterSpec { memory: MEMORY, ..FilterSpec::new("calm", CALM.clone()) }, GUESTS as usize);
    assert!(all.is_ok(), "a guest was not given back: {}", all.err().map(|e| e.to_string()).unwrap_or_default());
    drop(all);
    world::pass(ENDING);
    // A fuzzer ends without a word.
    if runs.is_power_of_two() {
        eprintln!("{}", modules_so_far());
    }
}

fn made(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let isolation = if u.ratio(1, 3)? { Isolation::Request } else { Isolation::Shared };
    let (fail_open, tcp) = (u.arbitrary()?, u.ratio(1, 8)?);
    let damaged = u.ratio(1, 8)?;
    let damage: [(u16, u8); 3] = u.arbitrary()?;
    let mut bytes = smith::module(u)?;
    TALLY.made.fetch_add(1, Relaxed);
    for (at, byte) in damage.into_iter().filter(|_| damaged) {
        let at = usize::from(at) % bytes.len();
        bytes[at] = byte;
    }
    play(&bytes, isolation, fail_open, tcp);
    Ok(())
}

/// Loads it, if it can be, and lets two exchanges through.
fn play(bytes: &[u8], isolation: Isolation, fail_open: bool, tcp: bool) {
    // What `inspect` reads of it.
    let facts = Facts::read(bytes);
    let Ok(code) = HOST.compile(bytes, isolation) else { return };
    assert!(facts.is_ok(), "a filter that cannot be inspected");
    TALLY.compiled.fetch_add(1, Relaxed);
    let Ok(filter) = load(code, isolation, fail_open) else { return };
    TALLY.loaded.fetch_add(1, Relaxed);
    let chain = Chain::new(vec![Link { filter: filter.clone(), configuration: 0 }]);
    for _ in 0..2 {
        exchange(&mut Flow::new(&chain, tcp, Promise::Nothing));
        world::pass(Duration::from_millis(200));
        world::answer();
    }
    let usage = filter.usage();
    TALLY.calls.fetch_add(usage.phases.iter().map(|phase| phase.calls()).sum(), Relaxed);
    TALLY.deaths.fetch_add(usage.crashes.iter().map(|(_, count)| count).sum(), Relaxed);
}

fn load(code: Code, isolation: Isolation, fail_open: bool) -> Result<Arc<Filter>, LoadError> {
    let spec = FilterSpec {
        isolation,
        fail_open,
        memory: MEMORY,
        cpu_per_call: Duration::from_millis(1),
        cpu_per_request: Duration::from_millis(2),
        cpu_start: Duration::from_millis(2),
        grants: Grants { callouts: None, ..Grants::all() },
        ..FilterSpec::new("made", code)
    };
    HOST.load(&spec, 1)
}

/// A head, a body in two pieces and its end on each side; whoever holds it is not waited for.
fn exchange(flow: &mut Flow) {
    for direction in [Direction::Request, Direction::Response] {
        for choice in [1, 20, 37, 225] {
            flow.feed(direction, choice);
            flow.listen();
        }
        flow.give_up(direction);
    }
    flow.drain();
    BOTH.into_iter().for_each(|direction| flow.close(direction));
    flow.finish();
}
