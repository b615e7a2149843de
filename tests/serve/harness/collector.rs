//! A collector of spans: OTLP by gRPC, with tonic and the official messages.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, codec::CompressionEncoding};

type Spans = Arc<Mutex<Vec<Span>>>;

/// A collector; it ends when this is dropped.
pub struct Collector {
    pub address: SocketAddr,
    spans: Spans,
    _runtime: tokio::runtime::Runtime,
}

struct Receiver(Spans);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
        self.0.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let spans = Spans::default();
        let service = TraceServiceServer::new(Receiver(spans.clone())).accept_compressed(CompressionEncoding::Gzip);
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, spans, _runtime: runtime }
    }

    /// Waits until these spans have come, and gives them.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Span) -> bool, count: usize) -> Vec<Span> {
        let began = Instant::now();
        loop {
            let spans = self.spans.lock().unwrap().clone();
            let found: Vec<_> = spans.iter().filter(|span| wanted(span)).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let names: Vec<_> = spans.iter().map(|span| span.name.clone()).collect();
            assert!(began.elapsed() < Duration::from_secs(30), "no {count} of {what}: {names:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// An attribute as text; empty when it is not there.
pub fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|a| a.key == name).and_then(|a| a.value.clone()?.value);
    match found {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        _ => String::new(),
    }
}
