//! State that outlives requests and generations: shared data, queues and the metrics that filters define.

mod account;
mod kv;
mod labels;
mod last_error;
mod metrics;
mod queues;

pub use account::Total;
pub(crate) use account::{Account, Accounts};
pub(crate) use kv::{Refused, SharedData};
pub use last_error::LastError;
pub use metrics::MetricSample;
pub(crate) use metrics::{Defined, MetricError, Metrics, NotDefined, TooMany};
pub(crate) use queues::{Queues, Registrant};
