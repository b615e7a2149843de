//! Plays every case below `cases/`, each as a test of its own, with shared guests and with a fresh guest for each request.

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::LazyLock,
};

use libtest_mimic::{Arguments, Failed, Trial};
use sluice_conformance::read;
use sluice_host::EngineOptions;
use sluice_replay::{Case, Isolated, Player, compare, parse};

static PLAYER: LazyLock<Player> =
    LazyLock::new(|| Player::new(EngineOptions::default()).expect("the host can be set up"));

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Budgets are CPU time, but a test that waits for its turn on a busy machine is no faster for more threads.
    arguments.test_threads =
        arguments.test_threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut trials = Vec::new();
    for file in files(&root) {
        let group = file.strip_prefix(&root).expect("below the root").with_extension("").display().to_string();
        let text = fs::read_to_string(&file).expect("readable");
        match parse(&text) {
            Ok(cases) => cases.into_iter().for_each(|case| add(&mut trials, &group, case)),
            Err(why) => trials.push(Trial::test(format!("{group}: the file is read"), move || Err(Failed::from(why)))),
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn add(trials: &mut Vec<Trial>, group: &str, case: Case) {
    for isolation in [Isolated::Shared, Isolated::Request] {
        if case.isolation.is_none_or(|only| only == isolation) {
            let word = format!("{isolation:?}").to_lowercase();
            let case = case.clone();
            trials.push(Trial::test(format!("{group}: {} ({word})", case.name), move || play(&case, isolation)));
        }
    }
}

fn play(case: &Case, isolation: Isolated) -> Result<(), Failed> {
    let report = PLAYER.play(case, isolation, &read)?;
    let problems = compare(case, &report);
    if problems.is_empty() { Ok(()) } else { Err(Failed::from(problems.join("\n"))) }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of cases") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}
