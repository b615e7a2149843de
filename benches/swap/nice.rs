//! How far the threads that build filters should step back: `--only nice`, as root.
//!
//! The threads of running proxies are given other priorities from outside, so no other build of the proxy is needed.

use std::{fs, process::Command, thread, time::Duration};

use sluice_benches::{Figures, Hello, Load, Proxy, Report, Style, ratio};

use crate::{
    Run,
    cost::{Next, Rounds, round},
};

const ROUNDS: usize = 6;
const NICE: [u32; 4] = [0, 5, 10, 19];

pub(crate) fn run(run: &Run, report: &mut Report) {
    report.heading("Priorities of the threads that build filters");
    let rust = Hello::new("rust");
    report.say(format!(
        "hello, Rust, {} KiB, never seen before; one swap a second under saturating load against none. The four proxies take\n\
         turns, {ROUNDS} times.\n",
        rust.kib()
    ));
    let mut all: Vec<_> = NICE.iter().map(|nice| One::start(run, &rust, *nice)).collect();
    for _ in 0..ROUNDS {
        all.iter_mut().for_each(|one| one.round(&rust));
    }
    report.table(&["nice", "requests/s", "p50", "p99", "p99.9", "CPU a request", "rename to first answer, loaded, ms"]);
    for One { nice, with, without, live, .. } in &all {
        let mut cells = vec![nice.to_string()];
        let figures = |r: &Rounds| [r.throughput.clone(), r.p50.clone(), r.p99.clone(), r.p999.clone(), r.cpu.clone()];
        cells.extend(
            figures(with).iter().zip(figures(without)).map(|(with, without)| format!("{} x", ratio(with, &without))),
        );
        cells.push(live.to_string());
        report.row(&cells);
    }
}

/// A proxy with its priority.
struct One {
    nice: u32,
    proxy: Proxy,
    number: u64,
    with: Rounds,
    without: Rounds,
    live: Figures,
}

impl One {
    fn start(run: &Run, rust: &Hello, nice: u32) -> Self {
        let proxy = Proxy::start(&run.yaml("debounce: 10ms"), &[("v.wasm", &rust.version(1))]);
        for task in fs::read_dir(format!("/proc/{}/task", proxy.process().0)).unwrap() {
            let task = task.unwrap();
            let name = fs::read_to_string(task.path().join("comm")).unwrap();
            if ["sluice-compile", "sluice-reload", "sluice-drain"].iter().any(|its| name.starts_with(its)) {
                let thread = task.file_name().into_string().unwrap();
                let set = Command::new("renice").args(["-n", &nice.to_string(), "-p", &thread]).output().unwrap();
                assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
            }
        }
        Self { nice, proxy, number: 1, with: Rounds::default(), without: Rounds::default(), live: Figures::default() }
    }

    fn round(&mut self, rust: &Hello) {
        let load = Load::start(self.proxy.address, Style::SATURATING);
        thread::sleep(Duration::from_millis(500));
        let mut next = Next { number: self.number, module: &|number| rust.version(number) };
        round(&self.proxy, &load, 0, &mut self.without, &mut next);
        round(&self.proxy, &load, 1, &mut self.with, &mut next);
        for _ in 0..2 {
            let module = next.module();
            load.mark(next.number);
            let renamed = self.proxy.put("v.wasm", &module);
            self.live.push((load.first() - renamed).as_secs_f64() * 1e3);
        }
        self.number = next.number;
    }
}
