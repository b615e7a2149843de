//! What the figures were measured on and with.

use std::{fs, process::Command};

use crate::root;

/// Lines of a list.
pub fn machine(backend: &str) -> Vec<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|l| l.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("unknown").to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let busy = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let busy = busy.split(' ').next().unwrap_or_default().to_owned();
    let mut lines = vec![format!("machine: {model}, {cores} cores, Linux {kernel}; load average at the end {busy}")];
    // The charts of the report itself are written by now.
    let changed = said("git", &["status", "--porcelain", "--", ".", ":!benches/report"]);
    let changed = if changed.is_empty() { "" } else { ", with changes" };
    lines.push(format!("sluice at commit {}{changed}", said("git", &["describe", "--always"])));
    lines.push(said("rustc", &["--version"]));
    // It says its version on standard error.
    let nginx = Command::new("nginx").arg("-v").output().map(|o| String::from_utf8_lossy(&o.stderr).trim().to_owned());
    lines.push(format!("backend: {}", nginx.ok().filter(|_| backend == "nginx").unwrap_or_else(|| backend.to_owned())));
    lines
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output();
    output.map_or_else(|_| format!("{program}: unknown"), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}
