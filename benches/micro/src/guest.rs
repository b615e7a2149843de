//! Guests made of text that make hostcalls and do nothing else: so what is measured is the host.

/// A hostcall and its arguments: numbers, `@` and where in memory a number stands, `$` and which parameter of the callback.
pub(crate) type Call = (&'static str, &'static str);

/// A callback that makes its calls in turn, so many times, and returns.
#[derive(Clone, Copy)]
pub(crate) struct Callback {
    pub(crate) name: &'static str,
    pub(crate) times: u64,
    pub(crate) calls: &'static [Call],
    /// Where the callback has a result: 0 continues a stream, 1 pauses it and accepts a configuration.
    pub(crate) returns: u32,
}

impl Callback {
    /// Makes its calls once and returns 0.
    pub(crate) const fn new(name: &'static str, calls: &'static [Call]) -> Self {
        Self { name, times: 1, calls, returns: 0 }
    }

    pub(crate) const fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    pub(crate) const fn returns(self, returns: u32) -> Self {
        Self { returns, ..self }
    }

    /// How many parameters it has, and whether it has a result.
    fn signature(&self) -> (usize, bool) {
        match self.name {
            "proxy_on_request_headers" | "proxy_on_response_body" => (3, true),
            "proxy_on_configure" => (2, true),
            "proxy_on_queue_ready" => (2, false),
            "proxy_on_http_call_response" => (5, false),
            "proxy_on_grpc_receive" => (3, false),
            other => panic!("the parameters of {other} are not known here"),
        }
    }

    fn text(&self, calls: &str) -> String {
        let Self { name, times, returns, .. } = self;
        let (parameters, result) = self.signature();
        let parameters = " i32".repeat(parameters);
        let (ty, value) = if result { ("(result i32)", format!("(i32.const {returns})")) } else { ("", String::new()) };
        // Who hears of a call acts on the stream that made it.
        let stream =
            if *name == "proxy_on_request_headers" { "(i32.store (i32.const 3000) (local.get 0))" } else { "" };
        format!(
            "(func (export \"{name}\") (param{parameters}) {ty} (local $n i32)
               {stream}
               (loop $again
                 {calls}
                 (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (br_if $again (i32.lt_u (local.get $n) (i32.const {times}))))
               {value})\n"
        )
    }
}

/// What stands in the guest's memory: where, and what. Results go to 2048, 2056 and 2064, the number of the stream to
/// 3000, what the configuration's callback got to 3008; 4096 is what the allocator gives.
const DATA: &str = r#"(data (i32.const 0) "x-field-3") (data (i32.const 16) "a value")
    (data (i32.const 32) "request\00path") (data (i32.const 64) "hits_total") (data (i32.const 96) "key")
    (data (i32.const 128) "sluice.note") (data (i32.const 160) "clear_route_cache") (data (i32.const 192) "up")
    (data (i32.const 200) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")
    (data (i32.const 320) "\01\00\00\00\03\00\00\00\07\00\00\00key\00a value\00")
    (data (i32.const 352) "sluice_hash") (data (i32.const 368) "sha256\00a value") (data (i32.const 384) ":status")"#;

/// The module of a filter with these callbacks, which dies when one of its calls is refused.
pub(crate) fn guest(callbacks: &[Callback]) -> Vec<u8> {
    let (mut imports, mut functions, mut count) = (String::new(), String::new(), 0);
    for callback in callbacks {
        let mut calls = String::new();
        for (name, arguments) in callback.calls {
            let arguments: Vec<_> = arguments.split_whitespace().enumerate().map(|(at, a)| (ty(name, at), a)).collect();
            let types: Vec<&str> = arguments.iter().map(|(ty, _)| *ty).collect();
            let given: Vec<String> = arguments.iter().map(|(ty, argument)| value(ty, argument)).collect();
            let types = types.join(" ");
            imports += &format!("(import \"env\" \"{name}\" (func $call{count} (param {types}) (result i32)))\n");
            calls += &format!("(if (call $call{count} {}) (then unreachable))\n", given.join(" "));
            count += 1;
        }
        functions += &callback.text(&calls);
    }
    let text = format!(
        "(module {imports} (memory (export \"memory\") 1) {DATA}
           (func (export \"malloc\") (param i32) (result i32) (i32.const 4096))
           (func (export \"proxy_abi_version_0_2_1\"))
           {functions})"
    );
    wat::parse_str(text).expect("a module")
}

/// The values of metrics are the only wide arguments.
fn ty(call: &str, at: usize) -> &'static str {
    let wide = matches!(call, "proxy_increment_metric" | "proxy_record_metric") && at == 1;
    if wide { "i64" } else { "i32" }
}

fn value(ty: &str, argument: &str) -> String {
    if let Some(at) = argument.strip_prefix('@') {
        format!("({ty}.load (i32.const {at}))")
    } else if let Some(parameter) = argument.strip_prefix('$') {
        format!("(local.get {parameter})")
    } else {
        format!("({ty}.const {argument})")
    }
}
