//! Instructions that one request takes in the process itself, and what they fetch into caches, counted under valgrind:
//! neighbours do not change them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use sluice_benches::Report;
use tempfile::TempDir;

use crate::{
    SMALL,
    contender::{
        Contender::{self, Bare, Sluice},
        Extra::{Failures, Fresh, Logged, Plain, Undrawn},
    },
    daemon::Daemon,
    load::Shape,
    work::Work::{Noop, Nothing, Tag},
    world::World,
};

/// Requests that are counted.
const REQUESTS: usize = 3000;
/// Those before them, so that every connection and every guest is there.
const BEFORE: usize = 500;

/// Those that valgrind has address space for.
const GUESTS: u32 = 8;
/// Each of them may have a guest of its own.
const CONNECTIONS: usize = 4;
/// Caches of a small core. Valgrind counts as if nothing else used them: in truth the kernel does, between every two steps
/// of a request, so more is fetched again.
const CACHES: [&str; 3] = ["--I1=32768,8,64", "--D1=32768,8,64", "--LL=524288,8,64"];
/// What dumps are called, with a number behind it.
const OUT: &str = "counts";

/// The first is what the others are compared with. No guest in Go: to compile its three megabytes takes valgrind minutes.
pub(crate) const COUNTED: [Contender; 12] = [
    Sluice(Nothing, Plain),
    Bare,
    Sluice(Nothing, Undrawn),
    Sluice(Nothing, Failures),
    Sluice(Nothing, Logged),
    Sluice(Noop(1), Plain),
    Sluice(Noop(5), Plain),
    Sluice(Tag(1), Plain),
    Sluice(Tag(1), Undrawn),
    Sluice(Tag(1), Failures),
    Sluice(Tag(5), Plain),
    Sluice(Tag(1), Fresh),
];

/// One after another: nothing here depends on time.
pub(crate) fn run(world: &mut World, report: &mut Report, contenders: &[Contender]) {
    let dir = TempDir::new().expect("a folder");
    world.guests = GUESTS;
    world.sluice = counted(dir.path(), "sluice", &world.sluice);
    if contenders.contains(&Bare) {
        let bare = counted(dir.path(), "bare", world.bare());
        world.replace_bare(bare);
    }
    world.old = world.old.take().map(|old| counted(dir.path(), "old", &old));
    report.heading("Instructions per request");
    report.say(
        "In the process, without the kernel's; the proxy's other threads are counted with it. Fetches are of 64 bytes,",
    );
    report.say(
        "into nearest caches of 32 KiB each for code and data, and from behind a second one of 512 KiB for both.\n",
    );
    report.table(&[
        "contender",
        "instructions/request",
        "more than the first",
        "ratio",
        "fetches of code",
        "fetches of data",
        "from behind both",
    ]);
    let mut first = None;
    for who in contenders {
        let counted = count(world, *who, dir.path());
        let instructions = counted.instructions;
        let first = *first.get_or_insert(instructions);
        report.row(&[
            who.to_string(),
            format!("{instructions:.0}"),
            format!("{:.0}", instructions - first),
            format!("{:.3}", instructions / first),
            format!("{:.0}", counted.code),
            format!("{:.0}", counted.data),
            format!("{:.0}", counted.far),
        ]);
    }
}

/// A program that runs another one under valgrind, which writes into this folder.
fn counted(dir: &Path, name: &str, program: &Path) -> PathBuf {
    let script = dir.join(name);
    let (out, program) = (dir.join(OUT), program.display());
    let text = format!(
        "#!/bin/sh\nexec valgrind -q --tool=callgrind --cache-sim=yes {} --callgrind-out-file='{}' '{program}' \"$@\"\n",
        CACHES.join(" "),
        out.display()
    );
    fs::write(&script, text).expect("a file");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("its mode");
    script
}

/// What one request takes.
struct Counted {
    instructions: f64,
    code: f64,
    data: f64,
    far: f64,
}

fn count(world: &World, who: Contender, dir: &Path) -> Counted {
    let proxy = who.start(world, SMALL.front);
    let shape = Shape { connections: CONNECTIONS, ..SMALL };
    shape.requests(who, &proxy, BEFORE);
    control(&proxy, "--zero");
    shape.requests(who, &proxy, REQUESTS);
    control(&proxy, "--dump");
    drop(proxy);
    let each: Vec<f64> = take_totals(dir).iter().map(|all| *all as f64 / REQUESTS as f64).collect();
    // In the order of callgrind's "events": Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw.
    let [instructions, _, _, code, data_read, data_written, far @ ..] = &each[..] else {
        panic!("valgrind wrote what it counted: {each:?}")
    };
    Counted { instructions: *instructions, code: *code, data: data_read + data_written, far: far.iter().sum() }
}

fn control(proxy: &Daemon, what: &str) {
    let pid = proxy.process().0.to_string();
    let done = Command::new("callgrind_control").args([what, &pid]).output().expect("callgrind_control (valgrind)");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// What was dumped first: what the process did until it ended is written behind it.
fn take_totals(dir: &Path) -> Vec<u64> {
    let mut total: Vec<u64> = Vec::new();
    for file in fs::read_dir(dir).expect("its folder").filter_map(Result::ok) {
        if file.file_name().to_string_lossy().starts_with(OUT) {
            let text = fs::read_to_string(file.path()).expect("a dump");
            let of = |line: &str| -> Option<Vec<u64>> {
                line.strip_prefix("totals: ")?.split_whitespace().map(|n| n.parse().ok()).collect()
            };
            total = total.max(text.lines().rev().find_map(of).unwrap_or_default());
            fs::remove_file(file.path()).expect("a dump is taken");
        }
    }
    total
}
