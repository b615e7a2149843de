//! Small pieces of work by their instructions, which no neighbour changes: `make bench-check`.
//!
//! ```text
//! count               compares with benches/micro/instructions.txt; BLESS=1 writes it anew
//! count SCENE TIMES   does one piece of work so often: what valgrind watches
//! ```
//! A piece is prepared and run some times; then valgrind's callgrind counts what the thread that runs it does in one
//! function. So neither the preparation nor threads beside it (what compiles, what ticks) are in the count.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a benchmark that cannot go on ends there")]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write,
    fs,
    process::{Command, ExitCode},
};

use sluice_bench_micro::{Work, root, scenes};

/// How far a count may be above the one that is kept. Ticks of the epoch fall where they like.
const NOISE: f64 = 1.10;
/// Runs that are counted.
const COUNTED: u64 = 400;
/// Those before them.
const BEFORE: u64 = 50;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [name, times] = &args[..] {
        let scene = scenes().into_iter().find(|scene| scene.name == *name).expect("a scene of this name");
        let mut work = scene.ready();
        (0..BEFORE).for_each(|_| work());
        counted(&mut work, times.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let counts: BTreeMap<String, u64> = scenes()
        .iter()
        .filter(|scene| !scene.slow)
        .map(|scene| (scene.name.clone(), count(&scene.name, scene.times)))
        .collect();
    let file = root().join("benches/micro/instructions.txt");
    if env::var_os("BLESS").is_some() {
        let mut text =
            String::from("# Instructions of one piece of work each; `BLESS=1 make bench-check` writes this file.\n");
        counts.iter().for_each(|(name, count)| _ = writeln!(text, "{name} {count}"));
        fs::write(&file, text).expect("the file is written");
        return ExitCode::SUCCESS;
    }
    // Without the file every piece is new.
    let text = fs::read_to_string(&file).unwrap_or_default();
    let kept: BTreeMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect();
    let mut more = false;
    for (name, now) in &counts {
        let Some(before) = kept.get(name.as_str()) else {
            println!("{name:32} {now:>9}  is new: BLESS=1 keeps it");
            more = true;
            continue;
        };
        let ratio = *now as f64 / (*before).max(1) as f64;
        let verdict = if ratio > NOISE { "MORE" } else { "" };
        more |= ratio > NOISE;
        println!("{name:32} {now:>9}  was {before:>9}  {ratio:.3} {verdict}");
    }
    if more { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What callgrind counts, by its name.
#[inline(never)]
fn counted(work: &mut Work, times: u64) {
    (0..times).for_each(|_| work());
}

/// Instructions of one piece.
fn count(name: &str, times: u64) -> u64 {
    let own = env::current_exe().expect("its own path");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=count::counted*"]);
    valgrind.arg("--callgrind-out-file=/dev/null").arg(own).args([name, &COUNTED.to_string()]);
    let output = valgrind.output().expect("valgrind (Debian: valgrind) starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed under valgrind:\n{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let collected = collected.and_then(|(_, count)| count.trim().parse::<u64>().ok()).filter(|count| *count > 0);
    collected.unwrap_or_else(|| panic!("valgrind counted nothing of {name}:\n{said}")) / (COUNTED * times)
}
