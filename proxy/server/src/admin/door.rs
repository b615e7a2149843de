//! Connections to the admin listener: few, and none that waits for ever.

use std::{convert::Infallible, net::TcpListener, sync::Arc, time::Duration};

use axum::{body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{net::TcpStream, sync::Semaphore, time::sleep};
use tower_service::Service as _;

use super::{Status, guard::Ends, routes};

/// Connections at one time; others wait until one ends.
const CONNECTIONS: usize = 64;
/// How long a client may take for the head of a request, also of the next one.
const HEAD: Duration = Duration::from_secs(10);
/// How long a client may leave what it was sent, milliseconds.
const UNREAD: u32 = 30_000;
/// Bytes of a head.
const BUFFER: usize = 16 << 10;
/// How long nothing is accepted after that failed, which is when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers for ever.
///
/// # Errors
/// The socket cannot be waited for.
pub(super) async fn serve(socket: TcpListener, status: Arc<Status>) -> std::io::Result<()> {
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let app = routes::app(status);
    loop {
        // It is never closed.
        let Ok(place) = room.clone().acquire_owned().await else { return Ok(()) };
        match socket.accept().await {
            Ok((stream, peer)) => {
                let app = app.clone();
                tokio::spawn(async move {
                    let _place = place;
                    if let Ok(local) = stream.local_addr() {
                        connection(stream, Ends { peer, local }, app).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!("the admin listener cannot accept a connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, ends: Ends, app: axum::Router) {
    // Without it one client that does not read would keep its place.
    let _ = set_tcp_user_timeout(&stream, UNREAD);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut app = app.clone();
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ends);
        async move { Ok::<_, Infallible>(app.call(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
    // Whatever ends it is the client's doing.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}
