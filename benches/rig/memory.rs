//! What a thing weighs in memory: a filter, a route, a connection that rests.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use sluice_benches::Report;

use crate::{chart, sluice, work::Work::Tag, world::World};

/// Connections that rest, at most.
const RESTING: usize = 10_000;

pub(crate) fn run(world: &World, report: &mut Report) {
    report.heading("Memory of Sluice, one worker");
    report.say("Resident memory, KiB: what was measured, and what one more of it adds to the line above it.\n");
    report.table(&["what", "resident", "of its own", "one more adds"]);
    let origin = world.origin.address;
    let mut last = 0.0;
    let mut weigh = |what: &str, yaml: &str, more: usize, base: Option<f64>| {
        let proxy = sluice::serve(world, yaml);
        ask(proxy.address);
        let memory = proxy.process().memory();
        let own = memory.anonymous as f64;
        let each = (own - base.unwrap_or(last)) / more.max(1) as f64;
        let each = if more == 0 { String::new() } else { format!("{each:.1} KiB") };
        report.row(&[what.to_owned(), memory.resident.to_string(), memory.anonymous.to_string(), each]);
        last = own;
        own
    };
    let empty = weigh("empty chain", &yaml(origin, 0, 1, "shared"), 0, None);
    weigh("1 filter", &yaml(origin, 1, 1, "shared"), 1, None);
    weigh("10 filters of one module", &yaml(origin, 10, 1, "shared"), 9, None);
    weigh("10 filters, isolation: request", &yaml(origin, 10, 1, "request"), 10, Some(empty));
    weigh("10,000 routes", &yaml(origin, 0, 10_000, "shared"), 10_000, Some(empty));
    let mut curve = vec![(0.0, empty / 1024.0)];
    let proxy = sluice::serve(world, &yaml(origin, 0, 1, "shared"));
    let mut resting: Vec<TcpStream> = Vec::new();
    for count in [1000, 3000, RESTING] {
        while resting.len() < count {
            resting.push(ask(proxy.address));
        }
        let memory = proxy.process().memory();
        let each = (memory.anonymous as f64 - empty) / count as f64;
        report.row(&[
            format!("{count} resting connections"),
            memory.resident.to_string(),
            memory.anonymous.to_string(),
            format!("{each:.1} KiB"),
        ]);
        curve.push((count as f64, memory.anonymous as f64 / 1024.0));
    }
    drop(resting);
    if world.kept {
        chart::line(report, "bench-connections", "Memory of its own by resting connections, MiB", &curve);
    }
}

/// Sends one request on a new connection, and keeps it.
fn ask(address: SocketAddr) -> TcpStream {
    for wait in 0.. {
        if let Ok(mut stream) = TcpStream::connect(address) {
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: h5.example\r\n\r\n").expect("it is sent");
            let mut answer = [0; 1024];
            let read = stream.read(&mut answer).expect("an answer");
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
            return stream;
        }
        assert!(wait < 100, "{address} takes no connections");
        thread::sleep(Duration::from_millis(10));
    }
    unreachable!("it is asked without end")
}

/// So many filters in the chain and so many routes, the last of which takes every request; see [`sluice::serve`].
pub(crate) fn yaml(origin: SocketAddr, filters: usize, routes: usize, isolation: &str) -> String {
    let module = Tag(1).filters()[0].module.display().to_string();
    let names: Vec<String> = (0..filters).map(|n| format!("f{n}")).collect();
    let each: Vec<String> = names
        .iter()
        .map(|name| format!("  {name}: {{ source: {{ path: {module} }}, config: tag, isolation: {isolation} }}\n"))
        .collect();
    let others: Vec<String> = (1..routes)
        .map(|n| format!("  - {{ match: {{ host: h{n}.test, path_prefix: /p{n} }}, upstream: up }}\n"))
        .collect();
    let filters = if each.is_empty() { String::new() } else { format!("filters:\n{}", each.concat()) };
    format!(
        "listeners: [{{ address: \"LISTEN\" }}]
server: {{ workers: 1, cache: {{ path: DIR/cache }} }}
telemetry: {{ access_log: off }}
upstreams: {{ up: {{ endpoints: [\"{origin}\"] }} }}
{filters}routes:
{}  - {{ filters: [{}], upstream: up }}
",
        others.concat(),
        names.join(", ")
    )
}
