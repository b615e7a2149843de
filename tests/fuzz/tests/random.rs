//! Every target on bytes drawn by chance for a bounded time, and on all that once went wrong.

#![allow(clippy::expect_used, reason = "a test")]

mod chance;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use chance::{Chance, run};

/// How long each target is tried; `tools/fuzz.sh` does it for longer, and with more sense.
const TIME: Duration = Duration::from_secs(3);

fn by_chance(name: &str, most: u64) -> u64 {
    let (mut chance, begin, mut runs) = (Chance(1), Instant::now(), 0);
    while begin.elapsed() < TIME {
        run(name, &chance.bytes(most));
        runs += 1;
    }
    println!("{name}: {runs} runs");
    runs
}

#[test]
fn exchanges_by_chance() {
    assert!(by_chance("exchange", 2000) > 10);
}

#[test]
fn modules_by_chance() {
    assert!(by_chance("module", 4000) > 10);
    println!("{}", sluice_fuzz::modules_so_far());
}

#[test]
fn codecs_by_chance() {
    by_chance("codecs", 64);
}

#[test]
fn configurations_by_chance() {
    by_chance("config", 64);
}

/// Files of `found/<target>/`: hex, one case each.
#[test]
fn what_once_went_wrong() {
    for name in ["exchange", "module", "codecs", "config"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("found").join(name);
        let Ok(files) = fs::read_dir(folder) else { continue };
        for file in files {
            let text = fs::read_to_string(file.expect("readable").path()).expect("text");
            let hex: Vec<char> = text.split_whitespace().collect::<String>().chars().collect();
            let digit = |c: char| c.to_digit(16).expect("a hex digit") as u8;
            let data: Vec<u8> = hex.chunks(2).map(|two| digit(two[0]) << 4 | digit(two[1])).collect();
            run(name, &data);
        }
    }
}
