//! State that outlives requests and generations: shared data, queues and the metrics that filters define.

mod kv;
mod metrics;
mod queues;

pub(crate) use kv::{Refused, SharedData};
pub use metrics::MetricSample;
pub(crate) use metrics::{Defined, MetricError, Metrics};
pub(crate) use queues::{Queues, Registrant};
