//! The differences that are meant to be: each has a name, a reason, and takes away itself and nothing else.

mod bodies;
mod callouts;
mod guests;
mod heads;
mod http2;
mod order;
mod outcomes;
mod properties;
mod store;

use crate::compare::Case;

/// One known difference.
pub struct Known {
    pub name: &'static str,
    /// Also in docs/host-differences.md.
    pub reason: &'static str,
    /// Makes both records equal where they differ in exactly this way.
    pub level: fn(&mut Case<'_>),
}

/// All of them, in the order in which they are taken away.
pub const KNOWN: &[Known] = &[
    known("other outcome", "a table of its own names each exchange, both outcomes and the reason", outcomes::level),
    known(
        "starts",
        "Envoy starts a guest more than once to try it out, and has no name for it before its configuration",
        guests::starts,
    ),
    known("line ends in logged text", "a guest must not be able to write lines of the proxy's log", guests::escaped),
    known("output by lines", "a line of standard output is a line of the log, however it was written", guests::output),
    known("log before done", "the order of the specification, done, log, delete", guests::log_before_done),
    known("clocks and randomness", "are other ones each time", guests::clocks),
    known("hostcall statuses", "a table of its own names each call, both statuses and the reason", guests::statuses),
    known(
        "size and end in one call",
        "Pingora tells the end together with the last bytes when it knows it then",
        bodies::last_call,
    ),
    known(
        "pieces of a body",
        "Envoy hands on what one read gave, Pingora each chunk of HTTP and at most 64 KiB",
        bodies::pieces,
    ),
    known(
        "framing of changed bodies",
        "the length is known when the whole body is, and a body whose length may change is chunked",
        bodies::framing,
    ),
    known("fields of callouts", "Envoy says that they are internal and how long it waits", callouts::fields),
    known("callouts that fail", "have no answer; Envoy makes up one with 502, 503 or 504", callouts::failed),
    known("fields of answers to callouts", "Envoy adds how long the service took", callouts::counted),
    known("refused callouts", "the log says which grant is missing", callouts::refused),
    known("guests that act by themselves", "Envoy has one more, on its main thread", callouts::instances),
    known("unknown metrics", "are not found, as in the specification", store::unknown),
    known("metrics defined again", "have the number they had", store::again),
    known("lengths over HTTP/2", "say nothing that the frames do not say", http2::lengths),
    known("order over HTTP/2", "neither proxy keeps it between fields of different names", http2::order),
    known("head of an answer to HEAD", "Envoy announces chunks that never come", http2::head),
    known("second answer", "Sluice says in the log that a second local answer is ignored", guests::second_answer),
    known(
        "status of gRPC",
        "only answers of gRPC have one; Envoy derives one from any status",
        properties::grpc_status,
    ),
    known(
        "whole groups",
        "`request` by itself is not found; Envoy says that it cannot be serialised",
        properties::whole_groups,
    ),
    known(
        "protocol of the answer",
        "an HTTP/1.1 server says so to a client of HTTP/1.0, too (RFC 9110, 6.2)",
        heads::http10,
    ),
    known(
        "nested names of set properties",
        "what is set can be read; Envoy finds names of one part only",
        properties::nested,
    ),
    known("interim answers", "103 is passed on to the client; Envoy drops it", heads::early_hints),
    known("100 Continue", "is said when the filters have let the head pass", heads::early_continue),
    known("date", "Pingora writes it over, behind every hook", heads::date),
    known("connection: keep-alive", "said to clients of HTTP/1.1, too; Pingora adds it", heads::keep_alive),
    known(
        "connection kept after an early answer",
        "the rest of a short request is read instead of closing",
        heads::kept,
    ),
    known("proxy-status", "RFC 9209: says which filter answered, or what failed", heads::proxy_status),
    known("body of a failure", "says in words what failed, with the filter; Envoy's 503 is empty", heads::failure),
    known(
        "reason phrase",
        "the one of the status; Envoy keeps that of the status before, and has none for 418",
        heads::reason,
    ),
    known("content-length: 0", "only said for methods that usually have a body", heads::zero_length),
    known("te", "trailers of requests are not passed on, so none are asked for", heads::te),
    known(
        "continue goes on at once",
        "Envoy sends the head inside of the hostcall, so changes after it are lost",
        heads::legacy_continue,
    ),
    known(
        "request properties in the response",
        "stay readable; Envoy lets go of the request's head",
        properties::late_request,
    ),
    known("order of maps", "maps have the order of the wire; Envoy's has none", properties::map_order),
    known("total sizes", "bytes of the wire; Envoy counts names and values", properties::total_size),
    known(
        "letters of names",
        "names are compared without case; a changed field has the filter's spelling",
        order::letters,
    ),
    known(
        "order of fields",
        "only the order within a name means something, and that of untouched fields is kept",
        order::order,
    ),
];

const fn known(name: &'static str, reason: &'static str, level: fn(&mut Case<'_>)) -> Known {
    Known { name, reason, level }
}

/// What some exchange has to show: each difference, and each row of the tables.
pub fn names() -> Vec<String> {
    let own = KNOWN.iter().map(|k| k.name.to_owned());
    own.chain(outcomes::names()).chain(guests::names()).collect()
}
