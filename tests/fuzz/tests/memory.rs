//! What stays in memory when the same bytes are played again and again. Alone in its process, and one after the other.

mod chance;

use std::fs;

use chance::{Chance, run};

/// Resident memory, KiB; none where the system does not tell.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn keeps_nothing(name: &str, inputs: u64, most: u64) {
    let mut chance = Chance(2);
    let inputs: Vec<Vec<u8>> = (0..inputs).map(|_| chance.bytes(most)).collect();
    let round = || inputs.iter().for_each(|data| run(name, data));
    (0..4).for_each(|_| round());
    let before = resident();
    (0..16).for_each(|_| round());
    if let (Some(before), Some(after)) = (before, resident()) {
        println!("{name}: {before} KiB, then {after} KiB");
        assert!(after < before + 16 * 1024, "{name}: {before} KiB, then {after} KiB");
    }
}

#[test]
fn the_same_bytes_again_and_again_keep_nothing() {
    keeps_nothing("exchange", 50, 1500);
    keeps_nothing("module", 25, 4000);
}
