//! What grows with the size of a configuration and with the number of clients.

use sluice_benches::{Figures, Report};

use crate::{
    SMALL, chart,
    contender::{Contender::Sluice, Extra::Plain},
    daemon::Daemon,
    load::Shape,
    memory, rounds, sluice,
    work::Work::Nothing,
    world::World,
};

/// Cost of a request against the number of routes that are not its own.
pub(crate) fn routes(world: &World, report: &mut Report, count: usize) {
    const ROUTES: [usize; 5] = [1, 10, 100, 1000, 10_000];
    let daemons: Vec<Daemon> = ROUTES
        .iter()
        .map(|routes| sluice::serve(world, &memory::yaml(world.origin.address, 0, *routes, "shared")))
        .collect();
    let mut scores = vec![Figures::default(); ROUTES.len()];
    for _ in 0..count {
        for (score, daemon) in scores.iter_mut().zip(&daemons) {
            score.push(SMALL.run(Sluice(Nothing, Plain), daemon, rounds::TIME).cpu);
        }
    }
    report.heading("Number of routes");
    report.say("Each route but the last names a host and a prefix; every request takes the last.\n");
    report.table(&["routes", "CPU us/request"]);
    let mut curve = Vec::new();
    for (routes, score) in ROUTES.iter().zip(&scores) {
        report.row(&[routes.to_string(), score.to_string()]);
        curve.push((*routes as f64, score.median()));
    }
    if world.kept {
        chart::line(report, "bench-routes", "CPU microseconds per request by routes", &curve);
    }
}

/// Cost of a request against the number of connections that are busy.
pub(crate) fn connections(world: &World, report: &mut Report, count: usize) {
    const CONNECTIONS: [usize; 4] = [1, 32, 256, 1024];
    let daemon = Sluice(Nothing, Plain).start(world, SMALL.front);
    let mut scores = vec![(Figures::default(), Figures::default()); CONNECTIONS.len()];
    for _ in 0..count {
        for (score, connections) in scores.iter_mut().zip(CONNECTIONS) {
            let run = Shape { connections, ..SMALL }.run(Sluice(Nothing, Plain), &daemon, rounds::TIME);
            score.0.push(run.cpu);
            score.1.push(run.latency[1]);
        }
    }
    report.heading("Number of busy connections");
    report.table(&["connections", "CPU us/request", "p99 ms"]);
    let mut curve = Vec::new();
    for (connections, (cpu, p99)) in CONNECTIONS.iter().zip(&scores) {
        report.row(&[connections.to_string(), cpu.to_string(), p99.to_string()]);
        curve.push((*connections as f64, cpu.median()));
    }
    if world.kept {
        chart::line(report, "bench-busy", "CPU microseconds per request by busy connections", &curve);
    }
}
