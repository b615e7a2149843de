//! `listeners:`: the sockets.

use crate::{
    declare::section,
    net::Bind,
    node::{Kind, Node, Typed},
    plan,
    reader::Cx,
    route::{UpstreamRef, Use},
    scalar::{FilePath, Free, Words},
    shape::{List, Map},
    units::{HOUR, Time},
};

section! {
    /// One socket to listen on
    Listener, check tls_or_h2c {
        /// Where to listen; port 0 lets the system choose.
        address: Bind,
        /// Terminates TLS here; ALPN offers h2 and http/1.1.
        tls: Option<ListenerTls>,
        /// Accepts HTTP/2 without TLS by prior knowledge, beside HTTP/1.1.
        h2c: bool = "false",
        /// Takes connections as bytes, not as HTTP: through filters to one upstream.
        tcp: Option<Tcp>,
    }
}

section! {
    /// Where connections of a TCP listener go
    Tcp {
        /// A name under `upstreams`; its `http` means nothing here.
        upstream: UpstreamRef,
        /// The chain, in order; bytes from the upstream pass it backwards.
        filters: List<Use>,
        /// Properties that filters of this listener can read.
        properties: Map<Free, Words>,
        /// A connection on which nothing moves for so long is closed.
        idle: Time<1, { 24 * HOUR }> = "1h",
    }
}

section! {
    /// Certificate of a listener
    ListenerTls {
        /// PEM file with the certificate and its chain.
        cert: FilePath,
        /// PEM file with the private key.
        key: FilePath,
    }
}

fn tls_or_h2c(listener: &Node, cx: &mut Cx<'_>) {
    if let (Some(h2c), Some(_)) = (listener.entry("h2c"), listener.get("tcp")) {
        cx.key_error(h2c, "`h2c` and `tcp` exclude each other", "remove `h2c`: there is no HTTP on this listener");
        return;
    }
    let wanted = listener
        .entry("h2c")
        .filter(|entry| matches!(&entry.value.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Bool(true)));
    if let (Some(h2c), Some(_)) = (wanted, listener.get("tls")) {
        let help = "remove `h2c`: with TLS, clients choose HTTP/2 by ALPN";
        cx.key_error(h2c, "`h2c` and `tls` exclude each other", help);
    }
}

impl Listener {
    pub(crate) fn plan(self) -> plan::Listener {
        plan::Listener {
            address: self.address.0,
            tls: self.tls.map(|tls| plan::ListenerTls { cert: tls.cert.0, key: tls.key.0 }),
            h2c: self.h2c,
            tcp: self.tcp.map(Tcp::plan),
            at: self.at,
        }
    }
}

impl Tcp {
    fn plan(self) -> plan::Tcp {
        plan::Tcp {
            upstream: self.upstream.0,
            filters: self.filters.0.into_iter().map(|filter| filter.0).collect(),
            properties: self.properties.0.into_iter().map(|(key, _, value)| (key.0, value.0)).collect(),
            idle: self.idle.0,
        }
    }
}
