//! Known differences in bodies: how they are cut into pieces, and how they are framed.

use crate::{
    compare::Case,
    seen::{Record, Seen},
};

/// A line about a piece of a body: what stands before, size, whether it is the end.
fn piece(line: &str) -> Option<(&str, usize, bool)> {
    let (before, rest) = line.split_once("size=")?;
    let (size, end) = rest.split_once(" end=")?;
    Some((before, size.parse().ok()?, end == "true"))
}

/// Joins the last two calls for a body where the second brings nothing but the end.
fn joined(lines: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in lines {
        if let Some((before, size, true)) = piece(line)
            && let Some(at) = out.iter().rposition(|l| piece(l).is_some_and(|(b, ..)| b == before))
            && let Some((_, held, false)) = piece(&out[at])
            && (size == 0 || size == held)
        {
            out.remove(at);
            out.push(format!("{before}size={held} end=true"));
        } else {
            out.push(line.clone());
        }
    }
    out
}

/// `.., in 3 calls` of the fixture `body`, and `3,6,6e` of the fixture `pause`, without what the last call adds.
fn counted(text: &str) -> String {
    if let Some((before, calls)) = text.split_once(" calls").and_then(|(b, _)| b.rsplit_once(", in ")) {
        let _ = calls;
        return format!("{before}, in some calls");
    }
    let Some((before, last)) = text.rsplit_once(',') else { return text.to_owned() };
    let held = before.rsplit([',', '=']).next().unwrap_or_default();
    let same = last == "0e" || last == format!("{held}e");
    if same && held.parse::<usize>().is_ok() { format!("{before}e") } else { text.to_owned() }
}

fn settled(record: &mut Record) {
    // The fixture `local` logs calls for a body without their sizes.
    record.guest.dedup_by(|a, b| a == b && a.starts_with("l info local ") && a.ends_with("_body"));
    record.guest = joined(&record.guest).iter().map(|line| counted(line)).collect();
    for answer in &mut record.client {
        for (name, value) in &mut answer.headers {
            if name == "x-pause-request" {
                *value = counted(&String::from_utf8_lossy(value)).into_bytes();
            }
        }
    }
}

pub fn last_call(case: &mut Case<'_>) {
    let unlike = case.envoy.guest != case.sluice.guest;
    if unlike || case.envoy.client.iter().zip(&case.sluice.client).any(|(e, s)| e.headers != s.headers) {
        settled(&mut case.envoy);
        settled(&mut case.sluice);
    }
}

/// Only where all was sent at once, so that the proxy decides what a piece is.
pub fn pieces(case: &mut Case<'_>) {
    // What came while a head was held reaches the filter in one piece in Envoy.
    let held = case.name.ends_with("headers_tick, chunks");
    let cut = case.name.ends_with("cut anywhere");
    if !cut && !case.name.ends_with(" at once") && !case.name.contains("large: ") && !held {
        return;
    }
    for record in [&mut case.envoy, &mut case.sluice] {
        let mut out: Vec<String> = Vec::new();
        for line in &record.guest {
            let last = out.last().and_then(|l| piece(l)).map(|(b, size, end)| (b.to_owned(), size, end));
            match (last, piece(line)) {
                (Some((b, held, false)), Some((before, size, end))) if b == before => {
                    out.pop();
                    out.push(format!("{before}size={} end={end}", held + size));
                }
                _ => out.push(line.clone()),
            }
        }
        record.guest = out;
        if held {
            record.guest.iter_mut().for_each(|line| *line = summed(line));
            for (_, value) in
                record.client.iter_mut().flat_map(|m| &mut m.headers).filter(|(n, _)| n == "x-pause-request")
            {
                *value = summed(&String::from_utf8_lossy(value)).into_bytes();
            }
        }
    }
}

/// `3,2,1e` of the fixture `pause` as `6e`.
fn summed(text: &str) -> String {
    let (before, calls) = text.rsplit_once('=').map_or(("", text), |(b, c)| (b, c));
    let sizes: Option<Vec<usize>> =
        calls.strip_suffix('e').map(|c| c.split(',').map_while(|n| n.parse().ok()).collect());
    match sizes.filter(|s| s.len() == calls.split(',').count()) {
        Some(sizes) => format!("{before}{}{}e", if before.is_empty() { "" } else { "=" }, sizes.iter().sum::<usize>()),
        None => text.to_owned(),
    }
}

/// The same bytes, once with their length and once in chunks.
pub fn framing(case: &mut Case<'_>) {
    // A filter that changes nothing changes no framing either.
    let untouched = case.name.starts_with("life: nothing") && !case.name.ends_with("until close");
    let answers = case.envoy.client.iter_mut().zip(&mut case.sluice.client);
    let requests = case.envoy.upstream.iter_mut().zip(&mut case.sluice.upstream);
    for (envoy, sluice) in answers.chain(requests).filter(|_| !untouched) {
        let length = |m: &Seen| m.framing == format!("Length({})", m.body.len());
        let chunks = |m: &Seen| m.framing == "Chunked";
        if envoy.body == sluice.body && (chunks(envoy) && length(sluice) || length(envoy) && chunks(sluice)) {
            for message in [envoy, sluice] {
                message.remove("content-length");
                message.remove("transfer-encoding");
                message.framing = "either".to_owned();
            }
        }
    }
}
