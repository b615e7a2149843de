//! A response's head as it was sent: a copy for filters that look back at it, in two blocks of memory however many fields
//! it has.

use std::any::Any;

use http::HeaderMap;
use sluice_abi::pairs::Pairs;

use crate::{
    Head, InvalidHeader,
    head::{STATUS, status_text},
};

/// A response's head that nothing changes any more.
#[derive(Debug)]
pub struct SentHead {
    status: [u8; 3],
    /// Names and values, one behind the other.
    bytes: Vec<u8>,
    /// Where each name and its value end in them.
    ends: Vec<(usize, usize)>,
}

impl SentHead {
    /// Copies a head.
    pub fn new(status: u16, fields: &HeaderMap) -> Self {
        let mut head = Self {
            status: status_text(status),
            bytes: Vec::with_capacity(fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()),
            ends: Vec::with_capacity(fields.len()),
        };
        for (name, value) in fields {
            head.bytes.extend_from_slice(name.as_str().as_bytes());
            let name_ends = head.bytes.len();
            head.bytes.extend_from_slice(value.as_bytes());
            head.ends.push((name_ends, head.bytes.len()));
        }
        head
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut begins = 0;
        self.ends.iter().filter_map(move |(name_ends, ends)| {
            let from = std::mem::replace(&mut begins, *ends);
            Some((self.bytes.get(from..*name_ends)?, self.bytes.get(*name_ends..*ends)?))
        })
    }
}

impl Head for SentHead {
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        if name == STATUS {
            return Some(&self.status);
        }
        self.fields().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn visit(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        each(STATUS, &self.status);
        self.fields().for_each(|(name, value)| each(name, value));
    }

    fn count(&self) -> usize {
        1 + self.ends.len()
    }

    // Hostcalls that change a head are refused where this one is shown, before they come here.
    fn add(&mut self, _name: &[u8], _value: &[u8]) -> Result<(), InvalidHeader> {
        Err(InvalidHeader)
    }

    fn replace(&mut self, _name: &[u8], _value: &[u8]) -> Result<(), InvalidHeader> {
        Err(InvalidHeader)
    }

    fn remove(&mut self, _name: &[u8]) {}

    fn replace_all(&mut self, _pairs: Pairs<'_>) -> Result<(), InvalidHeader> {
        Err(InvalidHeader)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_what_was_sent_in_order() {
        let mut fields = HeaderMap::new();
        for (name, value) in [("a", "1"), ("set-cookie", "x"), ("empty", ""), ("set-cookie", "y")] {
            fields.append(name, value.parse().expect("a value"));
        }
        let head = SentHead::new(204, &fields);
        let mut shown = Vec::new();
        head.visit(&mut |name, value| {
            shown.push(format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        });
        assert_eq!(shown, [":status=204", "a=1", "set-cookie=x", "set-cookie=y", "empty="]);
        assert_eq!(head.count(), shown.len());
        assert_eq!(head.value(b"Set-Cookie"), Some(&b"x"[..]), "the first, in any case");
        assert_eq!((head.value(b"empty"), head.value(b"e")), (Some(&b""[..]), None));
        assert_eq!(head.value(b":status"), Some(&b"204"[..]));
    }

    #[test]
    fn it_stays_as_it_is() {
        let mut head = SentHead::new(200, &HeaderMap::new());
        assert_eq!(head.add(b"a", b"1"), Err(InvalidHeader));
        assert_eq!(head.replace(b":status", b"500"), Err(InvalidHeader));
        head.remove(b":status");
        assert_eq!((head.count(), head.value(b":status")), (1, Some(&b"200"[..])));
    }
}
