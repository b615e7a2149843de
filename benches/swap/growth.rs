//! What many swaps leave behind in the process.

use std::{
    thread,
    time::{Duration, Instant},
};

use sluice_benches::{Load, Memory, Proxy, Report, Style, Version};

use crate::Run;

pub(crate) fn run(run: &Run, report: &mut Report) {
    report.heading("What swaps leave behind");
    report.say("A small filter, a request each millisecond, `debounce: 10ms`. Looked at when the last old generation is gone.\n");
    report.table(&[
        "swaps",
        "RSS MiB",
        "of it anonymous",
        "threads",
        "open files",
        "memory maps",
        "failed requests",
        "seconds",
    ]);
    let proxy = Proxy::start(&run.yaml("debounce: 10ms"), &[("v.wasm", &Version::new(1).module())]);
    let load = Load::start(proxy.address, Style::LIGHT);
    load.mark(1);
    load.first();
    let began = Instant::now();
    let mut done = 0;
    let mut failed = 0;
    for swaps in [0, 100, 1000].into_iter().chain(run.long.then_some(10_000)) {
        for version in done + 2..swaps + 2 {
            let module = Version::new(version).module();
            load.mark(version);
            proxy.put("v.wasm", &module);
            load.first();
        }
        done = swaps;
        thread::sleep(Duration::from_secs(1));
        failed += load.take().failed;
        let Memory { resident, anonymous, threads, open_files, maps } = proxy.process().memory();
        let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
        let counts = [threads.to_string(), open_files.to_string(), maps.to_string(), failed.to_string()];
        let mut cells = vec![swaps.to_string(), mib(resident), mib(anonymous)];
        cells.extend(counts);
        cells.push(began.elapsed().as_secs().to_string());
        report.row(&cells);
    }
}
