//! Known differences over HTTP/2.

use crate::{compare::Case, seen::Seen};

fn pairs<'a>(case: &'a mut Case<'_>) -> impl Iterator<Item = (&'a mut Seen, &'a mut Seen)> {
    let client = case.envoy.client.iter_mut().zip(&mut case.sluice.client);
    client.chain(case.envoy.upstream.iter_mut().zip(&mut case.sluice.upstream))
}

pub fn lengths(case: &mut Case<'_>) {
    for (envoy, sluice) in pairs(case) {
        let frames = envoy.framing == "HTTP/2" && sluice.framing == "HTTP/2";
        let right = |m: &Seen| m.header("content-length").is_none_or(|n| n == m.body.len().to_string());
        let cut = envoy.end == sluice.end && envoy.end == "broken off";
        if frames && envoy.body == sluice.body && (cut || (right(envoy) && right(sluice))) {
            envoy.remove("content-length");
            sluice.remove("content-length");
        }
    }
}

/// Values of one name stay in their order.
pub fn order(case: &mut Case<'_>) {
    if !case.name.starts_with("http2: ") {
        return;
    }
    for (envoy, sluice) in pairs(case) {
        for message in [envoy, sluice] {
            message.headers.sort_by_key(|(name, _)| name.to_lowercase());
            message.trailers.sort_by(|a, b| a.0.cmp(&b.0));
        }
    }
}

pub fn head(case: &mut Case<'_>) {
    if case.name.ends_with(": HEAD") {
        for (envoy, sluice) in case.envoy.client.iter_mut().zip(&case.sluice.client) {
            if sluice.header("transfer-encoding").is_none() {
                envoy.remove("transfer-encoding");
            }
        }
    }
}
