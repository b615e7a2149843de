//! Hot swaps as clients feel them: `make bench-swap`.
//!
//! ```text
//! cargo run --release -p sluice-benches --bin swap -- [--long] [--only many,cost,delay,start,growth,rollback,nice]
//! ```
//! `--long` goes on to 10,000 swaps where the memory is watched. `SLUICE=path` measures another binary than that of
//! this build. `nice` runs only when it is asked for. A run of everything else is kept in `benches/report/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on ends there")]

mod cost;
mod delay;
mod growth;
mod many;
mod nice;
mod rollback;
mod start;

use std::{net::SocketAddr, time::Instant};

use sluice_benches::{Backend, Report, machine};

/// One part of the report.
type Part = fn(&Run, &mut Report);

const PARTS: [(&str, Part); 7] = [
    ("many", many::run),
    ("cost", cost::run),
    ("delay", delay::run),
    ("start", start::run),
    ("growth", growth::run),
    ("rollback", rollback::run),
    ("nice", nice::run),
];

/// What all parts are given.
struct Run {
    backend: Backend,
    long: bool,
}

impl Run {
    /// One filter `v` from `DIR/v.wasm` in front of the backend.
    fn yaml(&self, reload: &str) -> String {
        yaml(self.backend.address, &["v"], reload)
    }
}

/// Filters in front of this upstream, each from the file of its name.
fn yaml(upstream: SocketAddr, filters: &[&str], reload: &str) -> String {
    let each: Vec<_> = filters
        .iter()
        .map(|f| format!("  {f}: {{ source: {{ path: DIR/{f}.wasm }}, config: {{ greeting: hi }} }}\n"))
        .collect();
    format!(
        "listeners: [{{ address: \"127.0.0.1:0\" }}]
server: {{ cache: {{ path: DIR/cache }} }}
telemetry: {{ access_log: off }}
reload: {{ {reload} }}
filters:
{}upstreams: {{ up: {{ endpoints: [\"{upstream}\"] }} }}
routes: [{{ filters: [{}], upstream: up }}]
",
        each.concat(),
        filters.join(", ")
    )
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let only = args.iter().position(|arg| arg == "--only").map(|at| args.get(at + 1).expect("--only a,b").split(','));
    let only: Option<Vec<&str>> = only.map(Iterator::collect);
    let run = Run { backend: Backend::start(), long: args.iter().any(|arg| arg == "--long") };
    let mut report = Report::default();
    let began = Instant::now();
    report.say("# Hot swaps");
    report.say(
        "\nFigures are `median (least … most)` of their rounds. Load, backend and proxy share the machine, so only",
    );
    report.say("ratios of rounds that took turns say something about another machine.");
    for (name, part) in PARTS {
        if only.as_ref().map_or(name != "nice", |only| only.contains(&name)) {
            part(&run, &mut report);
        }
    }
    report.heading("How");
    machine(run.backend.name).iter().for_each(|line| report.say(format!("- {line}")));
    report.say(format!("- command: `make bench-swap{}`", if run.long { " ARGS=--long" } else { "" }));
    report.say(format!("- it took {} s", began.elapsed().as_secs()));
    if only.is_none() {
        report.keep(if run.long { "swap-long" } else { "swap" });
    }
}
