//! The one table of what a guest may export.
//!
//! A row is `group: name(parameters) -> result;`. A parameter in brackets exists only since 0.2.0, which is why the
//! arity of a callback is taken from its type and never from the version marker.

/// Hands every callback row to the macro named by the caller.
///
/// ```text
/// group: name(param, …, [param since 0.2.0]) -> result;
/// ```
/// `result` is `none`, `flag` (any non-zero is true) or `action` (see [`crate::Action::from_return`]).
#[macro_export]
macro_rules! for_each_callback {
    ($mac:ident $(, $($extra:tt)*)?) => {
        $mac! { $($($extra)*)?
            context: proxy_on_context_create(context, parent) -> none;
            context: proxy_on_done(context) -> flag;
            context: proxy_on_log(context) -> none;
            context: proxy_on_delete(context) -> none;
            start: proxy_on_vm_start(root, size) -> flag;
            start: proxy_on_configure(root, size) -> flag;
            root: proxy_on_tick(root) -> none;
            root: proxy_on_queue_ready(root, queue) -> none;
            root: proxy_on_foreign_function(root, function, size) -> none;
            http: proxy_on_request_headers(context, count, [end_of_stream]) -> action;
            http: proxy_on_request_body(context, size, end_of_stream) -> action;
            http: proxy_on_request_trailers(context, count) -> action;
            http: proxy_on_response_headers(context, count, [end_of_stream]) -> action;
            http: proxy_on_response_body(context, size, end_of_stream) -> action;
            http: proxy_on_response_trailers(context, count) -> action;
            callout: proxy_on_http_call_response(root, call, headers, body_size, trailers) -> none;
            callout: proxy_on_grpc_receive_initial_metadata(root, call, count) -> none;
            callout: proxy_on_grpc_receive(root, call, size) -> none;
            callout: proxy_on_grpc_receive_trailing_metadata(root, call, count) -> none;
            callout: proxy_on_grpc_close(root, call, status) -> none;
            tcp: proxy_on_new_connection(context) -> action;
            tcp: proxy_on_downstream_data(context, size, end_of_stream) -> action;
            tcp: proxy_on_downstream_connection_close(context, peer) -> none;
            tcp: proxy_on_upstream_data(context, size, end_of_stream) -> action;
            tcp: proxy_on_upstream_connection_close(context, peer) -> none;
        }
    };
}

macro_rules! names {
    ($($group:ident: $name:ident($($param:tt),*) -> $result:ident;)*) => {
        /// Every callback name, in table order.
        pub const CALLBACKS: &[&str] = &[$(stringify!($name)),*];
    };
}
for_each_callback!(names);

/// The guest's allocator: preferred name first. TinyGo's collector does not know memory from its exported `malloc`.
pub const ALLOCATORS: [&str; 2] = ["proxy_on_memory_allocate", "malloc"];
