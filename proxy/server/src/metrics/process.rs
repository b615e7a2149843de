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
    page::{BYTES, Family, Page, SECONDS, Value},
    to_f64,
};

/// What the system does not tell is left out.
pub(super) fn add(page: &mut Page, started: SystemTime) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = std::time::Duration::try_from(cpu).unwrap_or_default().as_secs_f64();
    let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let known = [
        (
            Family::new("process.cpu.time", SECONDS, "CPU time of the process").known_as("process_cpu_seconds"),
            Some(Value::Sum(cpu)),
        ),
        (Family::new("process.start_time", SECONDS, "When the process began, since 1970"), Some(Value::Level(started))),
        (
            Family::new("process.memory.usage", BYTES, "Resident memory of the process")
                .known_as("process_resident_memory_bytes")
                .adds_up(),
            resident().map(level),
        ),
        (
            Family::new("process.unix.file_descriptor.count", "{file_descriptor}", "Open file descriptors")
                .known_as("process_open_fds")
                .adds_up(),
            descriptors().map(level),
        ),
        (
            Family::new("process.unix.file_descriptor.limit", "{file_descriptor}", "Most open file descriptors")
                .known_as("process_max_fds"),
            getrlimit(Resource::Nofile).current.map(level),
        ),
    ];
    for (family, value) in known {
        if let Some(value) = value {
            page.add(family.with([], value));
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
