//! Every target on bytes drawn by chance for a bounded time, on all that once went wrong, and for what stays in memory.

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// How long each target is tried; `tools/fuzz.sh` does it for longer, and with more sense.
const TIME: Duration = Duration::from_secs(3);

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = self.next() % most;
        (0..length).map(|_| self.next() as u8).collect()
    }
}

fn target(name: &str) -> fn(&[u8]) {
    match name {
        "exchange" => sluice_fuzz::exchange,
        "module" => sluice_fuzz::module,
        "codecs" => sluice_fuzz::codecs,
        _ => sluice_fuzz::config,
    }
}

/// Says which bytes it was, in a form that can be put into a file.
fn run(name: &str, data: &[u8]) {
    let result = std::panic::catch_unwind(|| target(name)(data));
    if let Err(panic) = result {
        let hex: String = data.iter().map(|b| format!("{b:02x}")).collect();
        eprintln!("{name} went wrong with {hex}");
        std::panic::resume_unwind(panic);
    }
}

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

/// Resident memory, KiB; none where the system does not tell.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[test]
fn the_same_exchanges_again_and_again_keep_nothing() {
    let inputs: Vec<Vec<u8>> = {
        let mut chance = Chance(2);
        (0..50).map(|_| chance.bytes(1500)).collect()
    };
    let round = || inputs.iter().for_each(|data| run("exchange", data));
    (0..4).for_each(|_| round());
    let before = resident();
    (0..16).for_each(|_| round());
    if let (Some(before), Some(after)) = (before, resident()) {
        println!("{before} KiB, then {after} KiB");
        assert!(after < before + 16 * 1024, "{before} KiB, then {after} KiB");
    }
}
