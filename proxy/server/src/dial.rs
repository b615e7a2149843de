//! HTTP clients for callouts: hyper speaks HTTP over connections that Pingora opens, so that both sides of the proxy
//! reach an upstream by the same addresses, certificates and waits.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Uri;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use pingora_core::{
    connectors::TransportConnector,
    protocols::{ALPN, Stream},
};
use sluice_config::plan::UpstreamHttp;
use tower_service::Service;

use crate::endpoint::{Endpoint, H2_PING};

/// Idle connections that one client keeps.
const IDLE_CONNECTIONS: usize = 32;

/// Whatever went wrong.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body on its way to an upstream.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A client of one endpoint, with its pool of connections.
pub(crate) type Client = legacy::Client<Dialer, Body>;

/// Makes the client of an endpoint.
pub(crate) fn client(endpoint: &Arc<Endpoint>, http: UpstreamHttp, idle: Duration) -> Client {
    let only_h2 = http == UpstreamHttp::H2;
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http2_only(only_h2)
        .http2_keep_alive_interval(H2_PING)
        .build(Dialer { endpoint: Arc::downgrade(endpoint), only_h2 })
}

/// Opens connections to one endpoint, whatever authority a request names.
#[derive(Clone)]
pub(crate) struct Dialer {
    /// Weak, as the endpoint owns the client that owns this.
    endpoint: Weak<Endpoint>,
    only_h2: bool,
}

impl Service<Uri> for Dialer {
    type Response = Dialed;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Dialed, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (endpoint, only_h2) = (self.endpoint.upgrade(), self.only_h2);
        Box::pin(async move {
            let endpoint = endpoint.ok_or("the upstream was taken out of the configuration")?;
            dial(&endpoint, only_h2).await.map(Dialed::from)
        })
    }
}

/// Opens connections of every kind; it keeps none.
pub(crate) fn connector() -> &'static TransportConnector {
    static CONNECTOR: LazyLock<TransportConnector> = LazyLock::new(|| TransportConnector::new(None));
    &CONNECTOR
}

/// Opens one connection.
///
/// # Errors
/// The resolver's or the connector's words.
pub(crate) async fn dial(endpoint: &Endpoint, only_h2: bool) -> Result<Stream, BoxError> {
    let mut peer = endpoint.peer_now().await?;
    if only_h2 {
        peer.options.set_http_version(2, 2);
    }
    let stream = connector().new_stream(&peer).await?;
    endpoint.tally().connected(false);
    Ok(stream)
}

/// Whether an answer came on a connection before; goes with every answer of one connection.
#[derive(Clone, Default)]
struct Used(Arc<AtomicBool>);

/// Whether this answer came on a connection that was open already. Asked once for each answer.
pub(crate) fn is_reused<T>(response: &http::Response<T>) -> bool {
    response.extensions().get::<Used>().is_some_and(|used| used.0.swap(true, Relaxed))
}

/// One open connection.
pub(crate) struct Dialed {
    stream: TokioIo<Stream>,
    h2: bool,
}

impl From<Stream> for Dialed {
    fn from(stream: Stream) -> Self {
        let h2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        Self { stream: TokioIo::new(stream), h2 }
    }
}

impl Connection for Dialed {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(Used::default());
        if self.h2 { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Dialed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Dialed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An error with everything that led to it, on one line.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Libraries like to repeat the cause in their own words.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
