//! The rows: every hostcall, as a call that is right in itself.

use sluice_host::Hostcall;

use crate::phases::Phase;

/// One row.
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) hostcall: Hostcall,
    /// What the callback does: the call, and before it what it needs.
    pub(crate) statements: Box<dyn Fn(&Phase) -> Vec<String>>,
}

/// A call that is right in itself. A hostcall without one does not compile.
fn valid(hostcall: Hostcall, phase: &Phase) -> Vec<String> {
    use Hostcall as H;
    let (map, buffer, stream) = (phase.map, phase.buffer, phase.stream);
    let (queue, metric) = (r#"q = proxy_register_shared_queue "q""#, r#"m = proxy_define_metric 1 "m""#);
    let open = r#"c = proxy_grpc_stream "rpc" "s" "m" """#;
    let put = r#"proxy_set_shared_data "k" "v" 0"#;
    let name = hostcall.name();
    let (before, arguments): (&[&str], String) = match hostcall {
        H::proxy_log => (&[], r#"2 "x""#.into()),
        H::proxy_get_buffer_bytes => (&[], format!("{buffer} 0 9")),
        H::proxy_set_buffer_bytes => (&[], format!("{buffer} 0 0 \"x\"")),
        H::proxy_get_buffer_status => (&[], buffer.to_string()),
        H::proxy_get_header_map_size | H::proxy_get_header_map_pairs => (&[], map.to_string()),
        H::proxy_set_header_map_pairs => (&[], format!("{map} \"x-t=1\"")),
        H::proxy_get_header_map_value => (&[], format!("{map} \"{}\"", key(map))),
        H::proxy_add_header_map_value | H::proxy_replace_header_map_value => (&[], format!("{map} \"x-t\" \"2\"")),
        H::proxy_remove_header_map_value => (&[], format!("{map} \"x-t\"")),
        H::proxy_continue_stream | H::proxy_close_stream => (&[], stream.to_string()),
        H::proxy_send_local_response => (&[], r#"403 "" "" "" -1"#.into()),
        H::proxy_http_call => (&[], r#""auth" ":method=GET\n:path=/\n:authority=" "" "" 100"#.into()),
        H::proxy_grpc_call => (&[], r#""rpc" "s" "m" "" "" 100"#.into()),
        H::proxy_grpc_stream => (&[], r#""rpc" "s" "m" """#.into()),
        H::proxy_grpc_send => (&[open], r#"$c "x" 0"#.into()),
        H::proxy_grpc_cancel | H::proxy_grpc_close => (&[open], "$c".into()),
        H::proxy_set_shared_data => (&[], r#""k" "v" 0"#.into()),
        H::proxy_get_shared_data => (&[put], r#""k""#.into()),
        H::proxy_register_shared_queue => (&[], r#""q""#.into()),
        H::proxy_resolve_shared_queue => (&[queue], r#""" "q""#.into()),
        H::proxy_enqueue_shared_queue => (&[queue], r#"$q "x""#.into()),
        H::proxy_dequeue_shared_queue => (&[queue, r#"proxy_enqueue_shared_queue $q "x""#], "$q".into()),
        H::proxy_define_metric => (&[], r#"1 "m""#.into()),
        H::proxy_record_metric | H::proxy_increment_metric => (&[metric], "$m 1".into()),
        H::proxy_get_metric => (&[metric], "$m".into()),
        H::proxy_get_property => (&[], r#""plugin_name""#.into()),
        H::proxy_set_property => (&[], r#""p" "1""#.into()),
        H::proxy_call_foreign_function => (&[], r#""clear_route_cache" """#.into()),
        H::proxy_set_effective_context => (&[], "$context".into()),
        H::proxy_set_tick_period_milliseconds => (&[], "60000".into()),
        H::proxy_get_log_level
        | H::proxy_get_current_time_nanoseconds
        | H::proxy_get_status
        | H::proxy_done
        | H::proxy_get_configuration
        | H::proxy_continue_request
        | H::proxy_continue_response
        | H::proxy_clear_route_cache => (&[], String::new()),
    };
    before.iter().map(|s| (*s).to_owned()).chain([format!("{name} {arguments}")]).collect()
}

/// What stands in a map, when it is there.
fn key(map: u32) -> &'static str {
    match map {
        0 => ":path",
        2 | 6 => ":status",
        _ => "x-t",
    }
}

fn row(label: impl Into<String>, hostcall: Hostcall, arguments: String) -> Row {
    let statement = format!("{} {arguments}", hostcall.name());
    Row { label: label.into(), hostcall, statements: Box::new(move |_| vec![statement.clone()]) }
}

/// Every hostcall.
pub(crate) fn all() -> Vec<Row> {
    let mut rows: Vec<Row> = Hostcall::ALL
        .iter()
        .map(|h| Row { label: h.name().into(), hostcall: *h, statements: Box::new(|phase| valid(*h, phase)) })
        .collect();
    let stream = row("proxy_get_property, of the stream", Hostcall::proxy_get_property, r#""source\0address""#.into());
    let at = rows.iter().position(|row| row.hostcall == Hostcall::proxy_get_property).map_or(0, |at| at + 1);
    rows.insert(at, stream);
    rows
}

/// Reading and changing of each map.
pub(crate) fn maps() -> Vec<Row> {
    let names = [
        "request headers",
        "request trailers",
        "response headers",
        "response trailers",
        "gRPC initial metadata",
        "gRPC trailing metadata",
        "callout headers",
        "callout trailers",
    ];
    let rows = (0..).zip(names).flat_map(|(map, name)| {
        [
            row(
                format!("{map} {name}: get value"),
                Hostcall::proxy_get_header_map_value,
                format!("{map} \"{}\"", key(map)),
            ),
            row(format!("{map} {name}: get pairs"), Hostcall::proxy_get_header_map_pairs, map.to_string()),
            row(
                format!("{map} {name}: replace value"),
                Hostcall::proxy_replace_header_map_value,
                format!("{map} \"x-t\" \"2\""),
            ),
        ]
    });
    rows.collect()
}

/// Reading and changing of each buffer.
pub(crate) fn buffers() -> Vec<Row> {
    let names = [
        "request body",
        "response body",
        "downstream data",
        "upstream data",
        "callout body",
        "gRPC message",
        "VM configuration",
        "plugin configuration",
        "foreign function arguments",
    ];
    let rows = (0..).zip(names).flat_map(|(buffer, name)| {
        [
            row(format!("{buffer} {name}: get"), Hostcall::proxy_get_buffer_bytes, format!("{buffer} 0 9")),
            row(format!("{buffer} {name}: set"), Hostcall::proxy_set_buffer_bytes, format!("{buffer} 0 0 \"x\"")),
        ]
    });
    rows.collect()
}
