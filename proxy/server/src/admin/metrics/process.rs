//! What the process costs the machine, under the names that every program has.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::{
    page::{Family, Page, Value},
    to_f64,
};

/// What the system does not tell is left out.
pub(super) fn add(page: &mut Page, started: SystemTime) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = std::time::Duration::try_from(cpu).unwrap_or_default().as_secs_f64();
    let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let known = [
        ("process_cpu_seconds", "CPU time of the process", Some(Value::Sum(cpu))),
        ("process_start_time_seconds", "When the process began, since 1970", Some(Value::Level(started))),
        ("process_resident_memory_bytes", "Resident memory of the process", resident().map(level)),
        ("process_open_fds", "Open file descriptors", descriptors().map(level)),
        ("process_max_fds", "Most open file descriptors", getrlimit(Resource::Nofile).current.map(level)),
    ];
    for (name, help, value) in known {
        if let Some(value) = value {
            page.add(Family::new(name, help).with([], value));
        }
    }
}

fn level(number: u64) -> Value {
    Value::Level(to_f64(number))
}

fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn descriptors() -> Option<u64> {
    // One of them reads the folder.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}
