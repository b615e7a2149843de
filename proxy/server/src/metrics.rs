//! Metrics: counts of the proxy, of its filters, of the process, and those that filters define. One source, the page, with
//! two faces: text that Prometheus fetches, and messages that are sent to a collector.

mod custom;
mod otlp;
mod page;
mod process;
mod text;
mod traffic;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use sluice_host::{Cap, Filter, PhaseUsage, Total};

use self::page::{BYTES, Family, Page, SECONDS, Value};
use crate::{
    admin::{Status, View},
    lines::Counts,
    reload::{BOUNDS, Spread},
};

/// Everything, as it is now.
pub(crate) fn page(status: &Status) -> Page {
    let view = status.view.load();
    let mut page = Page::default();
    serving(&mut page, status, &view);
    traffic::add(&mut page, &status.traffic);
    versions(&mut page, &view);
    filters(&mut page, &status.host.totals());
    logs(&mut page, status);
    telemetry(&mut page, status);
    process::add(&mut page, status.started);
    custom::add(&mut page, &status.host.metrics());
    page
}

fn serving(page: &mut Page, status: &Status, view: &View) {
    let counts = &status.events.counts;
    let generation = Value::Level(to_f64(view.generation));
    page.add(Family::new("sluice.generation", "", "The generation that serves").with([], generation));
    let draining = Value::Level(to_f64(counts.draining.len() as u64));
    let leaving = Value::Level(f64::from(u8::from(status.leave.is_asked())));
    page.add(Family::new("sluice.draining", "", "1 while somebody wants no traffic to be sent here").with([], leaving));
    let help = "Old generations that still serve their last requests";
    page.add(Family::new("sluice.generations_draining", "{generation}", help).with([], draining));
    let swaps = Family::new("sluice.swaps", "{swap}", "Wishes for a new generation, by what came of them")
        .with([("result", "swapped")], Value::Count(counts.swapped.load(Relaxed)))
        .with([("result", "refused")], Value::Count(counts.refused.load(Relaxed)));
    page.add(swaps);
    let back = Value::Count(counts.rolled_back.load(Relaxed));
    page.add(Family::new("sluice.rollbacks", "{swap}", "Swaps that brought an earlier version back").with([], back));
    let steps = Family::new("sluice.swap", SECONDS, "Time of the steps to each swap");
    let times = counts.times.lock();
    let spread =
        |Spread { counts, sum }: &Spread| Value::spread(*sum, BOUNDS.into_iter().zip(counts.iter().copied()).collect());
    page.add(times.steps().fold(steps, |family, (step, times)| family.with([("stage", step)], spread(times))));
}

/// What was dropped found the queue full; what failed was not taken by the collector.
fn telemetry(page: &mut Page, status: &Status) {
    let counted = |family, counts: &[(&'static str, u64)]| {
        counts.iter().fold(family, |f: Family, (what, n)| f.with([("result", what)], Value::Count(*n)))
    };
    if let Some(counts) = status.events.spans() {
        page.add(counted(Family::new("sluice.telemetry.spans", "{span}", "Spans, by what became of them"), &counts));
    }
    if let Some(pushes) = status.pushes.get() {
        let help = "Times that metrics were sent, by what became of them";
        page.add(counted(Family::new("sluice.telemetry.pushes", "{push}", help), &pushes.all()));
    }
}

fn logs(page: &mut Page, status: &Status) {
    let of = |family: Family, counts: &Counts| {
        family
            .with([("reason", "queue_full")], Value::Count(counts.dropped.load(Relaxed)))
            .with([("reason", "write_failed")], Value::Count(counts.lost.load(Relaxed)))
    };
    let help = "Lines of the access log that were not written, by what kept them";
    page.add(of(Family::new("sluice.access_log.dropped", "{line}", help), status.log.lines().counts()));
    let help = "Lines of the log that were not written, by what kept them";
    page.add(of(Family::new("sluice.log.dropped", "{line}", help), status.logging.losses()));
}

fn filters(page: &mut Page, totals: &[Total]) {
    let mut exchanges =
        Family::new("sluice.filter.exchanges", "{exchange}", "Requests and connections that met a filter");
    let mut calls =
        Family::new("sluice.filter.invocations", "{callback}", "Callbacks of a filter, by what they came to");
    let mut cpu = Family::new("sluice.filter.cpu", SECONDS, "CPU time of callbacks of a filter");
    let mut traps = Family::new("sluice.filter.traps", "{guest}", "Deaths of guests of a filter");
    let mut capped = Family::new("sluice.filter.capped", "{hit}", "How often a filter met a cap");
    let mut unlogged = Family::new("sluice.filter.log_dropped", "{line}", "Log lines of a filter that were dropped");
    let mut guests = Family::new("sluice.filter.instances", "{guest}", "Guests of a filter that live").adds_up();
    let mut memory = Family::new("sluice.filter.memory", BYTES, "Linear memory of all guests of a filter").adds_up();
    for Total { filter, usage, capped: hits } in totals {
        let name: &str = filter;
        exchanges.add([("filter", name)], Value::Count(usage.exchanges));
        for phase in &usage.phases {
            let labels = [("filter", name), ("phase", phase.phase.name())];
            for (outcome, count) in &phase.outcomes {
                let [filter, phase] = labels;
                calls.add([filter, phase, ("outcome", outcome.name())], Value::Count(*count));
            }
            let bound = |at| PhaseUsage::bound(at).map_or(f64::INFINITY, |bound| bound.as_secs_f64());
            let buckets = phase.buckets.iter().enumerate().map(|(at, count)| (bound(at), *count)).collect();
            cpu.add(labels, Value::spread(phase.cpu.as_secs_f64(), buckets));
        }
        for (token, count) in &usage.crashes {
            traps.add([("filter", name), ("kind", token.name())], Value::Count(*count));
        }
        for (cap, hits) in hits {
            capped.add([("filter", name), ("cap", cap.token())], Value::Count(*hits));
        }
        let lines = |(cap, _): &&(Cap, u64)| matches!(cap, Cap::LogLines | Cap::LogBytes | Cap::LogRate);
        unlogged.add([("filter", name)], Value::Count(hits.iter().filter(lines).map(|(_, lines)| lines).sum()));
        guests.add([("filter", name)], Value::Level(to_f64(usage.guests)));
        memory.add([("filter", name)], Value::Level(to_f64(usage.memory as u64)));
    }
    let all = [exchanges, calls, cpu, traps, capped, unlogged, guests, memory];
    all.into_iter().for_each(|family| page.add(family));
}

fn versions(page: &mut Page, view: &View) {
    let mut info = Family::new("sluice.filter.info", "", "Which version of a filter serves");
    let mut budget = Family::new("sluice.filter.cpu_budget", SECONDS, "CPU time that a filter may take");
    let mut out = Family::new("sluice.filter.quarantined", "", "1 when a filter is out of service");
    let mut off = Family::new("sluice.filter.disabled", "", "1 when somebody took a filter out of every chain");
    for shown in &view.filters {
        let (name, filter): (&str, &Arc<Filter>) = (&shown.name, &shown.filter);
        let version = [("filter", name), ("digest", &shown.digest), ("abi", &shown.abi)];
        info.add(version, Value::Level(1.0));
        let (call, exchange) = filter.budgets();
        budget.add([("filter", name), ("of", "call")], Value::Level(call.as_secs_f64()));
        budget.add([("filter", name), ("of", "request")], Value::Level(exchange.as_secs_f64()));
        out.add([("filter", name)], Value::Level(f64::from(u8::from(filter.is_quarantined()))));
        off.add([("filter", name)], Value::Level(f64::from(u8::from(shown.disabled))));
    }
    [info, budget, out, off].into_iter().for_each(|family| page.add(family));
}

/// Numbers of a text that is read as floating point anyway.
#[allow(clippy::cast_precision_loss, reason = "whoever reads the page loses the same bits")]
fn to_f64(number: u64) -> f64 {
    number as f64
}
