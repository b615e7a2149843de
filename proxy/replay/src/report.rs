//! What happened, and in which ways it is not what was expected.

use crate::{Case, Expect, Line, Sent, Values, Wanted, WantedCall};

/// What happened in a case.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Why a filter did not load; then nothing else happened.
    pub refused: Option<String>,
    /// Every exchange in the order of the case.
    pub exchanges: Vec<Exchanged>,
    /// Messages logged when the filters were let go of.
    pub ending: Vec<String>,
}

/// What happened in one exchange.
#[derive(Debug, Clone, Default)]
pub struct Exchanged {
    /// What reached the upstream; `None` when not even the head did.
    pub upstream: Option<Seen>,
    /// What reached the client.
    pub client: Option<Seen>,
    /// Log lines; those of loading belong to the first exchange.
    pub lines: Vec<Line>,
    /// Guests that died.
    pub crashes: Vec<String>,
    /// `<token> in <phase> of <filter>`.
    pub fault: Option<String>,
    /// A filter answered by itself.
    pub replied: bool,
    /// A filter closed the stream, or answered when the head was gone.
    pub reset: bool,
    /// The filter that held the exchange when nothing more happened.
    pub held: Option<String>,
    /// How each filter fared, in chain order.
    pub outcomes: Vec<(String, String)>,
    /// Every event and what the chain said to it.
    pub steps: Vec<String>,
    /// Calls that filters made, as they stood when all was over; those of loading belong to the first exchange.
    pub calls: Vec<Sent>,
}

/// What one side saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Pairs in order, pseudo headers first.
    pub pairs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The pieces in which it came.
    pub pieces: Vec<Vec<u8>>,
    /// Trailers in order.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The end came.
    pub complete: bool,
}

impl Seen {
    /// An embedder frames the body that it sends: a length that a filter made wrong is put right.
    pub(crate) fn correct_length(&mut self) {
        for (_, value) in self.pairs.iter_mut().filter(|(name, _)| name == b"content-length") {
            *value = self.body.len().to_string().into_bytes();
        }
    }
}

/// Every way in which the report is not what the case expects; empty when all is well.
pub fn compare(case: &Case, report: &Report) -> Vec<String> {
    let mut out = Vec::new();
    match (&case.refused, &report.refused) {
        (Some(wanted), Some(found)) if found.contains(wanted.as_str()) => return out,
        (None, None) => {}
        (wanted, found) => return vec![differs("load error", wanted, found)],
    }
    for (number, (talk, found)) in case.talks().iter().zip(&report.exchanges).enumerate() {
        let mut found_here = Vec::new();
        exchange(&talk.expect, found, &mut found_here);
        out.extend(found_here.into_iter().map(|text| format!("exchange {}: {text}", number + 1)));
    }
    if let Some(wanted) = case.ending.as_ref().filter(|wanted| **wanted != report.ending) {
        out.push(differs("log at the end", wanted, &report.ending));
    }
    out
}

fn exchange(wanted: &Expect, found: &Exchanged, out: &mut Vec<String>) {
    let mut check = |what: &str, same: bool, wanted: &dyn std::fmt::Debug, found: &dyn std::fmt::Debug| {
        if !same {
            out.push(differs(what, wanted, found));
        }
    };
    let fault = match (&wanted.fault, &found.fault) {
        (Some(wanted), Some(found)) => found.starts_with(wanted.as_str()),
        (wanted, found) => wanted.is_none() && found.is_none(),
    };
    check("fault", fault, &wanted.fault, &found.fault);
    match &wanted.crashes {
        Some(wanted) => {
            let same = in_order(wanted, &found.crashes) && wanted.len() == found.crashes.len();
            check("crashes", same, wanted, &found.crashes);
        }
        None => check("crashes", found.crashes.is_empty() || wanted.fault.is_some(), &"none", &found.crashes),
    }
    check("held", wanted.held == found.held, &wanted.held, &found.held);
    check("reset", wanted.reset == found.reset, &wanted.reset, &found.reset);
    check("reply", wanted.reply.is_none_or(|reply| reply == found.replied), &wanted.reply, &found.replied);
    let reached = found.upstream.is_some();
    check(
        "reaches upstream",
        wanted.reaches_upstream.is_none_or(|reaches| reaches == reached),
        &wanted.reaches_upstream,
        &reached,
    );
    check("steps", wanted.steps.as_ref().is_none_or(|steps| *steps == found.steps), &wanted.steps, &found.steps);
    let lines: Vec<String> = found.lines.iter().map(ToString::to_string).collect();
    check("log", in_order(&wanted.logs, &lines), &wanted.logs, &lines);
    for text in &wanted.no_logs {
        check("no log", lines.iter().all(|line| !line.contains(text.as_str())), text, &lines);
    }
    if let Some(exactly) = &wanted.logs_exactly {
        let messages: Vec<&String> = found.lines.iter().map(|line| &line.message).collect();
        check("log, exactly", exactly.iter().eq(messages.iter().copied()), exactly, &messages);
    }
    for (filter, word) in &wanted.outcomes {
        check(
            "outcome",
            found.outcomes.iter().any(|(f, w)| f == filter && w == word),
            &(filter, word),
            &found.outcomes,
        );
    }
    if let Some(wanted) = &wanted.calls {
        calls(wanted, &found.calls, out);
    }
    side("upstream", wanted.upstream.as_ref(), found.upstream.as_ref(), out);
    side("client", wanted.client.as_ref(), found.client.as_ref(), out);
}

fn side(name: &str, wanted: Option<&Wanted>, found: Option<&Seen>, out: &mut Vec<String>) {
    let Some(wanted) = wanted else { return };
    let Some(found) = found else { return out.push(format!("{name}: nothing came")) };
    let mut check = |what: &str, same: bool, wanted: &dyn std::fmt::Debug, found: &dyn std::fmt::Debug| {
        if !same {
            out.push(differs(&format!("{name} {what}"), wanted, found));
        }
    };
    let pairs = readable(&found.pairs);
    let values = |key: &str| values_of(&pairs, key);
    if let Some(status) = wanted.status {
        check("status", values(":status") == [status.to_string()], &status, &values(":status"));
    }
    for (key, value) in &wanted.headers {
        check(key, values(key) == Values::as_slice(value), value, &values(key));
    }
    if let Some(all) = &wanted.pairs {
        check("pairs", *all == pairs, all, &pairs);
    }
    for key in &wanted.absent {
        check(key, values(key).is_empty(), &"absent", &values(key));
    }
    if let Some(body) = &wanted.body {
        check("body", body.as_bytes() == found.body, body, &String::from_utf8_lossy(&found.body));
    }
    if let Some(pieces) = &wanted.pieces {
        let read: Vec<_> = found.pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
        check("pieces", *pieces == read, pieces, &read);
    }
    if let Some(trailers) = &wanted.trailers {
        check("trailers", *trailers == readable(&found.trailers), trailers, &readable(&found.trailers));
    }
    let complete = wanted.complete.unwrap_or(true);
    check("complete", complete == found.complete, &complete, &found.complete);
}

/// All calls in their order; a call too many is a difference too.
fn calls(wanted: &[WantedCall], found: &[Sent], out: &mut Vec<String>) {
    if wanted.len() != found.len() {
        return out.push(differs("number of calls", &wanted.len(), &found));
    }
    for (number, (wanted, found)) in wanted.iter().zip(found).enumerate() {
        call(&format!("call {}", number + 1), wanted, found, out);
    }
}

fn call(name: &str, wanted: &WantedCall, found: &Sent, out: &mut Vec<String>) {
    fn check<T: PartialEq + std::fmt::Debug>(out: &mut Vec<String>, what: String, wanted: Option<&T>, found: &T) {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            out.push(differs(&what, wanted, found));
        }
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = readable(&found.pairs);
    check(out, format!("{name} filter"), wanted.filter.as_ref(), &found.filter);
    check(out, format!("{name} upstream"), wanted.upstream.as_ref(), &found.upstream);
    for (key, value) in &wanted.headers {
        check(out, format!("{name} {key}"), Some(&value.as_slice().to_vec()), &values_of(&pairs, key));
    }
    for key in &wanted.absent {
        check(out, format!("{name} {key}"), Some(&Vec::new()), &values_of(&pairs, key));
    }
    check(out, format!("{name} pairs"), wanted.pairs.as_ref(), &pairs);
    check(out, format!("{name} body"), wanted.body.as_ref(), &text(&found.body));
    check(out, format!("{name} trailers"), wanted.trailers.as_ref(), &readable(&found.trailers));
    let timeout = wanted.timeout_ms.map(std::time::Duration::from_millis).map(Some);
    check(out, format!("{name} timeout"), timeout.as_ref(), &found.timeout);
    check(out, format!("{name} messages"), wanted.messages.as_ref(), &found.messages.iter().map(|m| text(m)).collect());
    check(out, format!("{name} ended"), wanted.ended.as_ref(), &found.ended);
    check(out, format!("{name} closed"), wanted.closed.as_ref(), &found.closed);
    check(out, format!("{name} cancelled"), wanted.cancelled.as_ref(), &found.cancelled);
}

fn values_of(pairs: &[(String, String)], key: &str) -> Vec<String> {
    pairs.iter().filter(|(n, _)| n == key).map(|(_, v)| v.clone()).collect()
}

/// As in a case file, each character is one byte.
fn readable(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect();
    pairs.iter().map(|(n, v)| (text(n), text(v))).collect()
}

/// Whether lines that contain these come in this order.
fn in_order(wanted: &[String], lines: &[String]) -> bool {
    let mut lines = lines.iter();
    wanted.iter().all(|text| lines.any(|line| line.contains(text.as_str())))
}

fn differs(what: &str, wanted: &dyn std::fmt::Debug, found: &dyn std::fmt::Debug) -> String {
    format!("{what}\n    expected {wanted:?}\n    found    {found:?}")
}
