//! The same exchanges over HTTP/2: a client of a proxy, and an origin behind one.

use std::{net::TcpStream, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::{runtime::Builder, task::spawn_blocking};

use crate::{
    origin::Shared,
    plan::{Exchange, Reply},
    play::PATIENCE,
    seen::Seen,
    side::Side,
};

type Fields = Vec<(String, Vec<u8>)>;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn connected(stream: TcpStream) -> tokio::net::TcpStream {
    stream.set_nonblocking(true).unwrap();
    stream.set_nodelay(true).unwrap();
    tokio::net::TcpStream::from_std(stream).unwrap()
}

/// First line and fields of a head of HTTP/1.1.
fn head(text: &[u8]) -> (String, Vec<(String, String)>) {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.split("\r\n\r\n").next().unwrap().split("\r\n");
    let first = lines.next().unwrap().to_owned();
    let fields = lines.map(|l| l.split_once(':').unwrap()).map(|(n, v)| (n.to_lowercase(), v.trim().to_owned()));
    // The frames say how long a body is.
    (first, fields.filter(|(n, _)| n != "transfer-encoding").collect())
}

fn fields(map: &HeaderMap) -> Fields {
    map.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect()
}

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (n.parse::<http::HeaderName>().unwrap(), v.parse().unwrap())).collect()
}

/// A body and trailers, as far as they come.
async fn whole(mut body: h2::RecvStream) -> (Vec<u8>, Fields, String) {
    let mut out = Vec::new();
    while let Some(chunk) = body.data().await {
        match chunk {
            Ok(chunk) => {
                let _ = body.flow_control().release_capacity(chunk.len());
                out.extend_from_slice(&chunk);
            }
            Err(_) => return (out, Fields::new(), "broken off".to_owned()),
        }
    }
    match body.trailers().await {
        Ok(trailers) => (out, trailers.as_ref().map(fields).unwrap_or_default(), "whole".to_owned()),
        Err(_) => (out, Fields::new(), "broken off".to_owned()),
    }
}

/// Lets the task of the connection write what it was given: the barrier is another thread and could be faster.
async fn written() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

/// Sends parts of a body, each when the proxy has treated the one before.
async fn send_parts(
    stream: &mut h2::SendStream<Bytes>,
    parts: &[Vec<u8>],
    ends: bool,
    wait: impl Fn() + Send + Clone + 'static,
) {
    for (index, part) in parts.iter().enumerate() {
        written().await;
        spawn_blocking(wait.clone()).await.unwrap();
        // The answer may come before all is sent.
        let _ = stream.send_data(part.clone().into(), ends && index + 1 == parts.len());
    }
}

/// What a client sees of an exchange, and whether its connection is kept.
pub fn send(proxy: &impl Side, exchange: &Exchange) -> (Vec<Seen>, String) {
    let (line, pairs) = head(&exchange.pieces[0]);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let host = pairs.iter().find(|(n, _)| n == "host").map_or("test.example", |(_, v)| v.as_str());
    let mut request = Request::builder().method(method).uri(format!("http://{host}{target}"));
    for (name, value) in pairs.iter().filter(|(n, _)| n != "host") {
        request = request.header(name, value);
    }
    let request = request.body(()).unwrap();
    let sync = proxy.sync();
    block_on(async {
        let stream = connected(TcpStream::connect(proxy.address()).unwrap()).await;
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let none = exchange.parts.iter().all(Vec::is_empty) && !exchange.ends_by_itself;
        let parts = if none { &[][..] } else { &exchange.parts };
        let (answer, mut body) = client.send_request(request, none).unwrap();
        let barrier = move || sync.wait();
        send_parts(&mut body, parts, !exchange.ends_by_itself, barrier.clone()).await;
        if exchange.ends_by_itself {
            written().await;
            spawn_blocking(barrier.clone()).await.unwrap();
            let _ = body.send_data(Bytes::new(), true);
        }
        let nothing = |end: &str| Seen { framing: "HTTP/2".to_owned(), end: end.to_owned(), ..Seen::default() };
        let read = async {
            let Ok(answer) = answer.await else { return nothing("reset") };
            let (head, body) = answer.into_parts();
            let (body, trailers, end) = whole(body).await;
            let line = format!("HTTP/2 {}", head.status.as_u16());
            Seen { line, headers: fields(&head.headers), framing: "HTTP/2".to_owned(), body, end, trailers }
        };
        let seen = tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| nothing("nothing more comes"));
        spawn_blocking(barrier).await.unwrap();
        let kept = !connection.is_finished() && client.ready().await.is_ok();
        (vec![seen], if kept { "open" } else { "closed" }.to_owned())
    })
}

/// One connection of the origin.
pub fn serve(shared: &Arc<Shared>, stream: TcpStream) {
    block_on(async {
        let Ok(mut connection) = h2::server::handshake(connected(stream).await).await else { return };
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(answer(shared.clone(), request, respond));
        }
    });
}

async fn answer(shared: Arc<Shared>, request: Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    shared.begin();
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let authority = head.uri.authority().map(|a| a.to_string().into_bytes()).unwrap_or_default();
    let mut headers = vec![(":authority".to_owned(), authority)];
    headers.extend(fields(&head.headers));
    let (body, trailers, end) = whole(body).await;
    let whole = end == "whole";
    let line = format!("{} {path} HTTP/2", head.method);
    let seen = Seen { line, headers, framing: "HTTP/2".to_owned(), body, end, trailers };
    let reply = shared.arrived(Some(seen).filter(|_| whole));
    if whole {
        write(&shared, &reply, &mut respond).await;
    }
}

async fn write(shared: &Arc<Shared>, reply: &Reply, respond: &mut h2::server::SendResponse<Bytes>) {
    let (line, pairs) = head(&reply.pieces[0]);
    let mut response = Response::builder().status(line.split(' ').nth(1).unwrap());
    for (name, value) in &pairs {
        response = response.header(name, value);
    }
    let (more, trailers) = (!reply.parts.iter().all(Vec::is_empty), !reply.trailers.is_empty());
    let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), !more && !trailers) else { return };
    let barrier = shared.clone();
    let parts = if more { &reply.parts[..] } else { &[] };
    send_parts(&mut stream, parts, !trailers, move || barrier.wait()).await;
    if trailers {
        let barrier = shared.clone();
        written().await;
        spawn_blocking(move || barrier.wait()).await.unwrap();
        let _ = stream.send_trailers(map(&reply.trailers));
    }
}
