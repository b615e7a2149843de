//! Known differences in callouts and in what guests do by themselves.

use std::collections::BTreeSet;

use crate::{compare::Case, seen::Seen};

pub fn fields(case: &mut Case<'_>) {
    for message in case.envoy.service.iter_mut().chain(&mut case.sluice.service) {
        message.headers.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
        message.headers.sort_by(|a, b| a.0.cmp(&b.0));
    }
    for message in &mut case.envoy.service {
        message.remove("x-envoy-internal");
        message.remove("x-envoy-expected-rq-timeout-ms");
    }
}

/// How Envoy answers a callout that its upstream did not.
const MADE_UP: [&str; 3] = ["503 upstream connect error", "502 upstream connect error", "504 upstream request timeout"];

pub fn failed(case: &mut Case<'_>) {
    let note = "x-call-notes";
    let messages = case.envoy.client.iter_mut().zip(&case.sluice.client);
    for (envoy, sluice) in messages.chain(case.envoy.upstream.iter_mut().zip(&case.sluice.upstream)) {
        let made_up = |m: &Seen| m.header(note).is_some_and(|n| MADE_UP.iter().any(|start| n.starts_with(start)));
        if made_up(envoy) && sluice.header(note).is_some_and(|n| n == "failed 0") {
            let field = envoy.headers.iter_mut().find(|(name, _)| name == note);
            field.into_iter().for_each(|(_, value)| *value = b"failed 0".to_vec());
        }
    }
}

pub fn counted(case: &mut Case<'_>) {
    let (one_more, as_sent) = ("root call answered headers=5 body=answer", "root call answered headers=4 body=answer");
    case.envoy.guest.iter_mut().for_each(|line| *line = line.replace(one_more, as_sent));
}

pub fn refused(case: &mut Case<'_>) {
    let said = "c warn proxy_http_call to `nowhere` was refused: this filter is not granted it (capabilities.callouts)";
    case.sluice.guest.retain(|line| line != said);
}

/// Each line and each call of a guest once, as two of them run side by side in Envoy.
pub fn instances(case: &mut Case<'_>) {
    if ["alive: ticks: three", "alive: call while configuring: one"].contains(&case.name) {
        for record in [&mut case.envoy, &mut case.sluice] {
            record.guest = BTreeSet::from_iter(record.guest.drain(..)).into_iter().collect();
            record.service.dedup();
        }
    }
}
