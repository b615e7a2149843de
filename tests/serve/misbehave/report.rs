//! The table of all deeds: what came of them, and how long neighbours waited. Times are told and never judged.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::crowd::Answers;

static ROWS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Adds one row.
pub fn row(isolation: &str, deed: &str, answers: &Answers, before: usize, after: usize) {
    let mut waits = answers.waits.clone();
    waits.sort_unstable();
    let least = |percent: usize| milliseconds(waits[(waits.len() - 1) * percent / 100]);
    let (all, same): (Vec<_>, Vec<_>) = answers.neighbours.iter().partition(|(route, _)| route != "same");
    let row = format!(
        "| {isolation} | {deed} | {} | {} | {} | {} | {} | {} -> {} |",
        counts(answers.evil.iter()),
        counts(all.iter().map(|(_, answer)| answer)),
        counts(same.iter().map(|(_, answer)| answer)),
        least(50),
        least(99),
        before >> 20,
        after >> 20,
    );
    println!("{row}");
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).push(row);
}

/// Writes what there is so far to `misbehaviour.md` in Cargo's folder for tests.
pub fn write() {
    let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    rows.sort_unstable();
    let head = "| isolation | misbehaviour | outcome | neighbours | same filter | p50 ms | p99 ms | memory, MiB |\n\
                | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("misbehaviour.md");
    fs::write(file, format!("{head}{}\n", rows.join("\n"))).unwrap();
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

/// `200 x 12, trap x 4`.
fn counts<'a>(answers: impl Iterator<Item = &'a String>) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    answers.for_each(|answer| *counts.entry(answer).or_default() += 1);
    counts.iter().map(|(answer, count)| format!("{answer} x {count}")).collect::<Vec<_>>().join(", ")
}
