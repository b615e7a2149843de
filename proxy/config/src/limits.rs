//! `limits:` of a filter: what it may cost, and what it may have the host keep.

use std::time::Duration;

use crate::{
    declare::section,
    plan,
    scalar::{Cores, Int},
    units::{GIB, HOUR, KIB, MIB, Size, Time},
};

section! {
    /// Budgets and caps of one filter; docs/limits.md says what happens at each
    Limits {
        /// CPU time of one callback.
        cpu_per_call: Time<1, HOUR> = "10ms",
        /// CPU time of all callbacks of one request.
        cpu_per_request: Time<1, HOUR> = "50ms",
        /// CPU time of start and configure together.
        cpu_start: Time<1, HOUR> = "1s",
        /// CPU time of all its guests together over the last second, in cores: while it is used up, new requests get what
        /// `on_error` says, and ticks are left out. No limit when it is not there.
        cpu_share: Option<Cores>,
        /// A callback that takes more CPU time is written to the log; half of `cpu_per_call` when it is not there.
        cpu_warn: Option<Time<1, HOUR>>,
        /// Memory of one guest.
        memory: Size<{ 64 * KIB }, { 4 * GIB }> = "64MiB",
        /// Memory of all guests of this filter together, each load of it for itself; `0B` is no ceiling.
        memory_total: Size<0, { 1024 * GIB }> = "0B",
        /// Elements of one table of a guest.
        table_elements: Int<1, 100_000> = "100000",
        /// Bytes of a body that may be held for this filter, in each direction.
        body_buffer: Size<0, { 4 * GIB }> = "1MiB",
        /// Bytes of names and values that it may make a head grow to, or give to a callout or an answer.
        header_bytes: Size<KIB, { 16 * MIB }> = "256KiB",
        /// Fields of the same, pseudo headers among them.
        header_fields: Int<1, 1024> = "1024",
        /// Log lines of one callback; further ones are dropped and counted.
        log_lines: Int<0, 1_000_000> = "1000",
        /// Bytes of log lines of one callback; what is beyond is dropped and counted.
        log_bytes: Size<0, GIB> = "256KiB",
        /// Log lines a second of all its guests together; further ones are dropped and counted.
        log_rate: Int<1, 1_000_000> = "1000",
        /// Log lines that may come at once, ahead of that rate.
        log_burst: Int<1, 1_000_000> = "5000",
        /// Callouts of one guest under way at one time.
        callouts_in_flight: Int<0, 65_536> = "1024",
        /// Bytes of shared data that it stored: keys, values, and 64 for each.
        shared_data: Size<0, { 4 * GIB }> = "16MiB",
        /// Shared queues that it made.
        queues: Int<0, 65_536> = "64",
        /// Items that it put into shared queues and nobody took yet.
        queue_items: Int<0, 1_000_000> = "10000",
        /// Bytes of those items, and of the names of its queues.
        queue_bytes: Size<0, { 4 * GIB }> = "16MiB",
        /// Metrics that it defined; more are counted in one for each name.
        metrics: Int<0, 65_536> = "1024",
    }
}

impl Limits {
    pub(crate) fn plan(self) -> Option<plan::Limits> {
        let number = |value: u64| usize::try_from(value).ok();
        Some(plan::Limits {
            cpu_per_call: self.cpu_per_call.0,
            cpu_per_request: self.cpu_per_request.0,
            cpu_start: self.cpu_start.0,
            cpu_share: self.cpu_share.map(|cores| Duration::from_secs_f64(cores.0)),
            cpu_warn: self.cpu_warn.map_or(self.cpu_per_call.0 / 2, |warn| warn.0),
            memory: self.memory.0,
            memory_total: self.memory_total.0,
            table_elements: number(self.table_elements.0)?,
            body_buffer: self.body_buffer.0,
            header_bytes: self.header_bytes.0,
            header_fields: number(self.header_fields.0)?,
            log_lines: number(self.log_lines.0)?,
            log_bytes: self.log_bytes.0,
            log_rate: number(self.log_rate.0)?,
            log_burst: number(self.log_burst.0)?,
            callouts_in_flight: number(self.callouts_in_flight.0)?,
            shared_data: self.shared_data.0,
            queues: number(self.queues.0)?,
            queue_items: number(self.queue_items.0)?,
            queue_bytes: self.queue_bytes.0,
            metrics: number(self.metrics.0)?,
        })
    }
}
