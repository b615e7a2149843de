//! Who may ask: no page of another site that a browser on this machine has open, by whatever name it reaches us.

use std::net::{IpAddr, SocketAddr};

use axum::{extract::Request, middleware::Next, response::Response};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS},
    uri::Authority,
};

use super::answer;

/// The ends of a connection.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

/// Lets a request through, or says why not.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let refused = match request.extensions().get::<Ends>() {
        Some(ends) => refusal(request.method(), request.headers(), ends.local.ip()),
        None => Some("the connection is not known"),
    };
    let mut answer = match refused {
        Some(why) => answer::error(StatusCode::FORBIDDEN, why),
        None => next.run(request).await,
    };
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// `local` is the address that was connected to. On loopback a foreign name is refused for everything: it is how a page
/// whose name was made to mean 127.0.0.1 would read what is here. Elsewhere whoever reaches us by a name of their
/// choice may read, and order nothing.
fn refusal(method: &Method, headers: &HeaderMap, local: IpAddr) -> Option<&'static str> {
    if method.is_safe() && !local.is_loopback() {
        return None;
    }
    let only = |name| {
        let mut all = headers.get_all(name).iter();
        all.next().filter(|_| all.next().is_none()).and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let host = only(HOST).and_then(|host| host.parse::<Authority>().ok());
    if !host.as_ref().is_some_and(|host| is_own(host, local)) {
        return Some("the Host header names neither loopback nor the address of this listener");
    }
    if headers.contains_key(ORIGIN) {
        let origin = only(ORIGIN).and_then(|origin| origin.strip_prefix("http://")?.parse::<Authority>().ok());
        if origin.is_none() || origin != host {
            return Some("the request comes from a page of another site (Origin)");
        }
    }
    None
}

fn is_own(host: &Authority, local: IpAddr) -> bool {
    let name = host.host();
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.to_canonical() == local.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(method: Method, local: &str, headers: &[(&str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        refusal(&method, &headers, local.parse().unwrap()).is_none()
    }

    #[test]
    fn a_page_of_another_site_changes_nothing_and_reads_nothing_on_loopback() {
        let post = |headers: &[(&str, &str)]| allowed(Method::POST, "127.0.0.1", headers);
        assert!(post(&[("host", "127.0.0.1:9901")]));
        assert!(post(&[("host", "localhost:9901"), ("origin", "http://localhost:9901")]));
        assert!(post(&[("host", "[::1]:9901")]));
        assert!(!post(&[]));
        assert!(!post(&[("host", "evil.example")]));
        assert!(!post(&[("host", "localhost.evil.example:9901")]));
        assert!(!post(&[("host", "127.0.0.1"), ("host", "127.0.0.1")]));
        for origin in ["http://evil.example", "null", "", "http://localhost:8080", "https://localhost:9901"] {
            assert!(!post(&[("host", "localhost:9901"), ("origin", origin)]), "{origin}");
        }
        assert!(!post(&[("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://localhost")]));
        assert!(allowed(Method::GET, "127.0.0.1", &[("host", "localhost")]));
        assert!(!allowed(Method::GET, "127.0.0.1", &[("host", "localhost"), ("origin", "http://evil.example")]));
        assert!(!allowed(Method::GET, "127.0.0.1", &[("host", "rebound.example")]));
    }

    #[test]
    fn elsewhere_every_name_reads_and_only_the_address_changes() {
        let local = "10.1.2.3";
        assert!(allowed(Method::GET, local, &[("host", "sluice.monitoring.svc:9901")]));
        assert!(!allowed(Method::POST, local, &[("host", "sluice.monitoring.svc:9901")]));
        assert!(!allowed(Method::POST, local, &[("host", "10.1.2.4:9901")]));
        assert!(allowed(Method::POST, local, &[("host", "10.1.2.3:9901")]));
        assert!(allowed(Method::POST, "::ffff:10.1.2.3", &[("host", "10.1.2.3:9901")]));
    }
}
