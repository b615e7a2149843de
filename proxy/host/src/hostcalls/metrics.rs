//! `metrics`: counters, gauges and histograms that filters define.

use sluice_abi::{LogLevel, MetricType, Status};

use crate::{shared::MetricError, state::State};

fn status(error: MetricError) -> Status {
    match error {
        MetricError::Unknown => Status::NotFound,
        MetricError::Meaningless => Status::BadArgument,
    }
}

pub(crate) fn proxy_define_metric(state: &mut State, kind: MetricType, name: &[u8]) -> Result<u32, Status> {
    let text = std::str::from_utf8(name).map_err(|_| Status::BadArgument)?;
    state.services.metrics.define(kind, text).ok_or_else(|| {
        super::log::write(state, LogLevel::Warn, b"a metric was refused: there are too many, or its name is too long");
        Status::BadArgument
    })
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
