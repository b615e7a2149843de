//! What a filter of a case may cost and keep.

use serde::Deserialize;
use sluice_host::Caps;

/// Ceilings of a filter; where nothing is said, generous ones of time and memory, and the default caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "they are the limits of the configuration, with their unit")]
pub struct Limits {
    pub cpu_per_call_ms: u64,
    pub cpu_per_request_ms: u64,
    pub cpu_start_ms: u64,
    pub cpu_share_ms: Option<u64>,
    pub cpu_warn_ms: u64,
    pub memory_mib: usize,
    pub memory_total_kib: usize,
    pub table_elements: usize,
    pub body_buffer: usize,
    pub header_bytes: usize,
    pub header_fields: usize,
    pub log_lines: usize,
    pub log_bytes: usize,
    pub log_rate: usize,
    pub log_burst: usize,
    pub callouts_in_flight: usize,
    pub shared_data: usize,
    pub queues: usize,
    pub queue_items: usize,
    pub queue_bytes: usize,
    pub metrics: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let caps = Caps::default();
        Self {
            cpu_per_call_ms: 5_000,
            cpu_per_request_ms: 20_000,
            cpu_start_ms: 20_000,
            cpu_share_ms: None,
            cpu_warn_ms: 5_000,
            memory_mib: 64,
            memory_total_kib: caps.memory_total >> 10,
            table_elements: caps.table_elements,
            body_buffer: caps.body_buffer,
            header_bytes: caps.header_bytes,
            header_fields: caps.header_fields,
            log_lines: caps.log_lines,
            log_bytes: caps.log_bytes,
            // Time stands still while nothing is waited for.
            log_rate: 1_000_000,
            log_burst: 1_000_000,
            callouts_in_flight: caps.callouts_in_flight,
            shared_data: caps.shared_data,
            queues: caps.queues,
            queue_items: caps.queue_items,
            queue_bytes: caps.queue_bytes,
            metrics: caps.metrics,
        }
    }
}

impl Limits {
    pub(crate) fn caps(&self) -> Caps {
        Caps {
            memory_total: self.memory_total_kib << 10,
            table_elements: self.table_elements,
            body_buffer: self.body_buffer,
            header_bytes: self.header_bytes,
            header_fields: self.header_fields,
            log_lines: self.log_lines,
            log_bytes: self.log_bytes,
            log_rate: self.log_rate,
            log_burst: self.log_burst,
            callouts_in_flight: self.callouts_in_flight,
            shared_data: self.shared_data,
            queues: self.queues,
            queue_items: self.queue_items,
            queue_bytes: self.queue_bytes,
            metrics: self.metrics,
        }
    }
}
