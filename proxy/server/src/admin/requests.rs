//! `/debug/requests`: the last requests with what their filters did, the slowest first.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_host::{Outcome, Visit, is_obeyed};

use super::{Status, answer};
use crate::{
    access_log::AccessLog,
    recent::{Met, Remembered},
};

/// How many are shown when nobody says.
const SHOWN: usize = 50;

/// Which of them, and in which order.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    order: Order,
    limit: Option<usize>,
    /// Those that this filter met.
    filter: Option<String>,
    /// Those with this status: `503`, or `5xx`.
    status: Option<String>,
}

#[derive(Default, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Slowest,
    Recent,
}

pub(super) async fn requests(
    State(status): State<Arc<Status>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let wanted = match query {
        Ok(Query(wanted)) => wanted,
        Err(error) => return answer::error(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let asked = match wanted.status.as_deref().map(statuses).transpose() {
        Ok(asked) => asked,
        Err(why) => return answer::error(StatusCode::BAD_REQUEST, why),
    };
    let (all, places, seen) =
        status.recent.as_ref().map(|recent| (recent.all(), recent.places(), recent.seen())).unwrap_or_default();
    let kept = all.len();
    let shown = chosen(all, &wanted, asked);
    answer::json(&json!({
        "places": places,
        "kept": kept,
        "seen": seen,
        "requests": shown.iter().map(|over| words(over, &status.log)).collect::<Vec<_>>(),
    }))
}

/// The first and the last status of those that are meant.
fn statuses(text: &str) -> Result<(u16, u16), String> {
    let class = |text: &str| text.strip_suffix("xx")?.parse::<u16>().ok().filter(|class| (1..=5).contains(class));
    match (class(text), text.parse()) {
        (Some(class), _) => Ok((class * 100, class * 100 + 99)),
        (None, Ok(status)) => Ok((status, status)),
        (None, Err(_)) => Err("`status` is a number such as 503, or a class such as 5xx".to_owned()),
    }
}

fn chosen(mut all: Vec<Arc<Remembered>>, wanted: &Wanted, asked: Option<(u16, u16)>) -> Vec<Arc<Remembered>> {
    let met = |over: &Remembered, name: &str| {
        over.filters.iter().any(|met| &*met.filter == name && met.outcome != Outcome::Idle)
    };
    all.retain(|over| {
        wanted.filter.as_deref().is_none_or(|name| met(over, name))
            && asked.is_none_or(|(first, last)| (first..=last).contains(&over.status))
    });
    if let Order::Slowest = wanted.order {
        all.sort_by_key(|over| std::cmp::Reverse(over.duration));
    }
    all.truncate(wanted.limit.unwrap_or(SHOWN));
    all
}

fn words(over: &Remembered, log: &AccessLog) -> Value {
    let time = humantime::format_rfc3339_micros(UNIX_EPOCH + over.began).to_string();
    let facts = over.route.as_deref();
    let filters: Duration = over.filters.iter().map(|met| met.used).sum();
    json!({
        "number": over.number,
        "time": time,
        "trace_id": over.trace.as_ref().map(|place| place.trace_id().to_string()),
        "span_id": over.trace.as_ref().map(|place| place.span_id().to_string()),
        "request_id": some_text(&over.id),
        "client": over.client,
        "method": over.method,
        "host": some_text(&over.host),
        "path": log.redacted(text(&over.target).into()),
        "protocol": over.protocol,
        "route": facts.map(|facts| &facts.name),
        "upstream": facts.map(|facts| &facts.upstream).filter(|upstream| !upstream.is_empty()),
        "upstream_address": over.endpoint,
        "upstream_attempts": over.attempts,
        "status": over.status,
        "error": over.error,
        "replied_by": over.replied_by.as_deref(),
        "generation": over.generation,
        "duration_us": micros(over.duration),
        "upstream_us": over.upstream_time.map(micros),
        "filters_us": micros(filters),
        "filters": over.filters.iter().map(filter).collect::<Vec<_>>(),
        "callbacks": over.visits.all.iter().map(|visit| callback(visit, over)).collect::<Vec<_>>(),
        "callbacks_more": over.visits.more,
    })
}

fn filter(met: &Met) -> Value {
    json!({
        "filter": &*met.filter,
        "digest": format!("sha256:{}", met.digest),
        "cpu_us": micros(met.used),
        "outcome": met.outcome.name(),
    })
}

/// `at_us` is since the request began; what lies between `took_us` and `cpu_us` is what others had of the processor.
fn callback(visit: &Visit, over: &Remembered) -> Value {
    let met = over.filters.get(visit.filter);
    json!({
        "filter": met.map(|met| &*met.filter),
        "digest": met.map(|met| format!("sha256:{}", met.digest)),
        "phase": visit.phase.name(),
        "at_us": micros(visit.began.saturating_sub(over.began)),
        "took_us": micros(visit.ended.saturating_sub(visit.began)),
        "cpu_us": micros(visit.cpu),
        "hostcalls": visit.hostcalls,
        "outcome": visit.outcome,
    })
}

/// Tenths of a microsecond.
fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}

fn some_text(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| text(bytes))
}

/// What a client wrote, without what a terminal would obey.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(is_obeyed, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recent::tests::over;

    fn numbers(wanted: &Wanted, asked: Option<(u16, u16)>) -> Vec<u64> {
        let all = [(3, 5, 200), (2, 9, 503), (1, 7, 404), (0, 9, 0)];
        let all = all.map(|(number, ms, status)| Arc::new(over(number, ms, status))).to_vec();
        chosen(all, wanted, asked).iter().map(|over| over.number).collect()
    }

    #[test]
    fn the_slowest_come_first_and_those_that_are_meant_only() {
        let recent = || Wanted { order: Order::Recent, ..Wanted::default() };
        assert_eq!(numbers(&Wanted::default(), None), [2, 0, 1, 3], "the later one of two that are as slow");
        assert_eq!(numbers(&recent(), None), [3, 2, 1, 0]);
        assert_eq!(numbers(&Wanted { limit: Some(2), ..recent() }, None), [3, 2]);
        assert_eq!(numbers(&recent(), Some((400, 499))), [1]);
        assert!(numbers(&Wanted { filter: Some("a".into()), ..recent() }, None).is_empty());
    }

    #[test]
    fn a_status_is_a_number_or_a_class() {
        assert_eq!((statuses("5xx"), statuses("503"), statuses("0")), (Ok((500, 599)), Ok((503, 503)), Ok((0, 0))));
        for wrong in ["", "xx", "6xx", "5x", "-1", "five"] {
            assert!(statuses(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_of_a_client_is_obeyed() {
        assert_eq!(text("a\u{1b}[2J\u{202e}b\u{9b}".as_bytes()), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
    }
}
