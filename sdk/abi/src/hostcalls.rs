//! The one table of what a guest may import from `env`.
//!
//! The linker, the capability check, `inspect`, the metrics labels and the conformance tests all read this table; a
//! hostcall is declared nowhere else.

/// Hands every hostcall row to the macro named by the caller.
///
/// ```text
/// group: name(parameter: Kind, …) -> (result: Kind, …);
/// ```
/// Parameter kinds: an enum of this crate (an unknown number is `BAD_ARGUMENT`), `U32`, `I32`, `I64`, `Bytes`
/// (pointer and length), `Pairs` (a map in wire form; malformed is `BAD_ARGUMENT`). Result kinds: `Word` (`u32`),
/// `Long` (`u64`), `Value` (pointer and length of memory taken from the guest's allocator), `Maybe` (a `Value` whose
/// two result pointers may be null).
#[macro_export]
macro_rules! for_each_hostcall {
    ($mac:ident $(, $($extra:tt)*)?) => {
        $mac! { $($($extra)*)?
            log: proxy_log(level: LogLevel, message: Bytes) -> ();
            log: proxy_get_log_level() -> (level: Word);
            clock: proxy_get_current_time_nanoseconds() -> (time: Long);
            clock: proxy_set_tick_period_milliseconds(period: U32) -> ();
            buffers: proxy_get_buffer_bytes(buffer: BufferType, start: U32, max_size: U32) -> (value: Value);
            buffers: proxy_set_buffer_bytes(buffer: BufferType, start: U32, size: U32, value: Bytes) -> ();
            buffers: proxy_get_buffer_status(buffer: BufferType) -> (length: Word, flags: Word);
            headers: proxy_get_header_map_size(map: MapType) -> (size: Word);
            headers: proxy_get_header_map_pairs(map: MapType) -> (pairs: Value);
            headers: proxy_set_header_map_pairs(map: MapType, pairs: Pairs) -> ();
            headers: proxy_get_header_map_value(map: MapType, key: Bytes) -> (value: Value);
            headers: proxy_add_header_map_value(map: MapType, key: Bytes, value: Bytes) -> ();
            headers: proxy_replace_header_map_value(map: MapType, key: Bytes, value: Bytes) -> ();
            headers: proxy_remove_header_map_value(map: MapType, key: Bytes) -> ();
            stream: proxy_continue_stream(stream: StreamType) -> ();
            stream: proxy_close_stream(stream: StreamType) -> ();
            stream: proxy_send_local_response(status: U32, details: Bytes, body: Bytes, headers: Pairs, grpc_status: I32) -> ();
            stream: proxy_get_status() -> (code: Word, message: Value);
            http_call: proxy_http_call(upstream: Bytes, headers: Pairs, body: Bytes, trailers: Pairs, timeout: U32) -> (call: Word);
            grpc_call: proxy_grpc_call(upstream: Bytes, service: Bytes, method: Bytes, metadata: Pairs, message: Bytes, timeout: U32) -> (call: Word);
            grpc_call: proxy_grpc_stream(upstream: Bytes, service: Bytes, method: Bytes, metadata: Pairs) -> (call: Word);
            grpc_call: proxy_grpc_send(call: U32, message: Bytes, end_of_stream: U32) -> ();
            grpc_call: proxy_grpc_cancel(call: U32) -> ();
            grpc_call: proxy_grpc_close(call: U32) -> ();
            shared_data: proxy_set_shared_data(key: Bytes, value: Bytes, cas: U32) -> ();
            shared_data: proxy_get_shared_data(key: Bytes) -> (value: Value, cas: Word);
            queues: proxy_register_shared_queue(name: Bytes) -> (queue: Word);
            queues: proxy_resolve_shared_queue(vm_id: Bytes, name: Bytes) -> (queue: Word);
            queues: proxy_enqueue_shared_queue(queue: U32, value: Bytes) -> ();
            queues: proxy_dequeue_shared_queue(queue: U32) -> (value: Value);
            metrics: proxy_define_metric(kind: MetricType, name: Bytes) -> (metric: Word);
            metrics: proxy_record_metric(metric: U32, value: I64) -> ();
            metrics: proxy_increment_metric(metric: U32, delta: I64) -> ();
            metrics: proxy_get_metric(metric: U32) -> (value: Long);
            properties: proxy_get_property(path: Bytes) -> (value: Value);
            properties: proxy_set_property(path: Bytes, value: Bytes) -> ();
            foreign: proxy_call_foreign_function(name: Bytes, arguments: Bytes) -> (result: Maybe);
            context: proxy_set_effective_context(context: U32) -> ();
            context: proxy_done() -> ();
            legacy: proxy_get_configuration() -> (value: Value);
            legacy: proxy_continue_request() -> ();
            legacy: proxy_continue_response() -> ();
            legacy: proxy_clear_route_cache() -> ();
        }
    };
}

macro_rules! declare {
    ($($group:ident: $name:ident($($p:ident: $pk:ident),*) -> ($($r:ident: $rk:ident),*);)*) => {
        /// A hostcall, by its name in the ABI.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(non_camel_case_types, missing_docs, reason = "the names are the ABI's own")]
        pub enum Hostcall { $($name),* }

        impl Hostcall {
            /// Every hostcall, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The import's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The group it belongs to, as the table says.
            pub const fn group(self) -> &'static str {
                match self { $(Self::$name => stringify!($group)),* }
            }
        }
    };
}
for_each_hostcall!(declare);

impl Hostcall {
    /// The hostcall with this import name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|h| h.name() == name)
    }

    /// Whether it reaches beyond the proxy: then each target has to be granted by name, and none is by default.
    pub fn is_callout(self) -> bool {
        matches!(self.group(), "http_call" | "grpc_call")
    }

    /// This hostcall's bit in a set of grants.
    pub const fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

/// Imports of `env` that are no hostcalls: what Emscripten's runtime asks for.
pub const EMSCRIPTEN: [&str; 2] = ["emscripten_notify_memory_growth", "pthread_equal"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_call_of_the_abi_once() {
        assert_eq!(Hostcall::ALL.len(), 43, "39 of ABI 0.2.1 and 4 of 0.1.0");
        for (i, h) in Hostcall::ALL.iter().enumerate() {
            assert_eq!(Hostcall::from_name(h.name()), Some(*h));
            assert_eq!(*h as usize, i);
            assert!(i < 64, "grants are a 64-bit set");
        }
    }
}
