//! What swaps cost those who only send requests: rounds with and without them take turns.

use std::{
    thread,
    time::{Duration, Instant},
};

use sluice_benches::{Figures, Hello, Load, Proxy, Report, Style, Version, ratio};

use crate::Run;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
/// Swaps in a second.
const RATES: [u32; 3] = [0, 1, 10];

/// What the rounds came to.
#[derive(Default)]
pub(crate) struct Rounds {
    pub(crate) p50: Figures,
    pub(crate) p99: Figures,
    pub(crate) p999: Figures,
    pub(crate) throughput: Figures,
    /// Microseconds of the proxy for each request.
    pub(crate) cpu: Figures,
    pub(crate) failed: u64,
    pub(crate) swaps: usize,
}

/// Modules of versions that count up.
pub(crate) struct Next<'a> {
    pub(crate) number: u64,
    pub(crate) module: &'a dyn Fn(u64) -> Vec<u8>,
}

impl Next<'_> {
    pub(crate) fn module(&mut self) -> Vec<u8> {
        self.number += 1;
        (self.module)(self.number)
    }
}

pub(crate) fn run(run: &Run, report: &mut Report) {
    report.heading("Latency and throughput with swapping against without");
    report.say(format!(
        "{ROUNDS} rounds of {} s each; a closed loop of {} connections, `debounce: 10ms`. Each swap is to a module that was\n\
         never seen: the same cores compile it. What comes while one is compiled is one swap after it. Ratios are to the\n\
         round without swaps beside it.",
        ROUND.as_secs(),
        Style::SATURATING.connections
    ));
    let rust = Hello::new("rust");
    let name = format!("hello, Rust, {} KiB", rust.kib());
    measure(run, report, "made of text, below 1 KiB", &|number| Version::new(number).module());
    measure(run, report, &name, &|number| rust.version(number));
}

fn measure(run: &Run, report: &mut Report, filter: &str, module: &dyn Fn(u64) -> Vec<u8>) {
    let mut next = Next { number: 0, module };
    let proxy = Proxy::start(&run.yaml("debounce: 10ms"), &[("v.wasm", &next.module())]);
    let load = Load::start(proxy.address, Style::SATURATING);
    thread::sleep(Duration::from_secs(1));
    let mut all: [Rounds; RATES.len()] = Default::default();
    for _ in 0..ROUNDS {
        for (rounds, rate) in all.iter_mut().zip(RATES) {
            round(&proxy, &load, rate, rounds, &mut next);
        }
    }
    report.say(format!("\nFilter: {filter}\n"));
    report.table(&[
        "swaps asked for a second",
        "swapped",
        "failed",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "CPU µs a request",
    ]);
    let [without, ..] = &all;
    for (rounds, rate) in all.iter().zip(RATES) {
        let mut cells = vec![rate.to_string(), rounds.swaps.to_string(), rounds.failed.to_string()];
        let figures = |r: &Rounds| [r.throughput.clone(), r.p50.clone(), r.p99.clone(), r.p999.clone(), r.cpu.clone()];
        for (with, without) in figures(rounds).iter().zip(figures(without)) {
            let ratio = ratio(with, &without);
            cells.push(if rate == 0 { with.to_string() } else { format!("{with}; **{ratio}** x") });
        }
        report.row(&cells);
    }
}

/// One round at so many swaps a second.
pub(crate) fn round(proxy: &Proxy, load: &Load, rate: u32, rounds: &mut Rounds, next: &mut Next<'_>) {
    let (swaps, cpu) = (proxy.said("the new configuration serves"), proxy.process().cpu());
    load.take();
    let began = Instant::now();
    if rate == 0 {
        thread::sleep(ROUND);
    } else {
        let mut at = Duration::ZERO;
        while at < ROUND {
            proxy.put("v.wasm", &next.module());
            at += Duration::from_secs(1) / rate;
            thread::sleep(at.saturating_sub(began.elapsed()));
        }
    }
    let tally = load.take();
    let took = tally.began.elapsed();
    let cpu = proxy.process().cpu() - cpu;
    let at = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1e6;
    rounds.p50.push(at(0.5));
    rounds.p99.push(at(0.99));
    rounds.p999.push(at(0.999));
    rounds.throughput.push(tally.requests as f64 / took.as_secs_f64());
    rounds.cpu.push(cpu.as_secs_f64() * 1e6 / tally.requests as f64);
    rounds.failed += tally.failed;
    rounds.swaps += proxy.said("the new configuration serves") - swaps;
    // What this round began comes to its end before the next one.
    load.mark(next.number);
    load.first();
    thread::sleep(Duration::from_millis(200));
}
