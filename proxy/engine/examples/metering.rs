//! What holding a guest to its budget costs: calls and loops here, and in a plain Wasmtime that cannot stop them.
//!
//! ```text
//! cargo run --release -p sluice-engine --example metering
//! ```

#![allow(clippy::print_stdout, reason = "it is here to show something")]

use std::{
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use sluice_engine::{Code, Engine, EngineOptions, Inside, Limits, Sandbox};
use wasmtime::{Config, Linker, Module, OptLevel, Store};

const TEXT: &str = r#"(module
    (func (export "nothing") (param i32) (result i32) local.get 0)
    (func (export "loop") (param i32) (result i32) (local $sum i32)
      (loop (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (local.get 0)))
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      local.get $sum))"#;
const ROUNDS: usize = 21;
const CALLS: u32 = 200_000;
const TURNS: i32 = 20_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let bytes = wat::parse_str(TEXT)?;
    let engine = Engine::new(EngineOptions { max_guests: 4, ..EngineOptions::default() })?;
    let code = Code::compile(&engine, &bytes)?;
    let pre = Linker::<Inside<()>>::new(engine.wasmtime()).instantiate_pre(code.module())?;
    let mut sandbox = Sandbox::new(&engine, (), Limits::default());
    sandbox.instantiate(&pre, Duration::from_secs(1)).map_err(|crash| crash.to_string())?;
    let export = |name: &str| code.module().get_export_index(name).ok_or("an export is missing");
    let held = |sandbox: &mut Sandbox<()>, name| -> Result<_, Box<dyn Error>> {
        Ok(sandbox.function::<i32, i32>(&export(name)?).ok_or("not a function")?)
    };
    let (held_nothing, held_loop) = (held(&mut sandbox, "nothing")?, held(&mut sandbox, "loop")?);

    let plain = wasmtime::Engine::new(Config::new().cranelift_opt_level(OptLevel::Speed))?;
    let mut store = Store::new(&plain, ());
    let instance = Linker::new(&plain).instantiate(&mut store, &Module::new(&plain, &bytes)?)?;
    let plain_nothing = instance.get_typed_func::<i32, i32>(&mut store, "nothing")?;
    let plain_loop = instance.get_typed_func::<i32, i32>(&mut store, "loop")?;

    let budget = Duration::from_secs(10);
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let nanos = |began: Instant, n: f64| began.elapsed().as_nanos() as f64 / n;
        let began = Instant::now();
        for n in 0..CALLS {
            black_box(sandbox.call(&held_nothing, n as i32, budget).map_err(|crash| crash.to_string())?);
        }
        times[0].push(nanos(began, CALLS.into()));
        let began = Instant::now();
        for n in 0..CALLS {
            black_box(plain_nothing.call(&mut store, n as i32)?);
        }
        times[1].push(nanos(began, CALLS.into()));
        let began = Instant::now();
        black_box(sandbox.call(&held_loop, TURNS, budget).map_err(|crash| crash.to_string())?);
        times[2].push(nanos(began, TURNS.into()));
        let began = Instant::now();
        black_box(plain_loop.call(&mut store, TURNS)?);
        times[3].push(nanos(began, TURNS.into()));
    }
    let [call, plain_call, turn, plain_turn] = times.map(|mut of| {
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    });
    println!("| | held to a budget | not held | ratio |\n| --- | --- | --- | --- |");
    println!("| a call, ns | {call:.1} | {plain_call:.1} | {:.2} |", call / plain_call);
    println!("| one turn of a tight loop, ns | {turn:.3} | {plain_turn:.3} | {:.2} |", turn / plain_turn);
    Ok(())
}
