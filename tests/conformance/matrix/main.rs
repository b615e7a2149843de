//! Which hostcall may be called in which callback, played: one call in one callback for each cell of three tables.
//!
//! The tables are printed and stand in `docs/hostcalls.md`; both kinds of isolation have to give the same ones.
//! `BLESS=1 cargo test -p sluice-conformance --test matrix` writes them there.

#![allow(clippy::expect_used, reason = "a test")]

mod calls;
mod phases;

use std::{fmt::Write, fs, path::Path, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use sluice_host::EngineOptions;
use sluice_replay::{Case, Isolated, Player, parse};

use calls::Row;
use phases::{PHASES, Phase};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hostcalls.md");
const BEGIN: &str = "<!-- matrix: played by `BLESS=1 cargo test -p sluice-conformance --test matrix` -->\n";
const END: &str = "<!-- end of the matrix -->\n";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if std::env::var_os("BLESS").is_some() {
        // In their order: what the first writes is what the second has to give too.
        arguments.test_threads = Some(1);
    }
    let trials = [Isolated::Shared, Isolated::Request].map(|isolation| {
        let word = format!("{isolation:?}").to_lowercase();
        Trial::test(format!("the matrix of hostcalls and callbacks ({word})"), move || check(isolation))
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn check(isolation: Isolated) -> Result<(), Failed> {
    let made = tables(isolation)?;
    let page = fs::read_to_string(Path::new(PAGE)).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("its beginning");
    let (old, after) = rest.split_once(END).expect("its end");
    if isolation == Isolated::Shared {
        println!("{made}");
        if std::env::var_os("BLESS").is_some() {
            fs::write(PAGE, [before, BEGIN, &made, END, after].concat()).expect("writable");
            return Ok(());
        }
    }
    if old == made {
        return Ok(());
    }
    let differ = old.lines().zip(made.lines()).filter(|(old, new)| old != new);
    let lines: Vec<String> = differ.map(|(old, new)| format!("was  {old}\nis   {new}")).collect();
    Err(format!("docs/hostcalls.md is not what was played; BLESS=1 writes it anew\n{}", lines.join("\n")).into())
}

/// All three tables as they stand on the page.
fn tables(isolation: Isolated) -> Result<String, Failed> {
    // One of its own, so that queues and shared data are those of this matrix only.
    let player = Player::new(EngineOptions::default())?;
    let mut out = String::from("\n| column | callback |\n| --- | --- |\n");
    for phase in PHASES {
        writeln!(out, "| `{}` | {} |", phase.column, phase.title)?;
    }
    for (title, rows) in [
        ("Every hostcall, on the map and the buffer that the callback is about", calls::all()),
        ("Header maps", calls::maps()),
        ("Buffers", calls::buffers()),
    ] {
        let width = rows.iter().map(|row| row.label.len()).max().unwrap_or_default();
        write!(out, "\n### {title}\n\n```text\n{:width$}", "")?;
        for phase in PHASES {
            write!(out, " {:>2}", phase.column)?;
        }
        out.push('\n');
        for row in rows {
            write!(out, "{:width$}", row.label)?;
            for phase in PHASES {
                write!(out, " {:>2}", cell(&player, isolation, phase, &row)?)?;
            }
            out.push('\n');
        }
        out.push_str("```\n");
    }
    out.push('\n');
    Ok(out)
}

/// Plays one cell: the status that the call gets.
fn cell(player: &Player, isolation: Isolated, phase: &Phase, row: &Row) -> Result<String, Failed> {
    let case = case(phase, &(row.statements)(phase));
    let report = player.play(&case, isolation, &sluice_conformance::read)?;
    let begin = format!("{} {} -> ", phase.callback, row.hostcall.name());
    let mut lines = report.exchanges.iter().flat_map(|exchange| &exchange.lines);
    let found = lines.find_map(|line| {
        let status = line.message.strip_prefix(&begin)?.split(' ').next()?;
        phase.context.is_none_or(|context| context == line.context).then(|| status.to_owned())
    });
    found.ok_or_else(|| format!("{begin}: it was not called; {report:?}").into())
}

/// A case that comes by this callback, with statements in it.
fn case(phase: &Phase, statements: &[String]) -> Case {
    let lines: Vec<String> = phase
        .reach
        .lines()
        .map(|l| l.trim().to_owned())
        .chain(statements.iter().map(|s| format!("{}#1: {s}", phase.callback)))
        .collect();
    let mut case = parse(phases::CASE).expect("it is one").remove(0);
    case.filters[0].env.insert("SCRIPT".into(), lines.join("\n"));
    if !phase.tcp {
        case.connection = None;
    }
    case
}
