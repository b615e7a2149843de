//! State that outlives requests and generations: shared data, queues and the metrics that filters define.

mod kv;
mod metrics;
mod queues;

pub(crate) use kv::{Refused, SharedData};
pub(crate) use metrics::{MetricError, Metrics};
pub(crate) use queues::{Queues, Registrant};
