//! What Linux knows of a running process.

use std::{fs, path::PathBuf, time::Duration};

/// Clock ticks a second, in `/proc/<pid>/stat`; the same on every Linux that programs see.
const TICKS: u64 = 100;

/// A process by its number.
#[derive(Clone, Copy)]
pub struct Process(pub u32);

/// Its size at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident memory: all of it, and what of it is neither a file's nor shared. KiB.
    pub resident: u64,
    pub anonymous: u64,
    pub threads: u64,
    pub open_files: usize,
    pub maps: usize,
}

impl Process {
    fn file(self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.0).into()
    }

    /// Time on a processor so far, to 10 ms.
    pub fn cpu(self) -> Duration {
        let stat = fs::read_to_string(self.file("stat")).unwrap();
        // The name in brackets may hold spaces; user and system time are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|f| f.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / TICKS)
    }

    /// Time on a processor so far of every thread that still runs, to the nanosecond.
    pub fn cpu_exact(self) -> Duration {
        let tasks = fs::read_dir(self.file("task")).unwrap();
        let spent = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
        Duration::from_nanos(spent.filter_map(|s| s.split(' ').next()?.parse::<u64>().ok()).sum())
    }

    pub fn memory(self) -> Memory {
        let status = fs::read_to_string(self.file("status")).unwrap();
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("0");
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Memory {
            resident: field("VmRSS:"),
            anonymous: field("RssAnon:"),
            threads: field("Threads:"),
            open_files: fs::read_dir(self.file("fd")).unwrap().count(),
            maps: fs::read_to_string(self.file("maps")).unwrap().lines().count(),
        }
    }
}
