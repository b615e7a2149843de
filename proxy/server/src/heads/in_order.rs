//! Fields taken out of Pingora's headers, whose map does not keep the order of the others by itself.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_http::{RequestHeader, ResponseHeader};

/// What the map of fields cannot do by itself.
pub(super) trait InOrder {
    /// Takes a field out; the others keep their order.
    fn take_out(&mut self, name: &HeaderName);
    fn take_all_out(&mut self);
}

macro_rules! in_order {
    ($($header:ty),*) => { $(
        impl InOrder for $header {
            fn take_out(&mut self, name: &HeaderName) {
                if !self.headers.contains_key(name) {
                    return;
                }
                // The map fills a gap with its last entry. To keep the order, everything behind the gap is taken out
                // from the end (which moves nothing) and put back.
                let behind: Vec<HeaderName> =
                    self.headers.keys().skip_while(|n| *n != name).skip(1).cloned().collect();
                let with_case = self.case_header_iter().map(|(n, v)| (n.as_slice(), v));
                let pairs = pairs_behind(&self.headers, with_case, &behind);
                behind.iter().rev().for_each(|n| drop(self.remove_header(n)));
                self.remove_header(name);
                for (name, value) in pairs {
                    let _ = self.append_header(name, value);
                }
            }

            fn take_all_out(&mut self) {
                let names: Vec<HeaderName> = self.headers.keys().cloned().collect();
                names.iter().rev().for_each(|n| drop(self.remove_header(n)));
            }
        }
    )* };
}
in_order!(RequestHeader, ResponseHeader);

/// Every pair under these names in order, with the letters' case where it is kept.
fn pairs_behind<'a>(
    headers: &'a HeaderMap,
    with_case: impl Iterator<Item = (&'a [u8], &'a HeaderValue)>,
    names: &[HeaderName],
) -> Vec<(Bytes, HeaderValue)> {
    let wanted = |name: &[u8]| names.iter().any(|n| n.as_str().as_bytes().eq_ignore_ascii_case(name));
    let pair = |(name, value): (&[u8], &HeaderValue)| (Bytes::copy_from_slice(name), value.clone());
    let mut pairs: Vec<_> = with_case.filter(|(n, _)| wanted(n)).map(pair).collect();
    if pairs.is_empty() {
        let plain = headers.iter().map(|(n, v)| (n.as_str().as_bytes(), v));
        pairs = plain.filter(|(n, _)| wanted(n)).map(pair).collect();
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(pairs: &[(&'static str, &'static str)]) -> ResponseHeader {
        let mut header = ResponseHeader::build(200, None).expect("valid");
        pairs.iter().for_each(|(n, v)| drop(header.append_header(*n, *v)));
        header
    }

    fn shown(r: &ResponseHeader) -> String {
        let mut wire = Vec::new();
        r.header_to_h1_wire(&mut wire);
        String::from_utf8(wire).expect("text").replace("\r\n", "|")
    }

    #[test]
    fn removing_a_field_keeps_the_order_and_case_of_the_others() {
        let mut r = response(&[("A", "1"), ("X-Gone", "x"), ("b", "2"), ("X-Gone", "y"), ("b", "3"), ("C", "4")]);
        r.take_out(&HeaderName::from_static("x-gone"));
        assert_eq!(shown(&r), "A: 1|b: 2|b: 3|C: 4|");
        r.take_out(&HeaderName::from_static("not-there"));
        r.take_out(&HeaderName::from_static("c"));
        assert_eq!(shown(&r), "A: 1|b: 2|b: 3|");
        r.take_all_out();
        assert_eq!(shown(&r), "");
    }
}
