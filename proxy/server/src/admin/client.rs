//! The other side: asks a process that serves for something, for the command line.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::HOST};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    load::{self, RunError},
    reload::Files,
};

/// How long to wait: longer than the process takes to say that it goes on without us.
const PATIENCE: Duration = Duration::from_secs(90);
/// Most bytes of an answer.
const ANSWER: usize = 1 << 20;

/// What is wanted of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Read everything again.
    Reload,
    /// Bring an earlier version of a filter back.
    Rollback {
        /// The filter's name.
        filter: String,
        /// The beginning of the version's digest; `None` is the last one before the one that serves.
        to: Option<String>,
    },
}

/// Where the process that serves this file is asked.
///
/// # Errors
/// [`RunError`] when the file cannot be read or understood, or names no address.
pub fn address(file: &Path) -> Result<SocketAddr, RunError> {
    let plan = load::plan(file, &Files::default())?;
    let none = |at, message: &str| RunError::setup(file, at, message);
    let Some(admin) = plan.admin else {
        return Err(none(sluice_config::Position::default(), "`admin` is off: there is nobody to ask"));
    };
    if admin.address.port() == 0 {
        return Err(none(admin.at, "`admin.address` leaves the port to the system: name the one that the log says"));
    }
    Ok(admin.address)
}

/// Asks, and returns what came of it in words.
///
/// # Errors
/// What went wrong, in words too.
pub fn ask(address: SocketAddr, call: &Call) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let answer = runtime.block_on(async { timeout(PATIENCE, send(here(address), call)).await });
    let answer = answer.map_err(|_| format!("{address} does not answer"))??;
    let (status, body) = (answer.status(), answer.into_body());
    let body: Value = serde_json::from_slice(&body)
        .map_err(|_| format!("{address} answers {status}, and not as an admin listener does"))?;
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    match text("error") {
        Some(error) => Err(error),
        None if body["generation"].is_u64() => Ok(words(&body)),
        None => text("message").ok_or_else(|| format!("{address} answers {status}, and not as an admin listener does")),
    }
}

async fn send(address: SocketAddr, call: &Call) -> Result<Response<Bytes>, String> {
    let (path, body) = match call {
        Call::Reload => ("/reload".to_owned(), String::new()),
        Call::Rollback { filter, to } => {
            let filter = utf8_percent_encode(filter, NON_ALPHANUMERIC);
            (format!("/filters/{filter}/rollback"), json!({ "to": to }).to_string())
        }
    };
    let unreachable = |e: &dyn std::fmt::Display| format!("nobody answers on {address}: {e}");
    let stream = TcpStream::connect(address).await.map_err(|e| unreachable(&e))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
    tokio::spawn(connection);
    let request = Request::post(path).header(HOST, address.to_string()).body(Full::new(Bytes::from(body)));
    let answer = sender.send_request(request.map_err(|e| e.to_string())?).await.map_err(|e| unreachable(&e))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER).collect().await.map_err(|e| unreachable(&e))?.to_bytes();
    Ok(Response::from_parts(head, body))
}

/// The address to connect to where one listens on all of them.
fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

fn words(swapped: &Value) -> String {
    let filters = swapped["filters"].as_object().into_iter().flatten().map(|(name, digest)| match digest.as_str() {
        Some(digest) => format!("{name} is {}", digest.get(..19).unwrap_or(digest)),
        None => format!("{name} is gone"),
    });
    let filters: Vec<_> = filters.collect();
    let filters = if filters.is_empty() { "no filter is another".to_owned() } else { filters.join(", ") };
    format!("generation {} serves: {filters} (built in {} ms)", swapped["generation"], swapped["total_ms"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_told_in_words() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let swapped = json!({ "generation": 3, "filters": { "a": digest, "b": null }, "total_ms": 1.5 });
        assert_eq!(words(&swapped), "generation 3 serves: a is sha256:abababababab, b is gone (built in 1.5 ms)");
        let swapped = json!({ "generation": 4, "filters": {}, "total_ms": 0.5 });
        assert_eq!(words(&swapped), "generation 4 serves: no filter is another (built in 0.5 ms)");
    }
}
