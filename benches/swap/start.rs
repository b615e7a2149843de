//! From the start of the process until it is ready.

use std::fs;

use sluice_benches::{Figures, Hello, Proxy, Report};

use crate::{Run, yaml};

const FILTERS: u64 = 10;
const WARM: usize = 10;
/// Once only for those that take most of a minute, without `--long`.
const COLD: usize = 3;

pub(crate) fn run(run: &Run, report: &mut Report) {
    report.heading("Start with 10 filters");
    report.say("From the start of the process to `ready: ` in its log, milliseconds. Ten modules, each with a digest of its own.\n");
    report.table(&["filters", "cold", "warm cache"]);
    for language in ["rust", "go"] {
        let hello = Hello::new(language);
        let modules: Vec<_> = (0..FILTERS).map(|n| (format!("f{n}.wasm"), hello.version(n))).collect();
        let files: Vec<_> = modules.iter().map(|(name, module)| (name.as_str(), module.as_slice())).collect();
        let names: Vec<_> = files.iter().map(|file| file.0.trim_end_matches(".wasm")).collect();
        let yaml = yaml(run.backend.address, &names, "");
        let (mut cold, mut warm) = (Figures::default(), Figures::default());
        let mut proxy = Proxy::start(&yaml, &files);
        cold.push(millis(&proxy));
        for _ in 1..if language == "go" && !run.long { 1 } else { COLD } {
            let dir = proxy.stop();
            fs::remove_dir_all(dir.path().join("cache")).unwrap();
            proxy = Proxy::start_in(dir, &yaml);
            cold.push(millis(&proxy));
        }
        for _ in 0..WARM {
            proxy = Proxy::start_in(proxy.stop(), &yaml);
            warm.push(millis(&proxy));
        }
        report.row(&[format!("10 of {language}, {} KiB each", hello.kib()), cold.to_string(), warm.to_string()]);
    }
}

fn millis(proxy: &Proxy) -> f64 {
    proxy.ready_after.as_secs_f64() * 1e3
}
