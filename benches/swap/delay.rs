//! How long it takes until a file that was renamed into place answers.

use std::{thread, time::Duration};

use sluice_benches::{Figures, Hello, Load, Proxy, Report, Style};

use crate::Run;

const REPETITIONS: u64 = 10;
/// Of what takes seconds, without `--long`.
const FEW: u64 = 3;

pub(crate) fn run(run: &Run, report: &mut Report) {
    report.heading("From the rename to the first answer of the new version");
    let few = if run.long { REPETITIONS } else { FEW };
    report.say(format!(
        "Milliseconds, {REPETITIONS} repetitions, and {few} of a cold Go filter. A version is `hello` whose header is named after the version, in its data: one file\n\
         changes, its code takes as long to compile as ever, and each answer tells its version. Cold: a module that was never\n\
         seen, nothing of it in the cache. Cached: the module before last, whose code is in the folder `server.cache`. Idle: one\n\
         request each millisecond. Loaded: a closed loop of {} connections, that is, no core is free.\n",
        Style::SATURATING.connections
    ));
    report.table(&["filter", "`debounce`", "machine", "cold", "cached"]);
    for language in ["rust", "go"] {
        let hello = Hello::new(language);
        let colds = if language == "go" { few } else { REPETITIONS };
        for debounce in ["100ms", "10ms"] {
            for (machine, style) in [("idle", Style::LIGHT), ("loaded", Style::SATURATING)] {
                let [cold, cached] = measure(run, &hello, colds, debounce, style);
                let name = format!("{language}, {} KiB", hello.kib());
                let row = [&name, debounce, machine, &cold.to_string(), &cached.to_string()];
                report.row(&row.map(str::to_owned));
            }
        }
    }
}

fn measure(run: &Run, hello: &Hello, colds: u64, debounce: &str, style: Style) -> [Figures; 2] {
    let yaml = run.yaml(&format!("debounce: {debounce}"));
    let proxy = Proxy::start(&yaml, &[("v.wasm", &hello.version(1))]);
    let load = Load::start(proxy.address, style);
    load.mark(1);
    load.first();
    let swap = |version: u64| {
        let module = hello.version(version);
        load.mark(version);
        let renamed = proxy.put("v.wasm", &module);
        let took = load.first() - renamed;
        // The next one shall not meet what this one leaves: the end of the old one, and a look that is due.
        thread::sleep(Duration::from_millis(150));
        took.as_secs_f64() * 1e3
    };
    let cold = Figures((2..colds + 2).map(swap).collect());
    // The last of those serves, so the one before it comes first.
    let cached = Figures((0..REPETITIONS).map(|n| swap(colds + n % 2)).collect());
    assert_eq!(proxy.said("is refused"), 0, "{}", proxy.log());
    [cold, cached]
}
