//! The head of a message as filters see it: lower-case names, byte values, pseudo headers as ordinary pairs.
//!
//! Storage is the embedder's: it gives its own header type through [`RequestFields`] or [`ResponseFields`]; what the
//! pseudo headers mean is decided here, once.

use std::any::Any;

use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_abi::pairs::Pairs;

/// A name or value that HTTP cannot carry, or a pseudo header that makes no sense here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHeader;

/// One header map, lent to a guest for the time of a callback.
pub trait Head: Send + Sync + 'static {
    /// The first value under this name, which may be in any case.
    fn value(&self, name: &[u8]) -> Option<&[u8]>;

    /// Shows every pair: pseudo headers first, then fields in order with their duplicates.
    fn visit(&self, each: &mut dyn FnMut(&[u8], &[u8]));

    /// How many pairs [`Head::visit`] shows.
    fn count(&self) -> usize;

    /// Adds a value beside those that are there.
    ///
    /// # Errors
    /// [`InvalidHeader`]: nothing was changed.
    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader>;

    /// Puts this value in place of all others under the name.
    ///
    /// # Errors
    /// [`InvalidHeader`]: nothing was changed.
    fn replace(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader>;

    /// Takes every value under the name away; pseudo headers stay, as a message without them is none.
    fn remove(&mut self, name: &[u8]);

    /// Puts these pairs in place of all; a pseudo header that is missing keeps its value.
    ///
    /// # Errors
    /// [`InvalidHeader`]: nothing was changed.
    fn replace_all(&mut self, pairs: Pairs<'_>) -> Result<(), InvalidHeader>;

    /// The head of the response as it was sent, where the embedder has it beside the request's: filters look back at it.
    fn sent(&self) -> Option<Sent<'_>> {
        None
    }

    /// For the embedder to find its own type again.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// The fields of any header map.
pub trait Fields: Send + Sync + 'static {
    /// All of them.
    fn fields(&self) -> &HeaderMap;
    /// Adds a value.
    fn append(&mut self, name: HeaderName, value: HeaderValue);
    /// Replaces all values under the name.
    fn insert(&mut self, name: HeaderName, value: HeaderValue);
    /// Removes all values under the name, keeping the order of the others.
    fn remove(&mut self, name: &HeaderName);
    /// Removes everything.
    fn clear(&mut self);
}

/// The head of a request in the embedder's own type.
pub trait RequestFields: Fields {
    /// `:method`.
    fn method(&self) -> &[u8];
    /// Changes the method; false when it is none.
    fn set_method(&mut self, value: &[u8]) -> bool;
    /// `:path`: path and query as they stand on the wire.
    fn path(&self) -> &[u8];
    /// Changes path and query; false when they cannot be sent.
    fn set_path(&mut self, value: &[u8]) -> bool;
    /// `:authority`, whether it came as such or as `host`.
    fn authority(&self) -> &[u8];
    /// Changes it, including `host`; false when it is none.
    fn set_authority(&mut self, value: &[u8]) -> bool;
    /// `:scheme`.
    fn scheme(&self) -> &[u8];
    /// See [`Head::sent`].
    fn sent(&self) -> Option<Sent<'_>> {
        None
    }
}

/// The head of a response in the embedder's own type.
pub trait ResponseFields: Fields {
    /// `:status`.
    fn status(&self) -> u16;
    /// Changes it (200 to 599).
    fn set_status(&mut self, status: u16);
}

/// A request's head as filters see it.
pub struct RequestHead<F>(pub F);
/// A response's head as filters see it.
pub struct ResponseHead<F>(pub F);
/// Trailers as filters see them.
pub struct TrailersHead(pub HeaderMap);

const PSEUDO_REQUEST: usize = 4;

fn parse(name: &[u8], value: &[u8]) -> Result<(HeaderName, HeaderValue), InvalidHeader> {
    let name = HeaderName::from_bytes(name).map_err(|_| InvalidHeader)?;
    let value = HeaderValue::from_bytes(value).map_err(|_| InvalidHeader)?;
    Ok((name, value))
}

/// Shows every pair of a response's head.
fn show(status: u16, fields: &HeaderMap, each: &mut dyn FnMut(&[u8], &[u8])) {
    each(STATUS, status_text(status).unwrap_or_default());
    for (name, value) in fields {
        each(name.as_str().as_bytes(), value.as_bytes());
    }
}

fn first<'a>(fields: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    // A `str` key is compared without case and without building a name.
    let name = std::str::from_utf8(name).ok()?;
    fields.get(name).map(HeaderValue::as_bytes)
}

fn is_host(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"host")
}

fn is_pseudo(name: &[u8]) -> bool {
    name.first() == Some(&b':')
}

impl<F: RequestFields> RequestHead<F> {
    fn pseudo(&self, name: &[u8]) -> Option<&[u8]> {
        match name {
            b":authority" => Some(self.0.authority()),
            b":path" => Some(self.0.path()),
            b":method" => Some(self.0.method()),
            b":scheme" => Some(self.0.scheme()),
            _ if is_host(name) => Some(self.0.authority()),
            _ => None,
        }
    }

    fn set_pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        let done = match name {
            b":authority" => self.0.set_authority(value),
            b":path" => self.0.set_path(value),
            b":method" => self.0.set_method(value),
            // The scheme is a fact about the connection; a filter may repeat it, and changing it has no effect.
            b":scheme" => !value.is_empty(),
            _ if is_host(name) => self.0.set_authority(value),
            _ => false,
        };
        if done { Ok(()) } else { Err(InvalidHeader) }
    }
}

impl<F: RequestFields> Head for RequestHead<F> {
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        if is_pseudo(name) || is_host(name) {
            return self.pseudo(name).filter(|v| !v.is_empty());
        }
        first(self.0.fields(), name)
    }

    fn visit(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let f = &self.0;
        each(b":authority", f.authority());
        each(b":path", f.path());
        each(b":method", f.method());
        each(b":scheme", f.scheme());
        for (name, value) in f.fields() {
            if name != http::header::HOST {
                each(name.as_str().as_bytes(), value.as_bytes());
            }
        }
    }

    fn count(&self) -> usize {
        let fields = self.0.fields();
        let hosts = fields.get_all(http::header::HOST).iter().count();
        PSEUDO_REQUEST + fields.len() - hosts
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        if is_pseudo(name) || is_host(name) {
            return self.set_pseudo(name, value);
        }
        let (name, value) = parse(name, value)?;
        self.0.append(name, value);
        Ok(())
    }

    fn replace(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        if is_pseudo(name) || is_host(name) {
            return self.set_pseudo(name, value);
        }
        let (name, value) = parse(name, value)?;
        self.0.insert(name, value);
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) {
        if !is_pseudo(name)
            && !is_host(name)
            && let Ok(name) = HeaderName::from_bytes(name)
        {
            self.0.remove(&name);
        }
    }

    fn replace_all(&mut self, pairs: Pairs<'_>) -> Result<(), InvalidHeader> {
        let fields = checked(pairs, |n| is_pseudo(n) || is_host(n))?;
        let (path, method) = (self.0.path().to_vec(), self.0.method().to_vec());
        // Pseudo headers first, as only they can still be refused; the authority last, as only it may have been absent
        // before, which cannot be set again.
        let names_host = |n: &[u8]| n == b":authority" || is_host(n);
        let line = pairs.iter().filter(|(n, _)| is_pseudo(n) && !names_host(n));
        for (name, value) in line.chain(pairs.iter().filter(|(n, _)| names_host(n))) {
            if self.set_pseudo(name, value).is_err() {
                self.0.set_path(&path);
                self.0.set_method(&method);
                return Err(InvalidHeader);
            }
        }
        let authority = self.0.authority().to_vec();
        self.0.clear();
        if !authority.is_empty() {
            self.0.set_authority(&authority);
        }
        fields.into_iter().for_each(|(n, v)| self.0.append(n, v));
        Ok(())
    }

    fn sent(&self) -> Option<Sent<'_>> {
        self.0.sent()
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The pseudo header of a response.
const STATUS: &[u8] = b":status";

/// `:status` as text, for every status.
const STATUS_TABLE: [[u8; 3]; 1000] = {
    let mut table = [[b'0'; 3]; 1000];
    let mut n = 0;
    while n < 1000 {
        table[n] = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    table
};

pub(crate) fn status_text(status: u16) -> Option<&'static [u8]> {
    STATUS_TABLE.get(usize::from(status)).map(|digits| &digits[..])
}

fn parse_status(value: &[u8]) -> Option<u16> {
    let n: u16 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (value.len() == 3 && (200..=599).contains(&n)).then_some(n)
}

impl<F: ResponseFields> Head for ResponseHead<F> {
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        if name == STATUS {
            return status_text(self.0.status());
        }
        first(self.0.fields(), name)
    }

    fn visit(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        show(self.0.status(), self.0.fields(), each);
    }

    fn count(&self) -> usize {
        1 + self.0.fields().len()
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        if is_pseudo(name) {
            return self.replace(name, value);
        }
        let (name, value) = parse(name, value)?;
        self.0.append(name, value);
        Ok(())
    }

    fn replace(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        if is_pseudo(name) {
            let status = (name == STATUS).then(|| parse_status(value)).flatten().ok_or(InvalidHeader)?;
            self.0.set_status(status);
            return Ok(());
        }
        let (name, value) = parse(name, value)?;
        self.0.insert(name, value);
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) {
        if let Ok(name) = HeaderName::from_bytes(name) {
            self.0.remove(&name);
        }
    }

    fn replace_all(&mut self, pairs: Pairs<'_>) -> Result<(), InvalidHeader> {
        let fields = checked(pairs, is_pseudo)?;
        let mut status = self.0.status();
        for (name, value) in pairs.iter().filter(|(n, _)| is_pseudo(n)) {
            status = (name == STATUS).then(|| parse_status(value)).flatten().ok_or(InvalidHeader)?;
        }
        self.0.set_status(status);
        self.0.clear();
        fields.into_iter().for_each(|(n, v)| self.0.append(n, v));
        Ok(())
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Head for TrailersHead {
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        first(&self.0, name)
    }

    fn visit(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.iter().for_each(|(n, v)| each(n.as_str().as_bytes(), v.as_bytes()));
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        let (name, value) = parse(name, value)?;
        self.0.append(name, value);
        Ok(())
    }

    fn replace(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        let (name, value) = parse(name, value)?;
        self.0.insert(name, value);
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) {
        if let Ok(name) = HeaderName::from_bytes(name) {
            self.0.remove(name);
        }
    }

    fn replace_all(&mut self, pairs: Pairs<'_>) -> Result<(), InvalidHeader> {
        let fields = checked(pairs, |_| false)?;
        self.0.clear();
        fields.into_iter().for_each(|(n, v)| {
            self.0.append(n, v);
        });
        Ok(())
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// A response's head that nothing changes any more.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// `:status`.
    pub status: u16,
    /// Its fields.
    pub fields: &'a HeaderMap,
}

/// A head that is only looked at.
#[derive(Clone, Copy)]
pub(crate) enum Look<'a> {
    Lent(&'a dyn Head),
    Sent(Sent<'a>),
}

impl<'a> Look<'a> {
    /// As [`Head::value`].
    pub(crate) fn value(self, name: &[u8]) -> Option<&'a [u8]> {
        match self {
            Self::Lent(head) => head.value(name),
            Self::Sent(sent) if name == STATUS => status_text(sent.status),
            Self::Sent(sent) => first(sent.fields, name),
        }
    }

    /// As [`Head::visit`].
    pub(crate) fn visit(self, each: &mut dyn FnMut(&[u8], &[u8])) {
        match self {
            Self::Lent(head) => head.visit(each),
            Self::Sent(sent) => show(sent.status, sent.fields, each),
        }
    }
}

/// Parses every pair that is no pseudo header before anything is changed.
fn checked(pairs: Pairs<'_>, pseudo: impl Fn(&[u8]) -> bool) -> Result<Vec<(HeaderName, HeaderValue)>, InvalidHeader> {
    pairs.iter().filter(|(n, _)| !pseudo(n)).map(|(n, v)| parse(n, v)).collect()
}
