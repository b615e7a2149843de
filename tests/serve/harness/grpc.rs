//! A real gRPC server (tonic) with one service, `test.Echo`, whose messages are plain bytes.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes};
use tokio_stream::{StreamExt, wrappers::ReceiverStream, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, NamedService, StreamingService, UnaryService},
};

/// Messages as they are.
#[derive(Default, Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        *self
    }
    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(input.copy_to_bytes(input.remaining())))
    }
}

/// What the server saw, in order.
type Seen = Arc<Mutex<Vec<String>>>;

/// The server; stops when it is dropped.
pub struct GrpcServer {
    pub address: SocketAddr,
    seen: Seen,
    _runtime: tokio::runtime::Runtime,
}

impl GrpcServer {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let service = Echo { seen: seen.clone() };
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, seen, _runtime: runtime }
    }

    /// What it saw so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until it saw this.
    pub fn wait_for(&self, text: &str) {
        let began = std::time::Instant::now();
        while !self.seen().iter().any(|line| line == text) {
            assert!(began.elapsed().as_secs() < 20, "it never saw `{text}`: {:?}", self.seen());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

#[derive(Clone)]
struct Echo {
    seen: Seen,
}

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
type Messages = Pin<Box<dyn tokio_stream::Stream<Item = Result<Bytes, Status>> + Send>>;

impl tower_service::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        let head = |name: &str| request.headers().get(name).map_or("-".into(), |v| v.to_str().unwrap().to_owned());
        let line = format!("{} {} {}", request.uri().path(), head("x-meta"), head("traceparent"));
        self.seen.lock().unwrap().push(line);
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/test.Echo/Chat" => Grpc::new(Plain).streaming(Chat(echo.seen), request).await,
                _ => Grpc::new(Plain).unary(Say(echo.seen), request).await,
            })
        })
    }
}

/// Answers one message with another; some messages ask for trouble.
struct Say(Seen);

impl UnaryService<Bytes> for Say {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let asked = String::from_utf8_lossy(request.get_ref()).into_owned();
        self.0.lock().unwrap().push(format!("said {asked}"));
        Box::pin(async move {
            match asked.as_str() {
                "fail" => Err(Status::permission_denied("not you: ä")),
                "hang" => std::future::pending().await,
                "big" => Ok(Response::new(Bytes::from(vec![b'x'; 5 << 20]))),
                _ => Ok(Response::new(Bytes::from(format!("you said {asked}")))),
            }
        })
    }
}

/// Answers each message of a stream, and says at its end how many there were.
struct Chat(Seen);

/// Notes that a stream is over; tonic does not tell one that was cancelled from one that ended.
struct Gone(Seen);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("stream over".into());
    }
}

impl StreamingService<Bytes> for Chat {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let seen = self.0.clone();
        Box::pin(async move {
            let mut input = request.into_inner();
            let (sender, receiver) = tokio::sync::mpsc::channel(8);
            tokio::spawn(async move {
                let _gone = Gone(seen.clone());
                let mut count = 0;
                while let Some(message) = input.next().await {
                    let Ok(message) = message else { return };
                    count += 1;
                    let text = String::from_utf8_lossy(&message[..message.len().min(20)]).into_owned();
                    seen.lock().unwrap().push(format!("heard {text}"));
                    if sender.send(Ok(Bytes::from(format!("echo {text}")))).await.is_err() {
                        return;
                    }
                }
                let mut end = Status::new(tonic::Code::OutOfRange, "that was all");
                end.metadata_mut().insert("x-sum", count.into());
                let _ = sender.send(Err(end)).await;
            });
            let mut response = Response::new(Box::pin(ReceiverStream::new(receiver)) as Messages);
            response.metadata_mut().insert("x-served", "yes".parse().unwrap());
            Ok(response)
        })
    }
}
