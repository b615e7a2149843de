//! The access log: one line for each request, written by a thread of its own. It never makes a request wait; lines
//! that find the queue full are counted and told.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use pingora_core::Error;
use pingora_proxy::Session;
use serde_json::{Map, Value, json};
use sluice_config::plan::{self, LogFormat};
use sluice_host::{Exchange, RouteFacts};

use crate::{cause::Cause, context::Context, request::protocol};

/// Lines that may wait for the writer.
const QUEUE: usize = 16 << 10;
/// How long a line may sit in the writer's buffer.
const FLUSH: Duration = Duration::from_millis(200);

/// Where lines go; cheap to clone.
#[derive(Clone)]
pub(crate) struct AccessLog(Option<Arc<Inner>>);

struct Inner {
    lines: SyncSender<Line>,
    format: LogFormat,
    dropped: AtomicU64,
}

enum Line {
    Text(String),
    /// Write everything out and say so.
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// Opens the file and starts the writer; `None` logs nothing.
    ///
    /// # Errors
    /// The file cannot be opened or no thread can be started.
    pub(crate) fn open(plan: Option<&plan::AccessLog>) -> io::Result<Self> {
        let Some(plan) = plan else { return Ok(Self(None)) };
        let target = target(plan.path.as_deref())?;
        let (lines, receiver) = sync_channel(QUEUE);
        thread::Builder::new().name("sluice-access-log".into()).spawn(move || write_lines(&receiver, target))?;
        Ok(Self(Some(Arc::new(Inner { lines, format: plan.format, dropped: AtomicU64::new(0) }))))
    }

    /// Writes the line of a request.
    pub(crate) fn write(&self, session: &Session, ctx: &Context, error: Option<&Error>) {
        if let Some(inner) = &self.0 {
            inner.write(fields(session, ctx, error));
        }
    }

    /// Writes the line of a TCP connection.
    pub(crate) fn connection(&self, connection: &Connection, exchange: &Exchange) {
        if let Some(inner) = &self.0 {
            inner.write(connection_fields(connection, exchange));
        }
    }

    /// Waits until everything is written, at most a second.
    pub(crate) fn flush(&self) {
        if let Some(inner) = &self.0 {
            let (done, wait) = sync_channel(1);
            if inner.lines.send(Line::Flush(done)).is_ok() {
                let _ = wait.recv_timeout(Duration::from_secs(1));
            }
        }
    }
}

impl Inner {
    fn write(&self, fields: Map<String, Value>) {
        let inner = self;
        let mut text = match inner.format {
            LogFormat::Json => Value::Object(fields).to_string(),
            LogFormat::Human => human(&fields),
        };
        text.push('\n');
        if inner.lines.try_send(Line::Text(text)).is_err() {
            let dropped = inner.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Told at 1, 2, 4, 8, …, so that the telling is no flood of its own.
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "the access log cannot keep up; lines are dropped");
            }
        }
    }
}

fn target(path: Option<&Path>) -> io::Result<Box<dyn Write + Send>> {
    Ok(match path {
        None => Box::new(io::stdout()),
        Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
    })
}

fn write_lines(lines: &Receiver<Line>, target: Box<dyn Write + Send>) {
    let mut out = BufWriter::with_capacity(64 << 10, target);
    let mut failed = false;
    loop {
        let result = match lines.recv_timeout(FLUSH) {
            Ok(Line::Text(text)) => out.write_all(text.as_bytes()),
            Ok(Line::Flush(done)) => {
                let result = out.flush();
                let _ = done.try_send(());
                result
            }
            Err(RecvTimeoutError::Timeout) => out.flush(),
            Err(RecvTimeoutError::Disconnected) => {
                let _ = out.flush();
                return;
            }
        };
        if let Err(error) = result
            && !std::mem::replace(&mut failed, true)
        {
            tracing::error!(%error, "the access log cannot be written; said once");
        }
    }
}

/// Everything that is known of a request. Names follow the OpenTelemetry conventions where those have one.
fn fields(session: &Session, ctx: &Context, error: Option<&Error>) -> Map<String, Value> {
    let head = session.req_header();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = crate::answer::sent(session).map_or(0, |r| r.status.as_u16());
    let mut f = Map::new();
    let mut put = |name: &str, value: Value| drop(f.insert(name.to_owned(), value));
    put("time", rfc3339(ctx.began_wall).into());
    put("client", session.client_addr().map(ToString::to_string).into());
    put("method", head.method.as_str().into());
    put("host", head.headers.get(http::header::HOST).map(|h| text(h.as_bytes())).into());
    put("path", text(head.raw_path()).into());
    put("protocol", protocol(head.version).into());
    put("status", status.into());
    put("bytes_received", session.body_bytes_read().into());
    put("bytes_sent", session.body_bytes_sent().into());
    put("duration_us", micros(ctx.began.elapsed()));
    if let Some(route) = &ctx.route {
        put("route", route.facts.name.as_str().into());
        put("upstream", route.facts.upstream.as_str().into());
    }
    if let Some(address) = ctx.upstream {
        put("upstream_address", address.to_string().into());
        put("upstream_attempts", ctx.tries.into());
        put("upstream_reused", ctx.upstream_reused.into());
    }
    if let Some(site) = &ctx.site {
        put("generation", site.generation.into());
    }
    if let Some(exchange) = &ctx.exchange {
        put("filters", chain(exchange));
        if let Some(properties) = properties(exchange) {
            put("properties", properties);
        }
    }
    if let Some((filter, details)) = &ctx.replied {
        put("replied_by", (&**filter).into());
        put("details", details.as_str().into());
    }
    if let Some(cause) = &ctx.cause {
        put("error", cause.token.into());
        put("error_details", cause.to_string().into());
    }
    if let Some(error) = error {
        put("error_cause", error.to_string().into());
    }
    f
}

/// How the filters of a chain fared.
fn chain(exchange: &Exchange) -> Value {
    let ran = exchange.ran().map(|r| {
        json!({
            "filter": &**r.filter,
            "digest": r.digest.short(),
            "us": micros(r.used),
            "outcome": r.outcome.name(),
        })
    });
    ran.collect::<Vec<_>>().into()
}

/// What filters set with `proxy_set_property`: path with dots and value; bytes that are no text become U+FFFD.
fn properties(exchange: &Exchange) -> Option<Value> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let set = exchange.set_properties().map(|(path, value)| (text(path).replace('\0', "."), text(value).into()));
    let map: Map<String, Value> = set.collect();
    (!map.is_empty()).then(|| Value::Object(map))
}

/// One TCP connection from its beginning to its end.
pub(crate) struct Connection {
    pub(crate) route: Arc<RouteFacts>,
    pub(crate) client: Option<SocketAddr>,
    pub(crate) began: Instant,
    pub(crate) began_wall: Duration,
    pub(crate) generation: u64,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) tries: usize,
    /// Bytes from the client and to the client that passed the filters.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// What ended it before its peers did.
    pub(crate) cause: Option<Cause>,
}

fn connection_fields(c: &Connection, exchange: &Exchange) -> Map<String, Value> {
    let mut f = Map::new();
    let mut put = |name: &str, value: Value| drop(f.insert(name.to_owned(), value));
    put("time", rfc3339(c.began_wall).into());
    put("client", c.client.map(|a| a.to_string()).into());
    put("protocol", "TCP".into());
    put("bytes_received", c.received.into());
    put("bytes_sent", c.sent.into());
    put("duration_us", micros(c.began.elapsed()));
    put("route", c.route.name.as_str().into());
    put("upstream", c.route.upstream.as_str().into());
    if let Some(address) = c.upstream {
        put("upstream_address", address.to_string().into());
    }
    put("upstream_attempts", c.tries.into());
    put("generation", c.generation.into());
    put("filters", chain(exchange));
    if let Some(properties) = properties(exchange) {
        put("properties", properties);
    }
    if let Some(cause) = &c.cause {
        put("error", cause.token.into());
        put("error_details", cause.to_string().into());
    }
    f
}

fn micros(time: Duration) -> Value {
    let tenths = u64::try_from(time.as_nanos() / 100).unwrap_or(u64::MAX);
    json!(tenths as f64 / 10.0)
}

/// One line for a person.
fn human(f: &Map<String, Value>) -> String {
    let get = |name: &str| match f.get(name) {
        Some(Value::String(s)) => s.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    let chain: Vec<String> = f
        .get("filters")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|r| {
            format!("{}:{}us:{}", r["filter"].as_str().unwrap_or("-"), r["us"], r["outcome"].as_str().unwrap_or("-"))
        })
        .collect();
    let chain = if chain.is_empty() { "-".to_owned() } else { chain.join(",") };
    let error = f.get("error_details").and_then(Value::as_str).map(|e| format!(" error=\"{e}\"")).unwrap_or_default();
    format!(
        "{} {} \"{} {} {}\" {} {}b {}us host={} route={} upstream={} filters={chain}{error}",
        get("time"),
        get("client"),
        get("method"),
        get("path"),
        get("protocol"),
        get("status"),
        get("bytes_sent"),
        get("duration_us"),
        get("host"),
        get("route"),
        get("upstream_address"),
    )
}

/// A wall clock time with milliseconds, UTC.
fn rfc3339(since_1970: Duration) -> String {
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since_1970).to_string()
}
