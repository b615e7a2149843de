//! Swaps as fast as each becomes live, under a load that wants the whole machine.

use std::time::Instant;

use sluice_benches::{Figures, Load, Proxy, Report, Style, Tally, Version};

use crate::Run;

const SWAPS: u64 = 1000;

pub(crate) fn run(run: &Run, report: &mut Report) {
    report.heading("1,000 swaps under saturating load");
    let proxy = Proxy::start(&run.yaml("debounce: 10ms"), &[("v.wasm", &Version::new(1).module())]);
    let load = Load::start(proxy.address, Style::SATURATING);
    load.mark(1);
    load.first();
    load.take();
    let mut live = Figures::default();
    let began = Instant::now();
    for version in 2..SWAPS + 2 {
        let module = Version::new(version).module();
        load.mark(version);
        let renamed = proxy.put("v.wasm", &module);
        live.push((load.first() - renamed).as_secs_f64() * 1e3);
    }
    let took = began.elapsed().as_secs_f64();
    let Tally { requests, failed, none, two, back, last_failure, .. } = load.take();
    report.say(
        "A new version of a small filter is renamed into place as soon as the one before it has answered. The filter",
    );
    report.say("adds its version to the request and to the response, the backend tells what reached it.\n");
    report.table(&["what", "count"]);
    let mut row = |what: &str, count: String| report.row(&[what.to_owned(), count]);
    row("swaps", SWAPS.to_string());
    row("swaps in the log", proxy.said("the new configuration serves").to_string());
    row("refused in the log", proxy.said("is refused").to_string());
    row("requests", requests.to_string());
    row(
        "requests that failed",
        last_failure.map_or(failed.to_string(), |(_, why)| format!("{failed}, the last: {why}")),
    );
    row("answers of no version", none.to_string());
    row("answers of two versions", two.to_string());
    row("older answers after newer ones, on one connection", back.to_string());
    row("swaps a second", format!("{:.1}", SWAPS as f64 / took));
    row("rename to first answer, ms (`debounce: 10ms`)", live.to_string());
}
