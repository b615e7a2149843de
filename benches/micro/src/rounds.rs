//! What guests begin and the outside ends: callouts with their answers, events of queues, and answers of a guest's own.

use bytes::Bytes;
use sluice_host::{Chain, Direction, Isolation, Step};

use crate::{
    Scene, Work,
    guest::{Call, Callback, guest},
    outside::{chain, open, respond},
    waiting,
};

/// Rounds in one run, where one exchange makes many.
const TIMES: u64 = 100;

const HTTP_CALL: Call = ("proxy_http_call", "192 2 200 61 16 7 0 0 1000 2048");
/// What a filter that asks somebody looks at: the status and the body.
const STATUS: Call = ("proxy_get_header_map_value", "6 384 7 2048 2056");
const BODY: Call = ("proxy_get_buffer_bytes", "4 0 64 2048 2056");

const HTTP: &[Callback] =
    &[headers(&[HTTP_CALL]).times(TIMES), Callback::new("proxy_on_http_call_response", &[STATUS, BODY])];

/// As filters that let somebody else decide do it: the request waits for the answer, which continues it.
const HTTP_PAUSED: &[Callback] = &[
    headers(&[HTTP_CALL]).returns(1),
    Callback::new(
        "proxy_on_http_call_response",
        &[STATUS, BODY, ("proxy_set_effective_context", "@3000"), ("proxy_continue_stream", "0")],
    ),
];

const GRPC_RECEIVE: Callback =
    Callback::new("proxy_on_grpc_receive", &[("proxy_get_buffer_bytes", "5 0 64 2048 2056")]);
const GRPC: &[Callback] =
    &[headers(&[("proxy_grpc_call", "192 2 96 3 64 10 320 24 16 7 1000 2048")]).times(TIMES), GRPC_RECEIVE];
const GRPC_STREAM: &[Callback] = &[
    headers(&[("proxy_grpc_stream", "192 2 96 3 64 10 320 24 2048"), ("proxy_grpc_send", "@2048 16 7 1")]).times(TIMES),
    GRPC_RECEIVE,
];

const QUEUE: &[Callback] = &[
    Callback::new("proxy_on_configure", &[("proxy_register_shared_queue", "96 3 3008")]).returns(1),
    headers(&[("proxy_enqueue_shared_queue", "@3008 16 7")]).times(TIMES),
    Callback::new("proxy_on_queue_ready", &[("proxy_dequeue_shared_queue", "$1 2048 2056")]),
];

const LOCAL: &[Callback] = &[headers(&[("proxy_send_local_response", "403 0 9 16 7 320 24 -1")]).returns(1)];

const fn headers(calls: &'static [Call]) -> Callback {
    Callback::new("proxy_on_request_headers", calls)
}

pub(crate) fn scenes() -> Vec<Scene> {
    vec![
        Scene::new("callout/http", || round(HTTP, many)).times(TIMES),
        Scene::new("callout/http-paused", || round(HTTP_PAUSED, paused)),
        Scene::new("callout/grpc", || round(GRPC, many)).times(TIMES),
        Scene::new("callout/grpc-stream", || round(GRPC_STREAM, many)).times(TIMES),
        Scene::new("queue/ready", || round(QUEUE, many)).times(TIMES),
        Scene::new("exchange/local-answer", || round(LOCAL, answered)),
    ]
}

fn round(callbacks: &[Callback], run: fn(&Chain)) -> Work {
    let (host, chain) = chain(&guest(callbacks), "", 1, Isolation::Shared);
    Box::new(move || {
        let _alive = &host;
        run(&chain);
    })
}

fn response(status: u16) -> http::Response<()> {
    http::Response::builder().status(status).body(()).expect("a response")
}

/// All that one request asks for is answered before its response comes.
fn many(chain: &Chain) {
    let mut exchange = open(chain);
    let _ = exchange.request_headers(true);
    assert_eq!(waiting::answer(), TIMES, "each is answered");
    respond(&mut exchange, response(200), Bytes::from_static(b"hello"));
    exchange.finish();
}

/// What comes finds the request waiting.
fn paused(chain: &Chain) {
    let mut exchange = open(chain);
    assert!(matches!(exchange.request_headers(true), Step::Hold), "it waits");
    assert_eq!(waiting::answer(), 1, "the call is answered");
    while let Some(event) = exchange.inbox().and_then(|inbox| inbox.try_next()) {
        let _ = exchange.handle(event);
    }
    assert!(exchange.headers_passed(Direction::Request), "it goes on");
    respond(&mut exchange, response(200), Bytes::from_static(b"hello"));
    exchange.finish();
}

/// The filter answers, and its answer walks through the chain as any response does.
fn answered(chain: &Chain) {
    let mut exchange = open(chain);
    let Step::Reply(reply) = exchange.request_headers(true) else { panic!("it answers") };
    let mut response = response(reply.status);
    response.headers_mut().extend(reply.headers);
    respond(&mut exchange, response, reply.body);
    exchange.finish();
}
