//! What a sandbox must stop, and how it must say so.

use quanta::Instant;
use wasmtime::Linker;

use super::*;
use crate::{Code, CrashKind, EngineOptions};

const BUDGET: Duration = Duration::from_millis(5);

fn sandbox(engine: &Engine, text: &str, limits: Limits) -> (Sandbox<u32>, Instance) {
    let code = Code::compile(engine, &wat::parse_str(text).expect("valid text")).expect("compiles");
    let mut linker: Linker<Inside<u32>> = Linker::new(engine.wasmtime());
    linker.func_wrap("env", "panic", || -> () { panic!("on purpose") }).expect("defines");
    linker.func_wrap("env", "exit", || -> wasmtime::Result<()> { Err(crate::GuestExit(3).into()) }).expect("defines");
    linker.func_wrap("env", "sleep", || std::thread::sleep(Duration::from_millis(80))).expect("defines");
    let pre = linker.instantiate_pre(code.module()).expect("links");
    let mut sandbox = Sandbox::new(engine, 7, limits);
    let instance = sandbox.instantiate(&pre, BUDGET).expect("starts");
    (sandbox, instance)
}

fn engine() -> Engine {
    Engine::new(EngineOptions { max_guests: 4, ..EngineOptions::default() }).expect("an engine")
}

fn crash(text: &str) -> Crash {
    let engine = engine();
    let (mut sandbox, instance) = sandbox(&engine, text, Limits { memory: 1 << 20, ..Limits::default() });
    let f = instance.get_typed_func::<(), ()>(sandbox.store(), "f").expect("exported");
    *sandbox.call(&f, (), BUDGET).expect_err("crashes")
}

#[test]
fn an_endless_loop_ends_with_its_budget() {
    let crash = crash("(module (func $spin (export \"f\") (loop br 0)))");
    assert_eq!(crash.kind, CrashKind::CpuExceeded);
    assert!(crash.budget == BUDGET && crash.used >= BUDGET, "{crash:?}");
    assert!(crash.frames[0].contains("spin"), "{:?}", crash.frames);
}

#[test]
fn an_endless_loop_ends_between_long_ticks_too() {
    let engine = engine();
    let (mut sandbox, instance) = sandbox(&engine, "(module (func (export \"f\") (loop br 0)))", Limits::default());
    let f = instance.get_typed_func::<(), ()>(sandbox.store(), "f").expect("exported");
    let ample = BUDGET * 10;
    let crash = sandbox.call(&f, (), ample).expect_err("crashes");
    assert_eq!(crash.kind, CrashKind::CpuExceeded);
    assert!(crash.budget == ample && crash.used >= ample, "{crash:?}");
}

#[test]
fn an_endless_loop_ends_even_after_the_ticker_slept() {
    let engine = engine();
    let (mut sandbox, instance) = sandbox(&engine, "(module (func (export \"f\") (loop br 0)))", Limits::default());
    let f = instance.get_typed_func::<(), ()>(sandbox.store(), "f").expect("exported");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(sandbox.call(&f, (), BUDGET).expect_err("crashes").kind, CrashKind::CpuExceeded);
}

#[test]
fn traps_recursion_exits_and_host_panics_are_told_apart() {
    assert_eq!(crash("(module (func (export \"f\") unreachable))").kind, CrashKind::Trap);
    let deep = crash("(module (func $f (export \"f\") call $f))");
    assert_eq!(deep.kind, CrashKind::Trap);
    assert!(deep.message.contains("stack"), "{deep}");
    let exit = crash("(module (import \"env\" \"exit\" (func $e)) (func (export \"f\") call $e))");
    assert_eq!(exit.kind, CrashKind::Exit(3));
    let panicked = crash("(module (import \"env\" \"panic\" (func $p)) (func (export \"f\") call $p))");
    assert_eq!(panicked.kind, CrashKind::HostPanic);
    assert!(panicked.message.contains("on purpose"));
}

#[test]
fn growth_above_the_ceiling_fails_softly_and_a_death_of_it_is_named() {
    let engine = engine();
    let text = r#"(module (memory 1) (func (export "f") (result i32) (memory.grow (i32.const 100))))"#;
    let (mut sandbox, instance) = sandbox(&engine, text, Limits { memory: 1 << 20, ..Limits::default() });
    let f = instance.get_typed_func::<(), i32>(sandbox.store(), "f").expect("exported");
    assert_eq!(sandbox.call(&f, (), BUDGET).expect("no crash"), -1);
    assert_eq!(sandbox.memory_bytes(), 64 << 10);

    let fatal = crash(r#"(module (memory 1) (func (export "f") (drop (memory.grow (i32.const 100))) unreachable))"#);
    assert_eq!(fatal.kind, CrashKind::MemoryExceeded);
}

#[test]
fn waiting_for_the_processor_is_not_counted() {
    let engine = engine();
    let text = "(module (import \"env\" \"sleep\" (func $s)) (func $g) (func (export \"f\") call $s call $g))";
    let (mut sandbox, instance) = sandbox(&engine, text, Limits::default());
    let f = instance.get_typed_func::<(), ()>(sandbox.store(), "f").expect("exported");
    sandbox.call(&f, (), BUDGET).expect("sleeping is no crime");
    assert!(sandbox.last_used() < Duration::from_millis(40), "{:?}", sandbox.last_used());
}

#[test]
fn a_guest_that_waits_for_a_busy_core_is_not_killed() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    // Some milliseconds of work. How many they are on this machine is known before it is busy.
    let text = r#"(module (func (export "f") (local $n i32)
        (loop (local.set $n (i32.add (local.get $n) (i32.const 1))) (br_if 0 (i32.lt_u (local.get $n) (i32.const 20000000))))))"#;
    let begin = || {
        let engine = engine();
        let (mut sandbox, instance) = sandbox(&engine, text, Limits::default());
        let f = instance.get_typed_func::<(), ()>(sandbox.store(), "f").expect("exported");
        (sandbox, f)
    };
    let (mut alone, f) = begin();
    alone.call(&f, (), Duration::from_mins(1)).expect("it has time");
    let budget = alone.last_used() * 4;

    // Everything on one core: this thread and sixteen that never wait.
    let allowed = sched_getaffinity(None).expect("the cores of this process");
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).expect("a core"));
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let busy: Vec<_> = (0..16)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                sched_setaffinity(None, &one).expect("one core");
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {}
            })
        })
        .collect();
    sched_setaffinity(None, &one).expect("one core");

    let (mut sandbox, f) = begin();
    // Each of seventeen threads gets its turn, so a call takes about seventeen times as long as it did.
    let waited = (0..100).any(|_| {
        let began = Instant::now();
        sandbox.call(&f, (), budget).expect("it used little of its budget");
        assert!(sandbox.last_used() < budget);
        began.elapsed() > budget
    });
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().expect("it ends"));
    assert!(waited, "no call ever took longer than its budget by the clock on the wall");
}
