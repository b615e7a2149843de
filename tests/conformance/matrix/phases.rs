//! The columns: every callback, and what has to happen before it comes.

/// One column.
pub(crate) struct Phase {
    pub(crate) column: &'static str,
    /// The callback's name without `proxy_on_`; what the probe calls it.
    pub(crate) callback: &'static str,
    pub(crate) title: &'static str,
    /// Statements that make it come.
    pub(crate) reach: &'static str,
    /// In which context, where it comes to several.
    pub(crate) context: Option<u32>,
    /// It comes on a TCP connection.
    pub(crate) tcp: bool,
    /// The map and the buffer that it is about, and the stream.
    pub(crate) map: u32,
    pub(crate) buffer: u32,
    pub(crate) stream: u32,
}

/// An exchange with everything in it.
pub(crate) const CASE: &str = r#"
name: the matrix
filters: [{ module: probe, callouts: [auth, rpc] }]
request: { method: POST, body: [abc], trailers: [[x-t, "1"]] }
upstream: { body: [def], trailers: [[x-t, "1"]] }
connection: { downstream: [abc], upstream: [def] }
calls:
  - { upstream: auth, answer: { body: abc, trailers: [[x-t, "1"]] } }
  - { upstream: rpc, events: [{ metadata: [[x-t, "1"]] }, { message: abc }, { trailers: [[x-t, "1"]] }, { close: 0 }] }
"#;

const NONE: Phase =
    Phase { column: "", callback: "", title: "", reach: "", context: None, tcp: false, map: 0, buffer: 7, stream: 0 };
const GRPC: &str = r#"configure: proxy_grpc_stream "rpc" "s" "m" """#;

macro_rules! phases {
    ($($column:literal $callback:literal $title:literal { $($field:ident: $value:expr),* };)*) => {
        pub(crate) const PHASES: &[Phase] = &[$(Phase { column: $column, callback: $callback, title: $title, $($field: $value,)* ..NONE }),*];
    };
}

phases! {
    "in" "initialize" "`_initialize`, `_start`, `main`: the module starts" {};
    "al" "allocate" "the allocator, below another hostcall" { reach: r#"request_headers: proxy_get_header_map_value 0 ":path""# };
    "cr" "context_create" "`proxy_on_context_create` of a root" { context: Some(1) };
    "vs" "vm_start" "`proxy_on_vm_start`" { buffer: 6 };
    "cf" "configure" "`proxy_on_configure`" {};
    "ti" "tick" "`proxy_on_tick`" { reach: "configure: proxy_set_tick_period_milliseconds 1" };
    "qu" "queue_ready" "`proxy_on_queue_ready`" { reach: r#"configure: q = proxy_register_shared_queue "ready"
        configure: proxy_enqueue_shared_queue $q "x""# };
    "hc" "http_call_response" "`proxy_on_http_call_response`" {
        reach: r#"configure: proxy_http_call "auth" ":method=GET\n:path=/\n:authority=" "" "" 100"#, map: 6, buffer: 4 };
    "hs" "http_call_response" "the same, after `proxy_set_effective_context` to the stream that waits in `rh` for it" {
        reach: r#"request_headers: proxy_http_call "auth" ":method=GET\n:path=/\n:authority=" "" "" 100
        request_headers: return 1
        http_call_response: proxy_set_effective_context $stream"#, context: Some(2) };
    "gi" "grpc_receive_initial_metadata" "`proxy_on_grpc_receive_initial_metadata`" { reach: GRPC, map: 4, buffer: 5 };
    "gr" "grpc_receive" "`proxy_on_grpc_receive`" { reach: GRPC, map: 4, buffer: 5 };
    "gt" "grpc_receive_trailing_metadata" "`proxy_on_grpc_receive_trailing_metadata`" { reach: GRPC, map: 5, buffer: 5 };
    "gc" "grpc_close" "`proxy_on_grpc_close`" { reach: GRPC, map: 5, buffer: 5 };
    "cs" "context_create" "`proxy_on_context_create` of a stream" { context: Some(2) };
    "rh" "request_headers" "`proxy_on_request_headers`" {};
    "rb" "request_body" "`proxy_on_request_body`" { buffer: 0 };
    "rt" "request_trailers" "`proxy_on_request_trailers`" { map: 1 , buffer: 0 };
    "sh" "response_headers" "`proxy_on_response_headers`" { map: 2, stream: 1 };
    "sb" "response_body" "`proxy_on_response_body`" { map: 2, buffer: 1, stream: 1 };
    "st" "response_trailers" "`proxy_on_response_trailers`" { map: 3, buffer: 1, stream: 1 };
    "nc" "new_connection" "`proxy_on_new_connection`" { tcp: true, buffer: 2, stream: 2 };
    "dd" "downstream_data" "`proxy_on_downstream_data`" { tcp: true, buffer: 2, stream: 2 };
    "ud" "upstream_data" "`proxy_on_upstream_data`" { tcp: true, buffer: 3, stream: 3 };
    "dc" "downstream_connection_close" "`proxy_on_downstream_connection_close`" { tcp: true, buffer: 2, stream: 2 };
    "uc" "upstream_connection_close" "`proxy_on_upstream_connection_close`" { tcp: true, buffer: 3, stream: 3 };
    "do" "done" "`proxy_on_done` of a stream" { context: Some(2) };
    "lo" "log" "`proxy_on_log` of a stream" { context: Some(2) };
    "de" "delete" "`proxy_on_delete` of a stream" { context: Some(2) };
}
