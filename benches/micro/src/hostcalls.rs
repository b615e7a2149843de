//! One hostcall a hundred times in one callback, for each of their groups; those that are answered later stand in `rounds`.

use bytes::Bytes;
use sluice_host::Isolation;

use crate::{
    Scene, Work,
    guest::{Call, Callback, guest},
    outside::{chain, exchange_of},
    waiting,
};

/// Calls in one run.
const TIMES: u64 = 100;

/// What buffers are measured with: a piece as it comes from a socket.
static BODY: [u8; 16 << 10] = [b'x'; 16 << 10];

/// A name, and what one turn calls.
struct Row {
    name: &'static str,
    /// Where it is called.
    callback: &'static str,
    /// What is called once before, while the filter is configured.
    once: &'static [Call],
    calls: &'static [Call],
}

/// Called in the request's headers.
const fn row(name: &'static str, calls: &'static [Call]) -> Row {
    Row { name, callback: "proxy_on_request_headers", once: &[], calls }
}

impl Row {
    const fn in_body(self) -> Self {
        Self { callback: "proxy_on_response_body", ..self }
    }

    const fn once(self, once: &'static [Call]) -> Self {
        Self { once, ..self }
    }
}

/// `DATA` in `guest` says what stands where.
const ROWS: &[Row] = &[
    row("log", &[("proxy_log", "0 16 7")]),
    row("log-written", &[("proxy_log", "3 16 7")]),
    row("log-level", &[("proxy_get_log_level", "2048")]),
    row("clock", &[("proxy_get_current_time_nanoseconds", "2048")]),
    row("tick", &[("proxy_set_tick_period_milliseconds", "60000")]),
    row("buffer-status", &[("proxy_get_buffer_status", "1 2048 2056")]).in_body(),
    row("buffer-get", &[("proxy_get_buffer_bytes", "1 0 64 2048 2056")]).in_body(),
    row("buffer-get-16k", &[("proxy_get_buffer_bytes", "1 0 16384 2048 2056")]).in_body(),
    row("buffer-set-part", &[("proxy_set_buffer_bytes", "1 0 7 16 7")]).in_body(),
    row("buffer-set-16k", &[("proxy_set_buffer_bytes", "1 0 16384 4096 16384")]).in_body(),
    row("configuration", &[("proxy_get_buffer_bytes", "7 0 64 2048 2056")]),
    row("configuration-legacy", &[("proxy_get_configuration", "2048 2056")]),
    row("header-get", &[("proxy_get_header_map_value", "0 0 9 2048 2056")]),
    row("header-replace", &[("proxy_replace_header_map_value", "0 0 9 16 7")]),
    row(
        "header-add-remove",
        &[("proxy_add_header_map_value", "0 96 3 16 7"), ("proxy_remove_header_map_value", "0 96 3")],
    ),
    row("header-size", &[("proxy_get_header_map_size", "0 2048")]),
    row("header-pairs", &[("proxy_get_header_map_pairs", "0 2048 2056")]),
    row(
        "header-pairs-set",
        &[("proxy_get_header_map_pairs", "0 2048 2056"), ("proxy_set_header_map_pairs", "0 4096 @2056")],
    ),
    row("continue", &[("proxy_continue_stream", "0")]),
    row("status", &[("proxy_get_status", "2048 2056 2064")]),
    // Taken back in the callback that makes it, it never leaves the host.
    row("grpc-cancel", &[("proxy_grpc_stream", "192 2 96 3 64 10 320 24 2048"), ("proxy_grpc_cancel", "@2048")]),
    row("shared-data-set", &[("proxy_set_shared_data", "96 3 16 7 0")]),
    row("shared-data-get", &[("proxy_get_shared_data", "96 3 2048 2056 2064")])
        .once(&[("proxy_set_shared_data", "96 3 16 7 0")]),
    row("queue-register", &[("proxy_register_shared_queue", "96 3 2048")]),
    row("queue-resolve", &[("proxy_resolve_shared_queue", "0 0 96 3 2048")])
        .once(&[("proxy_register_shared_queue", "96 3 3008")]),
    row(
        "queue-enqueue-dequeue",
        &[("proxy_enqueue_shared_queue", "@3008 16 7"), ("proxy_dequeue_shared_queue", "@3008 2048 2056")],
    )
    .once(&[("proxy_register_shared_queue", "96 3 3008")]),
    row("metric-define", &[("proxy_define_metric", "0 64 10 2048")]),
    row("metric-increment", &[("proxy_increment_metric", "@3008 1")]).once(&[("proxy_define_metric", "0 64 10 3008")]),
    row("metric-record", &[("proxy_record_metric", "@3008 7")]).once(&[("proxy_define_metric", "2 64 10 3008")]),
    row("metric-get", &[("proxy_get_metric", "@3008 2048")]).once(&[("proxy_define_metric", "0 64 10 3008")]),
    row("property-get", &[("proxy_get_property", "32 12 2048 2056")]),
    row("property-set", &[("proxy_set_property", "128 11 16 7")]),
    row("foreign", &[("proxy_call_foreign_function", "160 17 16 0 2048 2056")]),
    row("foreign-hash", &[("proxy_call_foreign_function", "352 11 368 14 2048 2056")]),
    row("context", &[("proxy_set_effective_context", "$0")]),
];

pub(crate) fn scenes() -> Vec<Scene> {
    ROWS.iter().map(|row| Scene::new(format!("hostcall/{}", row.name), move || play(row)).times(TIMES)).collect()
}

fn play(row: &Row) -> Work {
    let configure = Callback::new("proxy_on_configure", row.once).returns(1);
    let callback = Callback::new(row.callback, row.calls).times(TIMES);
    let (host, chain) = chain(&guest(&[configure, callback]), "a configuration", 1, Isolation::Shared);
    Box::new(move || {
        let _alive = &host;
        exchange_of(&chain, Bytes::from_static(&BODY));
        waiting::forget();
    })
}
