//! `listeners:`: the sockets.

use crate::{
    declare::section,
    net::Bind,
    node::{Kind, Node, Typed},
    plan,
    reader::Cx,
    scalar::FilePath,
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
            at: self.at,
        }
    }
}
