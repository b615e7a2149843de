//! Sends metrics and log records to a collector, one request at a time and each within its time.

use std::{fmt, io::Write as _};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_client::LogsServiceClient},
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics_service_client::MetricsServiceClient,
    },
};
use prost::Message;
use sluice_config::plan::{OtlpCompression, OtlpProtocol};
use tonic::{
    Status,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::destination::Destination;
use crate::dial::words;

/// Largest answer that is read, bytes; a collector has little to say.
const ANSWER: usize = 1 << 20;
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

/// Why something was not taken.
#[derive(Debug)]
pub(crate) struct Failure {
    words: String,
    /// It may be taken a moment later.
    pub(crate) passing: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// The way to one collector.
pub(crate) struct Sender {
    to: Destination,
    way: Way,
}

enum Way {
    Grpc { channel: Channel, fields: MetadataMap },
    Http(Box<Http>),
}

struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    fields: HeaderMap,
}

impl Sender {
    /// Must be called inside of the runtime that its connections shall live on; nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the destination.
    pub(crate) fn new(to: &Destination) -> Result<Self, String> {
        let fields = to.fields()?;
        let way = match to.protocol {
            OtlpProtocol::Grpc => {
                let endpoint = Endpoint::from_shared(to.url.clone()).map_err(|e| words(&e))?;
                let mut endpoint = endpoint.user_agent(AGENT).map_err(|e| words(&e))?.connect_timeout(to.timeout);
                if let Some(tls) = to.grpc_tls()? {
                    endpoint = endpoint.tls_config(tls).map_err(|e| words(&e))?;
                }
                Way::Grpc { channel: endpoint.connect_lazy(), fields: MetadataMap::from_headers(fields) }
            }
            OtlpProtocol::Http => {
                let url = to.url.parse().map_err(|e| format!("{to}: {e}"))?;
                let client = Client::builder(TokioExecutor::new()).build(to.connector()?);
                Way::Http(Box::new(Http { client, url, fields }))
            }
        };
        Ok(Self { to: to.clone(), way })
    }

    /// Sends one request. Gives how many of the things in it the collector did not want, which is final.
    ///
    /// # Errors
    /// It was not taken.
    pub(crate) async fn send(&self, request: Request) -> Result<u64, Failure> {
        let sent = async {
            match &self.way {
                Way::Grpc { channel, fields } => self.grpc(channel, fields, request).await,
                Way::Http(way) => self.http(way, request).await,
            }
        };
        let late = |_| Err(Failure { words: "it did not answer in time".to_owned(), passing: true });
        let rejected = tokio::time::timeout(self.to.timeout, sent).await.unwrap_or_else(late)?;
        Ok(u64::try_from(rejected).unwrap_or_default())
    }

    fn gzip(&self) -> bool {
        self.to.compression == OtlpCompression::Gzip
    }

    async fn grpc(&self, channel: &Channel, fields: &MetadataMap, request: Request) -> Result<i64, Failure> {
        let channel = channel.clone();
        match request {
            Request::Metrics(message) => {
                let mut client = MetricsServiceClient::new(channel);
                if self.gzip() {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                let answer = client.export(with(fields, message)).await.map_err(refused)?.into_inner();
                Ok(answer.partial_success.map_or(0, |part| part.rejected_data_points))
            }
            Request::Logs(message) => {
                let mut client = LogsServiceClient::new(channel);
                if self.gzip() {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                let answer = client.export(with(fields, message)).await.map_err(refused)?.into_inner();
                Ok(answer.partial_success.map_or(0, |part| part.rejected_log_records))
            }
        }
    }

    async fn http(&self, way: &Http, request: Request) -> Result<i64, Failure> {
        let Http { client, url, fields } = way;
        let failed = |words: String| Failure { words, passing: true };
        let body = match &request {
            Request::Metrics(message) => message.encode_to_vec(),
            Request::Logs(message) => message.encode_to_vec(),
        };
        let body = if self.gzip() { packed(&body).map_err(|e| failed(e.to_string()))? } else { body };
        let mut post = http::Request::new(Full::from(body));
        *post.method_mut() = Method::POST;
        *post.uri_mut() = url.clone();
        let head = post.headers_mut();
        head.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        head.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        head.insert(CONTENT_TYPE, PROTOBUF);
        if self.gzip() {
            head.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let answer = client.request(post).await.map_err(|e| failed(words(&e)))?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            let passing = matches!(head.status.as_u16(), 429 | 502..=504);
            return Err(Failure { words: format!("it answered with {}", head.status), passing });
        }
        let body = Limited::new(body, ANSWER).collect().await.map_err(|e| failed(e.to_string()))?.to_bytes();
        if head.headers.get(CONTENT_TYPE) != Some(&PROTOBUF) {
            return Ok(0);
        }
        // Whatever else it says, it took it.
        Ok(match request {
            Request::Metrics(_) => ExportMetricsServiceResponse::decode(body)
                .ok()
                .and_then(|answer| answer.partial_success)
                .map_or(0, |part| part.rejected_data_points),
            Request::Logs(_) => ExportLogsServiceResponse::decode(body)
                .ok()
                .and_then(|answer| answer.partial_success)
                .map_or(0, |part| part.rejected_log_records),
        })
    }
}

fn with<M>(fields: &MetadataMap, message: M) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    *request.metadata_mut() = fields.clone();
    request
}

fn refused(status: Status) -> Failure {
    use tonic::Code::{Aborted, Cancelled, DataLoss, DeadlineExceeded, OutOfRange, ResourceExhausted, Unavailable};
    let passing = matches!(
        status.code(),
        Aborted | Cancelled | DataLoss | DeadlineExceeded | OutOfRange | ResourceExhausted | Unavailable
    );
    // Not the words of the collector, in which a key may come back.
    let code = status.code();
    let words =
        std::error::Error::source(&status).map_or_else(|| code.to_string(), |e| format!("{code}: {}", words(e)));
    Failure { words, passing }
}

fn packed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(body)?;
    out.finish()
}
