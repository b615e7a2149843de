//! One hostcall a hundred times in one callback, for each of their groups.

use sluice_host::Isolation;

use crate::{
    Scene, Work,
    outside::{chain, exchange},
};

/// Calls in one run.
const TIMES: u64 = 100;

/// What stands in the guest's memory: where, and what.
const DATA: &str = r#"(data (i32.const 0) "x-field-3") (data (i32.const 16) "a value")
    (data (i32.const 32) "request\00path") (data (i32.const 64) "hits_total") (data (i32.const 96) "key")
    (data (i32.const 128) "sluice.note") (data (i32.const 160) "clear_route_cache") (data (i32.const 192) "up")
    (data (i32.const 200) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")"#;

/// A name, and the calls of one turn with their arguments. Results go to 2048 and 2056; 4096 is what the allocator gives.
const CALLS: [(&str, &[(&str, &str)]); 16] = [
    ("log", &[("proxy_log", "0 16 7")]),
    ("log-level", &[("proxy_get_log_level", "2048")]),
    ("clock", &[("proxy_get_current_time_nanoseconds", "2048")]),
    ("header-get", &[("proxy_get_header_map_value", "0 0 9 2048 2056")]),
    ("header-replace", &[("proxy_replace_header_map_value", "0 0 9 16 7")]),
    (
        "header-add-remove",
        &[("proxy_add_header_map_value", "0 96 3 16 7"), ("proxy_remove_header_map_value", "0 96 3")],
    ),
    ("header-size", &[("proxy_get_header_map_size", "0 2048")]),
    ("header-pairs", &[("proxy_get_header_map_pairs", "0 2048 2056")]),
    ("status", &[("proxy_get_status", "2048 2056 2064")]),
    ("shared-data-set", &[("proxy_set_shared_data", "96 3 16 7 0")]),
    ("shared-data-get", &[("proxy_set_shared_data", "96 3 16 7 0"), ("proxy_get_shared_data", "96 3 2048 2056 2064")]),
    ("metric-increment", &[("proxy_define_metric", "0 64 10 2048"), ("proxy_increment_metric", "1 1")]),
    ("property-get", &[("proxy_get_property", "32 12 2048 2056")]),
    ("property-set", &[("proxy_set_property", "128 11 16 7")]),
    ("foreign", &[("proxy_call_foreign_function", "160 17 16 0 2048 2056")]),
    ("context", &[("proxy_set_effective_context", "context")]),
];

pub(crate) fn scenes() -> Vec<Scene> {
    let scene = |(name, calls): (&'static str, &'static [(&'static str, &'static str)])| {
        Scene::new(format!("hostcall/{name}"), move || play(calls)).times(TIMES)
    };
    CALLS.into_iter().map(scene).collect()
}

fn play(calls: &[(&str, &str)]) -> Work {
    let (host, chain) = chain(&module(calls), "", 1, Isolation::Shared);
    Box::new(move || {
        let _alive = &host;
        exchange(&chain);
    })
}

/// A filter that makes these calls and dies when one of them is refused.
fn module(calls: &[(&str, &str)]) -> Vec<u8> {
    let (mut imports, mut body) = (String::new(), String::new());
    for (n, (name, arguments)) in calls.iter().enumerate() {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let types = arguments.iter().enumerate().map(|(at, _)| {
            // The delta of a metric is the one wide argument.
            if name.ends_with("increment_metric") && at == 1 { " i64" } else { " i32" }
        });
        let types: Vec<&str> = types.collect();
        imports += &format!("(import \"env\" \"{name}\" (func $call{n} (param{}) (result i32)))\n", types.concat());
        let given = arguments.iter().zip(&types).map(|(argument, ty)| match *argument {
            "context" => "(local.get 0)".to_owned(),
            number => format!("({}.const {number})", ty.trim()),
        });
        body += &format!("(if (call $call{n} {}) (then unreachable))\n", given.collect::<Vec<_>>().join(" "));
    }
    let text = format!(
        "(module {imports} (memory (export \"memory\") 1) {DATA}
           (func (export \"malloc\") (param i32) (result i32) (i32.const 4096))
           (func (export \"proxy_abi_version_0_2_1\"))
           (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) (local $n i32)
             (loop $again
               {body}
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $n) (i32.const {TIMES}))))
             (i32.const 0)))"
    );
    wat::parse_str(text).expect("a module")
}
