//! The same guests and the same requests in Sluice and in Envoy: what client, upstream and guests saw has to be the same.
//!
//! `cargo test -p sluicegate --test differential [part of a name]`. Envoy comes from `tools/envoy.sh`, the guests from
//! `tools/build-guests.sh fixtures`. Differences that are meant to be stand in `known.rs` and docs/host-differences.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "a test fails by panicking, and it uses a part of the helpers of tests/serve"
)]

mod bootstrap;
mod compare;
mod envoy;
mod exchange;
mod groups;
mod harness;
mod http2;
mod known;
mod origin;
mod plan;
mod play;
mod seen;
mod services;
mod side;
mod sluice;

use std::{
    collections::BTreeSet,
    panic,
    process::ExitCode,
    sync::{Arc, LazyLock, Mutex, OnceLock},
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use plan::{Chain, Filter};
use play::Played;

/// Names of the known differences that were met.
static MET: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// How long each chain took.
static TIMES: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// A chain and, when the first of its tests has asked for it, what both proxies did with it.
struct Job {
    chain: Chain,
    played: OnceLock<Result<(Played, Played), String>>,
}

impl Job {
    fn played(&self) -> Result<&(Played, Played), Failed> {
        let play = || {
            envoy::BINARY.as_ref().map_err(Clone::clone)?;
            let both = || {
                self.chain.filters.iter().for_each(Filter::require);
                (play::envoy(&self.chain), play::sluice(&self.chain))
            };
            panic::catch_unwind(panic::AssertUnwindSafe(both)).map_err(|e| {
                let text = e.downcast_ref::<String>().cloned();
                text.or_else(|| e.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
            })
        };
        let timed = || {
            let began = Instant::now();
            let played = play();
            TIMES.lock().unwrap().push((began.elapsed(), format!("{}: {}", self.chain.group, self.chain.name)));
            played
        };
        self.played.get_or_init(timed).as_ref().map_err(|e| Failed::from(e.clone()))
    }

    fn compare(&self, name: &str, index: usize) -> Result<(), Failed> {
        let (envoy, sluice) = self.played()?;
        let exchange = index.checked_sub(1).map(|i| &self.chain.exchanges[i]);
        let mut case = compare::case(name, index, exchange, envoy, sluice);
        let left = compare::compare(&mut case);
        MET.lock().unwrap().extend(case.met);
        if left.is_empty() { Ok(()) } else { Err(Failed::from(left.join("\n"))) }
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // What fails is told by the test; a proxy that died is part of some.
    panic::set_hook(Box::new(|_| {}));
    // A chain mostly waits for its two processes.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let jobs: Vec<Arc<Job>> =
        groups::chains().into_iter().map(|chain| Arc::new(Job { chain, played: OnceLock::new() })).collect();
    let longest = jobs.iter().map(|j| j.chain.exchanges.len()).max().unwrap_or(0);
    let mut trials = Vec::new();
    // First tests of all chains come first: threads then play different chains and do not wait for one.
    for index in 0..=longest {
        for job in jobs.iter().filter(|j| index <= j.chain.exchanges.len()) {
            let what = index.checked_sub(1).map_or("start", |i| job.chain.exchanges[i].name.as_str());
            let name = format!("{}: {}: {what}", job.chain.group, job.chain.name);
            let job = job.clone();
            let skipped = job.chain.filters.iter().any(Filter::skipped);
            trials.push(Trial::test(name.clone(), move || job.compare(&name, index)).with_ignored_flag(skipped));
        }
    }
    let everything = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials);
    let slow = |(took, chain): &(Duration, String)| {
        (took.as_secs() >= 5).then(|| format!("{:.1} s  {chain}", took.as_secs_f32()))
    };
    let slow: Vec<String> = TIMES.lock().unwrap().iter().filter_map(slow).collect();
    if !slow.is_empty() {
        eprintln!("chains that took 5 seconds or more:\n{}", slow.join("\n"));
    }
    // A difference that is gone must leave the table, and the documentation.
    let met = MET.lock().unwrap();
    let gone: Vec<String> = known::names().into_iter().filter(|name| !met.contains(name)).collect();
    if everything && conclusion.num_ignored == 0 && !gone.is_empty() {
        eprintln!("known differences that no exchange showed: {gone:#?}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
