//! Addresses, URLs, header fields and methods, each checked by the crates that will use them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderName, HeaderValue, Method, Uri};
use serde_json::{Value, json};

use crate::{
    node::Node,
    plan::Position,
    reader::{Cx, shorten},
    scalar::Words,
    shape::{Label, Shape, or_variable},
};

/// An address to bind: `127.0.0.1:8080`, `[::]:8080`, or `:8080` for every IPv4 address.
pub(crate) struct Bind(pub(crate) SocketAddr);

impl Shape for Bind {
    fn title() -> String {
        "an address `IP:port` or `:port`".into()
    }
    fn schema() -> Value {
        or_variable(json!({ "type": "string", "pattern": r"^([0-9.]+|\[[0-9A-Fa-f:.]+\])?:[0-9]{1,5}$" }))
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let example = "write `127.0.0.1:8080`, `[::]:8080`, or `:8080` for every IPv4 address";
        let scalar = cx.string(node, &Self::title(), example)?;
        let text = scalar.text.as_str();
        let address = match text.strip_prefix(':') {
            Some(port) if digits(port) => {
                port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
            }
            _ => text.parse().ok(),
        };
        let Some(address) = address else {
            let help = match text.rsplit_once(':') {
                Some(("localhost", port)) if digits(port) => {
                    format!("names are not looked up here: write `127.0.0.1:{port}`")
                }
                _ if text.parse::<IpAddr>().is_ok() => "the port is missing; ".to_owned() + example,
                _ => example.to_owned(),
            };
            return cx.error(node.at, format!("`{}` is not an address to listen on", scalar.shown()), help);
        };
        // Port 0 asks the system for a free one each time.
        if address.port() != 0
            && let Some(first) = cx.once("address", address.to_string(), node.at)
        {
            let help = format!("it is taken on line {}; give each its own port", first.line);
            return cx.error(node.at, format!("the address `{}` stands here twice", scalar.shown()), help);
        }
        Some(Self(address))
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// `host:port` apart; the host is a name or an IP address, without brackets.
pub(crate) fn host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = Some(port).filter(|port| digits(port))?.parse().ok().filter(|port| *port > 0)?;
    let host = match host.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']').filter(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => Some(host).filter(|host| is_host(host))?,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// A DNS name or an IPv4 address. Underscores occur in the names of services.
pub(crate) fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

/// A request method, as in the first line of a request.
pub(crate) struct Verb(pub(crate) String);

impl Shape for Verb {
    fn title() -> String {
        "a method such as `GET`".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[A-Z][A-Z0-9_-]*$" })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.string(node, &Self::title(), "")?;
        let upper = scalar.text.to_ascii_uppercase();
        if upper != scalar.text {
            let help = format!("methods are upper case: `{}`", shorten(&upper));
            return cx.error(node.at, format!("`{}` is not a method", scalar.shown()), help);
        }
        if Method::from_bytes(upper.as_bytes()).is_err() {
            return cx.error(node.at, format!("`{}` is not a method", scalar.shown()), "write one such as `GET`");
        }
        Some(Self(upper))
    }
}

/// A header field's name, lower case.
pub(crate) struct Header(pub(crate) String);

impl Label for Header {
    fn read(key: &str, at: Position, cx: &mut Cx<'_>) -> Option<Self> {
        match HeaderName::try_from(key) {
            Ok(name) => Some(Self(name.as_str().to_owned())),
            Err(_) => cx.error(
                at,
                format!("`{}` is not the name of a header field", shorten(key)),
                "a name has letters, digits and `-`",
            ),
        }
    }
    fn schema() -> Option<Value> {
        Some(json!({ "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$" }))
    }
}

/// A header field's value.
pub(crate) struct FieldValue(pub(crate) String);

impl Shape for FieldValue {
    fn title() -> String {
        "a string".into()
    }
    fn schema() -> Value {
        Words::schema()
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Words(text) = Words::read(node, cx)?;
        Self::check(&text, node, cx)
    }
}

impl FieldValue {
    /// A text that can be one.
    pub(crate) fn check(text: &str, node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match HeaderValue::from_str(text) {
            Ok(_) => Some(Self(text.to_owned())),
            Err(_) => cx.error(node.at, "this value cannot stand in a header field", "it has a control character"),
        }
    }
}

/// `http://host:port` of a collector.
pub(crate) struct Url(pub(crate) String);

impl Shape for Url {
    fn title() -> String {
        "a URL such as `http://127.0.0.1:4317`".into()
    }
    fn schema() -> Value {
        or_variable(json!({ "type": "string", "pattern": "^https?://" }))
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.string(node, &Self::title(), "")?;
        let url = scalar.text.parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        });
        match url {
            Some(_) => Some(Self(scalar.text.clone())),
            None => cx.error(node.at, format!("`{}` is not {}", scalar.shown(), Self::title()), ""),
        }
    }
}
