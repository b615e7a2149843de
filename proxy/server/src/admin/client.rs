//! The other side: asks a process that serves for something, for the command line.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, header::HOST};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use super::words;
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
    /// Begin with fresh guests of a filter, from what its file holds now.
    Anew {
        /// The filter's name.
        filter: String,
    },
    /// Bring an earlier version of a filter back.
    Rollback {
        /// The filter's name.
        filter: String,
        /// The beginning of the version's digest; `None` is the last one before the one that serves.
        to: Option<String>,
    },
    /// Say which filters serve.
    Filters,
    /// Take a filter out of every chain.
    Disable {
        /// The filter's name.
        filter: String,
        /// Also one that requests are not to pass without.
        force: bool,
    },
    /// Put a filter back into its chains.
    Enable {
        /// The filter's name.
        filter: String,
    },
    /// Ask to be left alone.
    Drain {
        /// It is over.
        off: bool,
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
        None => words::of(call, &body)
            .or_else(|| text("message"))
            .ok_or_else(|| format!("{address} answers {status}, and not as an admin listener does")),
    }
}

async fn send(address: SocketAddr, call: &Call) -> Result<Response<Bytes>, String> {
    let of_filter =
        |filter: &str, what: &str| format!("/filters/{}/{what}", utf8_percent_encode(filter, NON_ALPHANUMERIC));
    let (method, path, body) = match call {
        Call::Reload => (Method::POST, "/reload".to_owned(), String::new()),
        Call::Anew { filter } => (Method::POST, of_filter(filter, "reload"), String::new()),
        Call::Rollback { filter, to } => (Method::POST, of_filter(filter, "rollback"), json!({ "to": to }).to_string()),
        Call::Filters => (Method::GET, "/filters".to_owned(), String::new()),
        Call::Disable { filter, force } => {
            (Method::POST, of_filter(filter, &format!("disable?force={force}")), String::new())
        }
        Call::Enable { filter } => (Method::POST, of_filter(filter, "enable"), String::new()),
        Call::Drain { off } => (Method::POST, format!("/drain?off={off}"), String::new()),
    };
    let unreachable = |e: &dyn std::fmt::Display| format!("nobody answers on {address}: {e}");
    let stream = TcpStream::connect(address).await.map_err(|e| unreachable(&e))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address.to_string())
        .body(Full::new(Bytes::from(body)));
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
