//! Property paths: segments joined by NUL, with one NUL at the end tolerated.

/// The segments of a property path.
///
/// One trailing NUL is dropped, as the specification asks; dots inside a segment stay (Envoy does not split on them).
pub fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    path.strip_suffix(&[0]).unwrap_or(path).split(|b| *b == 0)
}

/// Whether the path consists of exactly these segments.
pub fn is(path: &[u8], wanted: &[&str]) -> bool {
    segments(path).eq(wanted.iter().map(|s| s.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_nul_is_tolerated() {
        assert!(is(b"request\0path", &["request", "path"]));
        assert!(is(b"request\0path\0", &["request", "path"]));
        assert!(!is(b"request\0path\0\0", &["request", "path"]));
        assert!(is(b"request.path", &["request.path"]));
    }
}
