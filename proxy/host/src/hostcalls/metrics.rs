//! `metrics`: counters, gauges and histograms that filters define.

use sluice_abi::{LogLevel, MetricType, Status};

use crate::{
    shared::{Defined, MetricError, NotDefined, TooMany},
    state::State,
};

fn status(error: MetricError) -> Status {
    match error {
        MetricError::Unknown => Status::NotFound,
        MetricError::Meaningless => Status::BadArgument,
    }
}

pub(crate) fn proxy_define_metric(state: &mut State, kind: MetricType, name: &[u8]) -> Result<u32, Status> {
    let text = std::str::from_utf8(name).map_err(|_| Status::BadArgument)?;
    let identity = &state.identity;
    let defined = state.services.metrics.define(kind, text, &identity.account, identity.caps.metrics);
    match defined {
        Ok(Defined::Metric(_)) => {}
        Ok(Defined::Overflow(_, TooMany::Labels)) => {
            say(state, text, "has too many different labels: it is counted in one with the label otel.metric.overflow");
        }
        Err(NotDefined::Name) => say(state, text, "was refused: its name is empty or longer than 512 bytes"),
        Ok(Defined::Overflow(_, TooMany::Metrics(full))) | Err(NotDefined::Full(full)) => state.capped(full),
    }
    match defined {
        Ok(Defined::Metric(id) | Defined::Overflow(id, _)) => Ok(id),
        Err(_) => Err(Status::BadArgument),
    }
}

fn say(state: &mut State, metric: &str, why: &str) {
    let metric: String = metric.chars().take(80).collect();
    super::log::write(state, LogLevel::Warn, format!("the metric {metric} {why}").as_bytes());
}

pub(crate) fn proxy_record_metric(state: &mut State, metric: u32, value: i64) -> Result<(), Status> {
    state.services.metrics.record(metric, value.cast_unsigned()).map_err(status)
}

pub(crate) fn proxy_increment_metric(state: &mut State, metric: u32, delta: i64) -> Result<(), Status> {
    state.services.metrics.increment(metric, delta).map_err(status)
}

pub(crate) fn proxy_get_metric(state: &mut State, metric: u32) -> Result<u64, Status> {
    state.services.metrics.get(metric).map_err(status)
}
