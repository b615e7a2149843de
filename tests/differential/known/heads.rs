//! Known differences in heads.

use std::collections::BTreeMap;

use crate::{
    compare::Case,
    seen::{Record, Seen},
};

fn answers<'a>(case: &'a mut Case<'_>) -> impl Iterator<Item = (&'a mut Seen, &'a mut Seen)> {
    case.envoy.client.iter_mut().zip(&mut case.sluice.client)
}

/// Requests that a filter answered or a fault ended while they were on their way.
pub fn cut_requests(case: &mut Case<'_>) {
    let early = |r: &Record| r.client.last().is_none_or(|m| m.status() >= 400 || m.end != "whole");
    if early(&case.envoy) && early(&case.sluice) {
        for record in [&mut case.envoy, &mut case.sluice] {
            record.upstream.retain(|m| m.end == "whole");
        }
    }
}

pub fn early_hints(case: &mut Case<'_>) {
    let interim = |record: &Record| record.client.iter().any(|m| m.status() == 103);
    if !interim(&case.envoy) && case.name.ends_with("early hints") {
        case.sluice.client.retain(|m| m.status() != 103);
    }
}

/// Only dates that neither the origin nor a filter chose.
pub fn date_overwritten(case: &mut Case<'_>) {
    for (envoy, sluice) in answers(case) {
        if envoy.header("date").is_some() && sluice.header("date").is_some_and(|d| !d.contains(" 1994 ")) {
            envoy.remove("date");
            sluice.remove("date");
        }
    }
}

pub fn date(case: &mut Case<'_>) {
    for (envoy, sluice) in answers(case) {
        let now = |m: &Seen| m.header("date").is_some_and(|d| d.ends_with(" GMT") && !d.contains(" 1994 "));
        if now(envoy) && now(sluice) {
            envoy.remove("date");
            sluice.remove("date");
        }
    }
}

pub fn keep_alive(case: &mut Case<'_>) {
    for (envoy, sluice) in answers(case) {
        if envoy.header("connection").is_none() && sluice.header("connection").is_some_and(|v| v == "keep-alive") {
            sluice.remove("connection");
        }
    }
}

pub fn kept(case: &mut Case<'_>) {
    let closed = case.envoy.connection == "closed" && case.sluice.connection == "open";
    for (envoy, sluice) in answers(case) {
        let said = |m: &Seen, what| m.header("connection").is_some_and(|v| v == what);
        if closed && envoy.status() >= 400 && said(envoy, "close") && said(sluice, "keep-alive") {
            envoy.remove("connection");
            sluice.remove("connection");
        }
    }
    let level = |m: &Seen| m.header("connection").is_none() && m.status() >= 400;
    if closed && [&case.envoy, &case.sluice].iter().all(|r| r.client.last().is_some_and(level)) {
        case.envoy.connection.clone_from(&case.sluice.connection);
    }
}

pub fn proxy_status(case: &mut Case<'_>) {
    for (envoy, sluice) in answers(case) {
        let ours = sluice.header("proxy-status").is_some_and(|v| v.starts_with("sluice; error="));
        if ours && envoy.header("proxy-status").is_none() {
            sluice.remove("proxy-status");
        }
    }
}

pub fn failure(case: &mut Case<'_>) {
    for (envoy, sluice) in answers(case) {
        let told = sluice.body.starts_with(b"a filter of this route failed (filter=");
        if envoy.status() == 503 && sluice.status() == 503 && envoy.framing == "Length(0)" && told {
            for message in [envoy, sluice] {
                message.remove("content-length");
                message.remove("content-type");
                message.body.clear();
                message.framing = "either".to_owned();
            }
        }
    }
}

pub fn reason(case: &mut Case<'_>) {
    for (envoy, sluice) in answers(case) {
        let phrase = envoy.line.splitn(3, ' ').nth(2).unwrap_or_default();
        let theirs = phrase == "Unknown" || (phrase == "OK" && envoy.status() != 200);
        if theirs && envoy.status() == sluice.status() {
            envoy.line.clone_from(&sluice.line);
        }
    }
}

pub fn zero_length(case: &mut Case<'_>) {
    for (envoy, sluice) in case.envoy.upstream.iter_mut().zip(&case.sluice.upstream) {
        let usual = ["POST ", "PUT ", "PATCH "].iter().any(|m| envoy.line.starts_with(m));
        if !usual && envoy.framing == "Length(0)" && sluice.framing == "None" {
            envoy.remove("content-length");
            envoy.framing.clone_from(&sluice.framing);
        }
    }
}

pub fn te(case: &mut Case<'_>) {
    for (envoy, sluice) in case.envoy.upstream.iter_mut().zip(&case.sluice.upstream) {
        if envoy.header("te").is_some_and(|v| v == "trailers") && sluice.header("te").is_none() {
            envoy.remove("te");
        }
    }
}

pub fn legacy_continue(case: &mut Case<'_>) {
    if case.name == "life: abi 0.1.0: resume the response" {
        for (envoy, sluice) in answers(case) {
            if envoy.header("x-legacy-continue").is_none() {
                sluice.remove("x-legacy-continue");
            }
        }
    }
}

/// The same name and value in other letters: Sluice's spelling is taken. What nobody touched keeps its letters.
pub fn letters(case: &mut Case<'_>) {
    let upstream = case.envoy.upstream.iter_mut().zip(&case.sluice.upstream).map(|p| (p, &case.sent));
    let client = case.envoy.client.iter_mut().zip(&case.sluice.client).map(|p| (p, &case.replied));
    for ((envoy, sluice), original) in upstream.chain(client) {
        let mut taken = vec![false; sluice.headers.len()];
        for (name, value) in &mut envoy.headers {
            let same = |(i, (n, v)): (usize, &(String, Vec<u8>))| {
                (!taken[i] && n.eq_ignore_ascii_case(name) && v == value).then_some(i)
            };
            if let Some(i) = sluice.headers.iter().enumerate().find_map(same) {
                let exact = format!("\r\n{}: {}\r\n", sluice.headers[i].0, String::from_utf8_lossy(value));
                if untouched(name, value, original) && !original.contains(&exact) {
                    continue;
                }
                taken[i] = true;
                name.clone_from(&sluice.headers[i].0);
            }
        }
    }
}

/// Whether a field was in the original message as it is now.
fn untouched(name: &str, value: &[u8], original: &str) -> bool {
    let line = format!("\r\n{name}: {}\r\n", String::from_utf8_lossy(value)).to_lowercase();
    original.to_lowercase().contains(&line)
}

/// Brings fields of one name to where the first of them stands.
fn grouped<T: Clone>(items: &[T], name: impl Fn(&T) -> String) -> Vec<T> {
    let mut out: Vec<T> = Vec::new();
    for item in items {
        let last = out.iter().rposition(|o| name(o) == name(item));
        out.insert(last.map_or(out.len(), |i| i + 1), item.clone());
    }
    out
}

type Field = (String, Vec<u8>);

pub fn order(case: &mut Case<'_>) {
    let name = |h: &Field| h.0.to_lowercase();
    let by_name = |headers: &[Field]| {
        let mut map: BTreeMap<String, Vec<Field>> = BTreeMap::new();
        headers.iter().for_each(|h| map.entry(name(h)).or_default().push(h.clone()));
        map
    };
    let upstream = case.envoy.upstream.iter_mut().zip(&case.sluice.upstream).map(|p| (p, &case.sent));
    let client = case.envoy.client.iter_mut().zip(&case.sluice.client).map(|p| (p, &case.replied));
    for ((envoy, sluice), original) in upstream.chain(client) {
        let still = |headers: &[Field]| {
            let kept = headers.iter().filter(|h| untouched(&h.0, &h.1, original)).cloned().collect::<Vec<_>>();
            grouped(&kept, name)
        };
        if by_name(&envoy.headers) == by_name(&sluice.headers) && still(&envoy.headers) == still(&sluice.headers) {
            envoy.headers.clone_from(&sluice.headers);
        }
    }
    // What the guests log about each field, in blocks of one filter and side.
    let block = |line: &String| line.splitn(4, ' ').take(3).collect::<Vec<_>>().join(" ");
    let field = |line: &String| line.split(' ').take(4).collect::<Vec<_>>().join(" ");
    let logged = |line: &String| line.contains(" info request ") || line.contains(" info response ");
    let settled = |lines: &[String]| {
        let mut out = lines.to_vec();
        for run in out.chunk_by_mut(|a, b| logged(a) && logged(b) && block(a) == block(b)) {
            run.sort_by_key(|line| field(line));
        }
        out
    };
    if settled(&case.envoy.guest) == settled(&case.sluice.guest) {
        case.envoy.guest.clone_from(&case.sluice.guest);
    }
}
