//! Exchanges that end in another way, each with both ends: what a row names is compared no further.

use crate::{compare::Case, play::DIED, seen::Record};

/// Where (the end of the exchange's name, in these chains), Envoy's outcome, Sluice's, and why.
type Row = (&'static str, &'static [&'static str], &'static str, &'static str, &'static str);

const NO_PSEUDO: &str = "a filter that sets all headers without pseudo headers leaves the request line as it was";
const LATE_READ: &str = "the request's headers stay readable in the response; Envoy has let go of them";
const PART: &str = "a part of a body can be replaced; Envoy knows only all, before and behind";
const NOT_OUT: &str = "a head that is not out yet can still be replaced; Envoy has sent it";
const CRASH: &str = "Envoy 1.40.0 dies of it";
const SAME: &str =
    "a stream that is continued in the callback that pauses it goes on; in Envoy it depends on the phase";
const RICH: &str = "actions beyond Continue and Pause are of the C++ SDK alone; any of them pauses";
const ABSOLUTE: &str = "Pingora refuses a target whose authority is not that of Host, before any hook";
const UPGRADE: &str = "handshakes of WebSockets are passed on; Envoy's listener has to allow them";
const OTHER_UPGRADE: &str = "a server may ignore the wish (RFC 9110, 7.8); Envoy refuses it";
const HALF: &str = "a callout whose answer breaks off has failed; in Envoy the guest dies of asking for its status";
const STAR: &str = "a route with the prefix / takes `*`, too";

const ROWS: &[Row] = &[
    ("wipe", &["headers: rust", "headers: go"], "404", "200", NO_PSEUDO),
    ("status", &["headers: go"], "200", "207", LATE_READ),
    ("status without body", &["headers: go"], "200", "404", LATE_READ),
    ("", &["bodies: partial"], "503", "200", PART),
    ("none", &["bodies: partial"], "200, cut", "200", PART),
    ("response is not", &["bodies: json, response"], "200, cut", "400", NOT_OUT),
    ("response body", &["local: rust", "local: go"], "200, cut", "418", NOT_OUT),
    ("response_body", &["chains: answer in the middle", "chains: answer at the end"], "200, cut", "418", NOT_OUT),
    ("response_body", &["faults: trap", "faults: trap between others"], "200, cut", "503", NOT_OUT),
    ("response_body", &["http2: clients, answers"], "200, cut", "418", NOT_OUT),
    ("response_body, denied", &["callouts: answered"], "200, cut", "403", NOT_OUT),
    ("half a body, request_headers", &["callouts: failures"], "none", "200", HALF),
    ("half a body, response_headers", &["callouts: failures"], "none", "200", HALF),
    ("absolute form", &["life: nothing", "life: nothing, no WASI"], "200", "400", ABSOLUTE),
    ("upgrade", &["life: nothing", "life: nothing, no WASI"], "403", "200", UPGRADE),
    ("upgrade to something else", &["life: nothing", "life: nothing, no WASI"], "403", "200", OTHER_UPGRADE),
    ("asterisk", &["life: nothing", "life: nothing, no WASI"], "404", "200", STAR),
    ("response headers, twice", &["local: rust", "local: go"], DIED, "418", CRASH),
    ("resume_idle", &["pause: rust"], DIED, "200", CRASH),
    ("request_headers_resume, length", &["pause: rust"], "none", "200", SAME),
    ("response_headers_resume", &["pause: rust"], "none", "200", SAME),
    ("request_body_resume, chunks", &["pause: rust"], "200", "200", SAME),
    ("response_body_resume, chunks", &["pause: rust"], "200", "200", SAME),
    ("get", &["faults: nonsense action2"], "200", "none", RICH),
    ("post", &["faults: nonsense action2"], "200", "none", RICH),
];

/// The last status, and whether its body came whole.
fn outcome(record: &Record) -> String {
    match record.client.last() {
        _ if record.connection == DIED => DIED.to_owned(),
        None => "none".to_owned(),
        Some(last) if last.end == "whole" => last.status().to_string(),
        Some(last) => format!("{}, cut", last.status()),
    }
}

pub fn level(case: &mut Case<'_>) {
    let (envoy, sluice) = (outcome(&case.envoy), outcome(&case.sluice));
    for (exchange, chains, theirs, ours, _) in ROWS {
        for chain in *chains {
            let name = case.name.strip_prefix(*chain).and_then(|rest| rest.strip_prefix(": "));
            let here = name.is_some_and(|name| name != "start" && (exchange.is_empty() || name == *exchange));
            if here && *theirs == envoy && *ours == sluice {
                case.envoy = case.sluice.clone();
                case.met.push(row(exchange, chain, theirs));
                return;
            }
        }
    }
}

fn row(exchange: &str, chain: &str, theirs: &str) -> String {
    format!("{chain}: {exchange} ({theirs} in Envoy)")
}

/// Each row at each of its chains.
pub fn names() -> impl Iterator<Item = String> {
    ROWS.iter().flat_map(|(exchange, chains, theirs, ..)| chains.iter().map(move |chain| row(exchange, chain, theirs)))
}
