//! Methods as metrics and spans name them: known ones, so that no client makes up new ones.

use http::Method;

/// The method, or `_OTHER` for one that the conventions of OpenTelemetry do not know.
pub(crate) fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_make_up_is_other() {
        assert_eq!(known(&Method::PATCH), "PATCH");
        assert_eq!(known(&Method::from_bytes(b"GETT").expect("a method")), "_OTHER");
    }
}
