//! `metrics`: counters, gauges and histograms that filters define.

use sluice_abi::{LogLevel, MetricType, Status};

use crate::{
    shared::{Defined, MetricError},
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
    let defined = state.services.metrics.define(kind, text);
    let why = match defined {
        Some(Defined { id, overflow: false }) => return Ok(id),
        Some(_) => {
            "has too many different labels, or there are too many metrics: it is counted in one with the label otel.metric.overflow"
        }
        None => "was refused: there are too many, or its name is empty or longer than 512 bytes",
    };
    let text: String = text.chars().take(80).collect();
    super::log::write(state, LogLevel::Warn, format!("the metric {text} {why}").as_bytes());
    defined.map(|defined| defined.id).ok_or(Status::BadArgument)
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
