//! Sluice beside nginx, HAProxy, Envoy and bare Pingora: `make bench`.
//!
//! ```text
//! make bench ARGS='[--rounds N] [--part small,rate,large,tls,h2,routes,connections,memory] [--only "empty chain;nginx"]'
//! make bench ARGS='--part instructions'
//! ```
//! The proxy under test has one core for itself, load and backend have another. `SLUICE=path` measures another binary,
//! `SLUICE_OLD=path` puts an older one beside it. Only a run of everything is kept in `benches/report/`. Instructions are
//! counted only when they are asked for: that is slow, and needs no quiet machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on ends there")]

mod bars;
mod chart;
mod contender;
mod daemon;
mod instructions;
mod load;
mod memory;
mod origin;
mod peers;
mod rounds;
mod scale;
mod sluice;
mod work;
mod world;

use std::{process::Command, time::Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluice_benches::{Report, machine};

use crate::{
    contender::{
        Contender::{self, Bare, Envoy, Haproxy, Nginx, Old, Sluice},
        Extra::{Failures, Fresh, Logged, Plain, Traced, Undrawn},
    },
    load::Shape,
    rounds::Score,
    work::Work::{Body, Callout, Go, Noop, Nothing, Tag},
    world::{Front, World},
};

/// Rounds of a whole run; it takes a quarter of an hour.
const ROUNDS: usize = 5;

const SMALL: Shape = Shape { name: "small", front: Front::Plain, path: "/", connections: 32, streams: 1, rate: None };
const RATE: Shape = Shape { name: "rate", rate: Some(4000), ..SMALL };
const LARGE: Shape = Shape { name: "large", path: origin::LARGE, ..SMALL };
const TLS: Shape = Shape { name: "tls", front: Front::Tls, ..SMALL };
const HTTP2: Shape = Shape { name: "h2", front: Front::Http2, connections: 4, streams: 8, ..SMALL };

/// The first of each is what the others are compared with.
const EVERYBODY: [Contender; 28] = [
    Sluice(Nothing, Plain),
    Bare,
    Nginx,
    Haproxy,
    Envoy(Nothing),
    Sluice(Noop(1), Plain),
    Sluice(Noop(5), Plain),
    Envoy(Noop(1)),
    Envoy(Noop(5)),
    Sluice(Tag(1), Plain),
    Sluice(Tag(2), Plain),
    Sluice(Tag(5), Plain),
    Sluice(Tag(10), Plain),
    Envoy(Tag(1)),
    Envoy(Tag(5)),
    Sluice(Tag(1), Fresh),
    Sluice(Go, Plain),
    Sluice(Go, Fresh),
    Envoy(Go),
    Sluice(Body, Plain),
    Envoy(Body),
    Sluice(Callout, Plain),
    Envoy(Callout),
    Sluice(Nothing, Undrawn),
    Sluice(Nothing, Failures),
    Sluice(Nothing, Traced),
    Sluice(Tag(1), Traced),
    Sluice(Nothing, Logged),
];
const SOME: [Contender; 7] =
    [Sluice(Nothing, Plain), Bare, Nginx, Haproxy, Envoy(Nothing), Sluice(Tag(1), Plain), Envoy(Tag(1))];
/// Bare Pingora is given no certificate.
const ENCRYPTED: [Contender; 6] =
    [Sluice(Nothing, Plain), Nginx, Haproxy, Envoy(Nothing), Sluice(Tag(1), Plain), Envoy(Tag(1))];
const LARGE_BODIES: [Contender; 7] =
    [Sluice(Nothing, Plain), Bare, Nginx, Haproxy, Envoy(Nothing), Sluice(Body, Plain), Envoy(Body)];

/// What was asked for on the command line.
struct Args {
    rounds: usize,
    parts: Option<Vec<String>>,
    only: Option<Vec<String>>,
}

impl Args {
    fn read() -> Self {
        let mut args = Self { rounds: ROUNDS, parts: None, only: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{word} wants a value"));
            let list = |by| Some(value.split(by).map(|part: &str| part.trim().to_owned()).collect());
            match word.as_str() {
                "--rounds" => args.rounds = value.parse().expect("--rounds wants a number"),
                "--part" => args.parts = list(','),
                "--only" => args.only = list(';'),
                _ => panic!("{word} is not known; see the head of benches/rig/main.rs"),
            }
        }
        args
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.as_ref().is_none_or(|parts| parts.iter().any(|p| p == part))
    }

    fn whole(&self) -> bool {
        self.parts.is_none() && self.only.is_none()
    }

    /// Who of these was asked for, with the older build behind those it can be compared with.
    fn pick(&self, world: &World, all: &[Contender]) -> Vec<Contender> {
        let mut picked = Vec::new();
        for who in all {
            let name = who.to_string();
            if self.only.as_ref().is_none_or(|only| only.iter().any(|part| name.contains(part.as_str()))) {
                picked.push(*who);
                if let (Sluice(work, Plain), Some(_)) = (who, &world.old) {
                    picked.push(Old(*work));
                }
            }
        }
        picked
    }
}

fn main() {
    let args = Args::read();
    more_files();
    let mut world = World::new(args.whole());
    let mut report = Report::default();
    let began = Instant::now();
    report.say("# Sluice beside its peers");
    report.say(
        "\nEach proxy has one worker on a core of its own; h2load and an nginx that answers from memory share another.",
    );
    report.say(
        "Figures are `median (least … most)` of rounds that took turns: compare ratios, not microseconds. CPU is what",
    );
    report.say("the kernel counted for the process, divided by the answers.");
    let mut everybody = Vec::new();
    for (shape, title, who) in [
        (SMALL, "Small answers (128 bytes), 32 connections, as fast as it goes", &EVERYBODY[..]),
        (RATE, "The same at 4,000 requests a second", &SOME[..]),
        (LARGE, "Answers of 64 KiB", &LARGE_BODIES[..]),
        (TLS, "HTTP/1.1 over TLS", &ENCRYPTED[..]),
        (HTTP2, "HTTP/2 over TLS, 4 connections of 8 streams", &ENCRYPTED[..]),
    ] {
        if !args.wants(shape.name) {
            continue;
        }
        // The small ones are what the bars speak of; the others are there to see that nothing stands out.
        let rounds = if shape.name == SMALL.name { args.rounds } else { args.rounds.min(3) };
        let scores = rounds::play(&world, &shape, &args.pick(&world, who), rounds);
        report.heading(title);
        rounds::table(&mut report, &scores);
        if args.whole() {
            chart(&mut report, &shape, title, &scores);
        }
        if shape.name == SMALL.name {
            report.heading("Bars");
            bars::table(&mut report, &scores);
            everybody = scores;
        }
    }
    if args.wants("routes") {
        scale::routes(&world, &mut report, args.rounds);
    }
    if args.wants("connections") {
        scale::connections(&world, &mut report, args.rounds.min(3));
    }
    if args.wants("memory") {
        memory::run(&world, &mut report);
    }
    if args.parts.is_some() && args.wants("instructions") {
        let counted = args.pick(&world, &instructions::COUNTED);
        instructions::run(&mut world, &mut report, &counted);
    }
    how(&mut report, &world, &args, began);
    if args.whole() && !everybody.is_empty() {
        report.keep("bench");
    }
}

fn chart(report: &mut Report, shape: &Shape, title: &str, scores: &[Score]) {
    let bar = |score: &Score| {
        let (least, most) = score.cpu.ends();
        (score.who.to_string(), [least, score.cpu.median(), most])
    };
    let bars: Vec<_> = scores.iter().map(bar).collect();
    let title = format!("{title}: CPU microseconds per request");
    chart::bars(report, &format!("bench-{}", shape.name), &title, &bars);
}

fn how(report: &mut Report, world: &World, args: &Args, began: Instant) {
    report.heading("How");
    machine("nginx").iter().for_each(|line| report.say(format!("- {line}")));
    let version = |program: &std::path::Path, arg: &str| {
        let output = Command::new(program).arg(arg).output().expect("it tells its version");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let line = said.lines().next().unwrap_or_default().to_owned();
        // Envoy puts the path of its binary before it.
        line.split("version:").last().unwrap_or_default().trim().to_owned()
    };
    if world.has_envoy() {
        report.say(format!("- Envoy {}", version(world.envoy(), "--version")));
    }
    report.say(format!("- {}", version("haproxy".as_ref(), "-v")));
    report.say(format!("- {}", version("h2load".as_ref(), "--version")));
    report.say(format!("- command: `make bench`, {} rounds; it took {} s", args.rounds, began.elapsed().as_secs()));
}

/// Thousands of resting connections need as many files, here and in the proxies that inherit the limit.
fn more_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("a higher limit");
}
