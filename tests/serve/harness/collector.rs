//! A collector of spans, metrics and log records: OTLP by gRPC, with tonic and the official messages.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs},
    metrics::v1::{Metric, ResourceMetrics},
    trace::v1::Span,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, codec::CompressionEncoding};

/// A collector; it ends when this is dropped.
pub struct Collector {
    pub address: SocketAddr,
    taken: Taken,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone, Default)]
struct Taken {
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<ResourceMetrics>>>,
    logs: Arc<Mutex<Vec<ResourceLogs>>>,
}

#[tonic::async_trait]
impl TraceService for Taken {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
        self.spans.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Taken {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().extend(request.into_inner().resource_metrics);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Taken {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.logs.lock().unwrap().extend(request.into_inner().resource_logs);
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

impl Collector {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Taken::default();
        let gzip = CompressionEncoding::Gzip;
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(taken.clone()).accept_compressed(gzip))
                .add_service(MetricsServiceServer::new(taken.clone()).accept_compressed(gzip))
                .add_service(LogsServiceServer::new(taken.clone()).accept_compressed(gzip))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, taken, _runtime: runtime }
    }

    /// Waits until these spans have come, and gives them.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Span) -> bool, count: usize) -> Vec<Span> {
        wait(what, || {
            let spans = self.taken.spans.lock().unwrap().clone();
            let found: Vec<_> = spans.iter().filter(|span| wanted(span)).cloned().collect();
            let names: Vec<_> = spans.iter().map(|span| span.name.clone()).collect();
            if found.len() >= count { Ok(found) } else { Err(format!("no {count}: {names:?}")) }
        })
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Span> {
        self.taken.spans.lock().unwrap().clone()
    }

    /// Waits until metrics have come of which this is true, and gives all that came last under each name, with what they
    /// are of.
    pub fn metrics(&self, what: &str, wanted: impl Fn(&[Metric]) -> bool) -> (Vec<KeyValue>, Vec<Metric>) {
        wait(what, || {
            let taken = self.taken.metrics.lock().unwrap().clone();
            let of = taken.last().and_then(|last| last.resource.clone()).unwrap_or_default().attributes;
            let mut metrics: Vec<Metric> = Vec::new();
            for metric in taken.into_iter().flat_map(|r| r.scope_metrics).flat_map(|s| s.metrics) {
                metrics.retain(|known| known.name != metric.name);
                metrics.push(metric);
            }
            let names: Vec<_> = metrics.iter().map(|metric| metric.name.clone()).collect();
            if wanted(&metrics) { Ok((of, metrics)) } else { Err(format!("{names:?}")) }
        })
    }

    /// Waits until so many log records have come, and gives them with what they are of.
    pub fn records(&self, count: usize) -> (Vec<KeyValue>, Vec<LogRecord>) {
        wait("log records", || {
            let taken = self.taken.logs.lock().unwrap().clone();
            let of = taken.last().and_then(|last| last.resource.clone()).unwrap_or_default().attributes;
            let records: Vec<_> = taken.into_iter().flat_map(|r| r.scope_logs).flat_map(|s| s.log_records).collect();
            if records.len() >= count { Ok((of, records)) } else { Err(format!("{} of {count}", records.len())) }
        })
    }
}

fn wait<T>(what: &str, look: impl Fn() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(missing) => assert!(began.elapsed() < Duration::from_secs(30), "{what}: {missing}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An attribute as text; empty when it is not there.
pub fn attribute(span: &Span, name: &str) -> String {
    value(&span.attributes, name)
}

/// The same of any list of them.
pub fn value(attributes: &[KeyValue], name: &str) -> String {
    attributes.iter().find(|a| a.key == name).and_then(|a| a.value.as_ref()).map(text).unwrap_or_default()
}

/// A value as text.
pub fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        _ => String::new(),
    }
}
