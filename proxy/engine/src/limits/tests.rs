//! What guests may grow to, alone and together.

use std::{sync::Mutex, time::Duration};

use wasmtime::{Linker, TypedFunc};

use super::*;
use crate::{Code, Crash, Engine, EngineOptions, Sandbox};

const PAGE: usize = 64 << 10;
const BUDGET: Duration = Duration::from_secs(5);
const GROWS: &str = r#"(module (memory 2) (table 3 funcref)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "widen") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;

fn engine() -> Engine {
    Engine::new(EngineOptions { max_guests: 4, ..EngineOptions::default() }).expect("an engine")
}

fn start(engine: &Engine, text: &str, limits: &Limits) -> Result<(Sandbox<()>, TypedFunc<i32, i32>), Box<Crash>> {
    let code = Code::compile(engine, &wat::parse_str(text).expect("valid text")).expect("compiles");
    let pre = Linker::new(engine.wasmtime()).instantiate_pre(code.module()).expect("links");
    let mut sandbox = Sandbox::new(engine, (), limits.clone());
    let instance = sandbox.instantiate(&pre, BUDGET)?;
    let grow = instance.get_typed_func(sandbox.store(), "grow").expect("exported");
    Ok((sandbox, grow))
}

/// Limits that note what they refuse.
fn noted(limits: Limits) -> (Limits, Arc<Mutex<Vec<Refusal>>>) {
    let notes: Arc<Mutex<Vec<Refusal>>> = Arc::default();
    let tell = notes.clone();
    let on_refused = move |what| tell.lock().expect("a lock").push(what);
    (Limits { on_refused: Some(Arc::new(on_refused)), ..limits }, notes)
}

#[test]
fn two_guests_share_a_total_and_a_guest_that_is_gone_gives_its_part_back() {
    let engine = engine();
    let total = Arc::new(MemoryTotal::new(6 * PAGE));
    let (limits, notes) = noted(Limits { total: Some(total.clone()), ..Limits::default() });
    let (mut first, grow_first) = start(&engine, GROWS, &limits).expect("starts");
    let (mut second, grow_second) = start(&engine, GROWS, &limits).expect("starts");
    assert_eq!(total.used(), 4 * PAGE, "what a guest begins with counts too");
    assert_eq!(first.call(&grow_first, 2, BUDGET).expect("runs"), 2, "exactly to the ceiling");
    assert_eq!(second.call(&grow_second, 1, BUDGET).expect("runs"), -1, "one page above");
    assert_eq!(*notes.lock().expect("a lock"), [Refusal::MemoryTotal]);
    let Err(crash) = start(&engine, GROWS, &limits) else { panic!("a third guest finds no room") };
    assert_eq!(crash.kind, crate::CrashKind::MemoryExceeded);
    assert!(crash.message.contains("memory_total allows 393216 for all guests together, of which 393216"), "{crash}");
    drop(first);
    assert_eq!(total.used(), 2 * PAGE);
    assert_eq!(second.call(&grow_second, 4, BUDGET).expect("runs"), 2);
    drop(second);
    assert_eq!(total.used(), 0);
}

#[test]
fn what_a_module_forbids_itself_takes_nothing_and_is_no_refusal() {
    let engine = engine();
    let total = Arc::new(MemoryTotal::new(100 * PAGE));
    let (limits, notes) = noted(Limits { total: Some(total.clone()), ..Limits::default() });
    let text = GROWS.replace("(memory 2)", "(memory 2 3)");
    let (mut sandbox, grow) = start(&engine, &text, &limits).expect("starts");
    for (pages, answer) in [(2, -1), (1, 2), (65_536, -1), (1, -1)] {
        assert_eq!(sandbox.call(&grow, pages, BUDGET).expect("runs"), answer, "{pages}");
    }
    assert_eq!((total.used(), sandbox.memory_bytes()), (3 * PAGE, 3 * PAGE));
    assert!(notes.lock().expect("a lock").is_empty());
}

#[test]
fn each_refusal_is_named() {
    let engine = engine();
    let (limits, notes) = noted(Limits { memory: 3 * PAGE, table_elements: 5, ..Limits::default() });
    let (mut sandbox, grow) = start(&engine, GROWS, &limits).expect("starts");
    for (pages, answer) in [(2, -1), (1, 2), (1, -1)] {
        assert_eq!(sandbox.call(&grow, pages, BUDGET).expect("runs"), answer, "{pages}");
    }
    assert_eq!(std::mem::take(&mut *notes.lock().expect("a lock")), [Refusal::Memory; 2]);
    drop(sandbox);
    let text = GROWS.replace("\"grow\"", "\"unused\"").replace("\"widen\"", "\"grow\"");
    let (mut sandbox, widen) = start(&engine, &text, &limits).expect("starts");
    for (elements, answer) in [(3, -1), (2, 3), (1, -1)] {
        assert_eq!(sandbox.call(&widen, elements, BUDGET).expect("runs"), answer, "{elements}");
    }
    assert_eq!(*notes.lock().expect("a lock"), [Refusal::TableElements; 2]);
}

#[test]
fn a_guest_may_have_all_of_its_address_space() {
    let engine = engine();
    let limits = Limits { memory: 4 << 30, ..Limits::default() };
    let (mut sandbox, grow) = start(&engine, GROWS, &limits).expect("starts");
    assert_eq!(sandbox.call(&grow, 65_534, BUDGET).expect("runs"), 2);
    assert_eq!(sandbox.memory_bytes(), 4 << 30);
}
