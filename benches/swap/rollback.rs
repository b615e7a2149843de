//! A new version that traps goes back by itself.

use std::{thread, time::Duration};

use sluice_benches::{Figures, Load, Proxy, Report, Style, Version};

use crate::Run;

const REPETITIONS: u64 = 5;

pub(crate) fn run(run: &Run, report: &mut Report) {
    report.heading("A new version that traps on one request in 20 goes back by itself");
    let rollback = "rollback: { crashes: 10, percent: 1 }";
    let proxy = Proxy::start(&run.yaml(rollback), &[("v.wasm", &Version::new(1).module())]);
    let load = Load::start(proxy.address, Style::SATURATING);
    load.mark(1);
    load.first();
    let (mut met, mut suffered, mut time, mut per) =
        (Figures::default(), Figures::default(), Figures::default(), Figures::default());
    for version in 2..REPETITIONS + 2 {
        load.take();
        load.mark(version);
        proxy.put("v.wasm", &Version::new(version).trapping_every(20).module());
        let first = load.first();
        let before = version - 2;
        while proxy.said("cause=\"crashes\"") as u64 == before {
            thread::sleep(Duration::from_millis(1));
        }
        // Those in flight end on the version they began with.
        thread::sleep(Duration::from_millis(500));
        let (tally, mark) = (load.take(), load.marked());
        let last = tally.last_failure.map_or(first, |(at, _)| at).max(mark.last.unwrap_or(first));
        met.push((mark.answers + tally.failed) as f64);
        suffered.push(tally.failed as f64);
        per.push(tally.failed as f64 * 100.0 / (mark.answers + tally.failed) as f64);
        time.push((last - first).as_secs_f64() * 1e3);
    }
    let generations = 1 + proxy.said("the new configuration serves");
    report.say(format!("`reload: {{ {rollback} }}`, saturating load, {REPETITIONS} repetitions in one process.\n"));
    report.table(&["what", "figure"]);
    let mut row = |what: &str, figure: String| report.row(&[what.to_owned(), figure]);
    row("requests that met it", met.to_string());
    row("requests that suffered", suffered.to_string());
    row("of those that met it, %", per.to_string());
    row("its first answer to its last, ms", time.to_string());
    row("generations at the end, two for each repetition and the first", generations.to_string());
}
