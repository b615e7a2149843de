//! Known differences in heads.

use crate::{
    compare::Case,
    seen::{Record, Seen},
};

fn answers<'a>(case: &'a mut Case<'_>) -> impl Iterator<Item = (&'a mut Seen, &'a mut Seen)> {
    case.envoy.client.iter_mut().zip(&mut case.sluice.client)
}

pub fn early_hints(case: &mut Case<'_>) {
    let interim = |record: &Record| record.client.iter().any(|m| m.status() == 103);
    if !interim(&case.envoy) && case.name.ends_with("early hints") {
        case.sluice.client.retain(|m| m.status() != 103);
    }
}

pub fn early_continue(case: &mut Case<'_>) {
    let said = |record: &Record| record.client.first().is_some_and(|m| m.status() == 100);
    if case.name.ends_with(": deny before a continue") && said(&case.envoy) && !said(&case.sluice) {
        case.envoy.client.remove(0);
    }
}

/// Only dates that neither the origin nor a filter chose.
/// Sluice's is always of this moment; Envoy's is the origin's, or of another moment.
pub fn date(case: &mut Case<'_>) {
    for (envoy, sluice) in answers(case) {
        let now = |m: &Seen| m.header("date").is_some_and(|d| d.ends_with(" GMT") && !d.contains(" 1994 "));
        if envoy.header("date").is_some() && now(sluice) {
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
        let early = envoy.status() >= 400 || envoy.header("grpc-status").is_some();
        if closed && early && said(envoy, "close") && said(sluice, "keep-alive") {
            envoy.remove("connection");
            sluice.remove("connection");
        }
    }
    let early = |m: &Seen| m.status() >= 400 || m.header("grpc-status").is_some();
    let level = |m: &Seen| m.header("connection").is_none() && early(m);
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
        let empty = envoy.framing == "Length(0)" || (envoy.framing == "HTTP/2" && envoy.body.is_empty());
        if envoy.status() == 503 && sluice.status() == 503 && empty && told {
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

pub fn http10(case: &mut Case<'_>) {
    for (envoy, sluice) in answers(case) {
        if envoy.line == sluice.line.replacen("HTTP/1.1", "HTTP/1.0", 1) {
            envoy.line.clone_from(&sluice.line);
        }
    }
}
