//! Known differences in what guests log and report.

use std::collections::BTreeSet;

use crate::{compare::Case, seen::Seen};

/// A call of the fixture `wild`, Envoy's status, Sluice's, and why.
const STATUSES: &[(&str, &str, &str, &str)] = &[
    ("log nothing from outside", "6", "0", "nothing is read when the length is 0"),
    ("get_buffer pointer", "1", "6", "the plugin's configuration stays readable"),
    ("get_buffer size", "1", "6", "the plugin's configuration stays readable"),
    ("get_buffer_status", "1", "6", "the plugin's configuration stays readable"),
    ("resolve_queue: not made by that", "0", "1", "a failed registration leaves nothing behind"),
    ("get request body", "0", "1", "there is no body in this phase"),
    ("set request body", "2", "1", "there is no body in this phase"),
    ("get response body", "0", "1", "there is no body in this phase"),
    ("set response body", "2", "1", "there is no body in this phase"),
    ("get TCP data", "0", "1", "there is no TCP stream"),
    ("get foreign arguments", "0", "1", "there is no foreign call"),
    ("continue TCP", "0", "2", "there is no TCP stream"),
];

pub fn statuses(case: &mut Case<'_>) {
    if !case.name.starts_with("faults: wild: ") {
        return;
    }
    for (envoy, sluice) in case.envoy.client.iter_mut().zip(&case.sluice.client) {
        for (e, s) in envoy.headers.iter_mut().zip(&sluice.headers) {
            let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
            let known = STATUSES.iter().find(|(call, theirs, ours, _)| {
                text(&e.1) == format!("{theirs} {call}") && text(&s.1) == format!("{ours} {call}")
            });
            if let Some(row) = known.filter(|_| e.0 == s.0) {
                e.1.clone_from(&s.1);
                case.met.push(row.0.to_owned());
            }
        }
    }
    // A length of 0 is a line of the log, and an empty one.
    case.sluice.guest.retain(|line| line != "w info ");
}

/// The calls of the table.
pub fn names() -> impl Iterator<Item = String> {
    STATUSES.iter().map(|row| row.0.to_owned())
}

/// Every line of a start once, in the order of the first.
pub fn starts(case: &mut Case<'_>) {
    let known: BTreeSet<String> =
        case.sluice.guest.iter().filter_map(|l| l.split(' ').next()).map(Into::into).collect();
    if let (Some(only), 1) = (known.first(), known.len()) {
        for line in &mut case.envoy.guest {
            if let Some(rest) = line.strip_prefix("- ") {
                *line = format!("{only} {rest}");
            }
        }
    }
    if !case.name.ends_with(": start") {
        return;
    }
    let mut seen = BTreeSet::new();
    let mut once: Vec<String> = case.envoy.guest.iter().filter(|line| seen.insert((*line).clone())).cloned().collect();
    // Filters start in the order of the chain here, and side by side there.
    let name = |line: &String| line.split(' ').next().map(str::to_owned);
    let order: Vec<_> = case.sluice.guest.iter().map(name).collect();
    once.sort_by_key(|line| order.iter().position(|n| *n == name(line)));
    if once == case.sluice.guest {
        case.envoy.guest = once;
    }
}

pub fn escaped(case: &mut Case<'_>) {
    for line in &mut case.envoy.guest {
        // The environment fixture writes two lines at once, which is another difference.
        if !line.contains("two\nlines") {
            *line = line.replace('\n', "\\n");
        }
    }
}

pub fn output(case: &mut Case<'_>) {
    let lines = case.envoy.guest.iter().flat_map(|line| match line.split_once(" two\n") {
        Some((head, rest)) if rest == "lines and a partial one" => {
            vec![format!("{head} two"), format!("{head} {rest}")]
        }
        _ => vec![line.clone()],
    });
    case.envoy.guest = lines.collect();
}

/// `stream <id> on_log` comes before `on_done` in Envoy.
pub fn log_before_done(case: &mut Case<'_>) {
    let lines = &mut case.envoy.guest;
    for at in 1..lines.len() {
        let log = lines[at - 1].split_once(" on_log ").map(|(stream, _)| stream.to_owned());
        if log.is_some_and(|stream| lines[at] == format!("{stream} on_done")) {
            lines.swap(at - 1, at);
        }
    }
}

pub fn clocks(case: &mut Case<'_>) {
    let other = ["x-clock-wasi", "x-clock-host", "x-elapsed", "x-random"];
    let shape = |message: &Seen, name: &str| {
        let value = message.header(name)?;
        let digits = if name == "x-random" { value.len() == 32 } else { value.parse::<u128>().is_ok() };
        digits.then_some(())
    };
    for (envoy, sluice) in case.envoy.client.iter_mut().zip(&mut case.sluice.client) {
        for name in other {
            if shape(envoy, name).is_some() && shape(sluice, name).is_some() {
                envoy.remove(name);
                sluice.remove(name);
            }
        }
        // Of 1024 random bytes about 250 are different.
        let many = |m: &Seen| m.header("x-random-distinct").and_then(|n| n.parse().ok()).is_some_and(|n: u32| n > 200);
        if many(envoy) && many(sluice) {
            envoy.remove("x-random-distinct");
            sluice.remove("x-random-distinct");
        }
    }
}

pub fn second_answer(case: &mut Case<'_>) {
    let said = "l warn proxy_send_local_response: called twice; the second is ignored";
    if case.name.starts_with("local: ") && !case.envoy.guest.iter().any(|l| l == said) {
        case.sluice.guest.retain(|l| l != said);
    }
}
