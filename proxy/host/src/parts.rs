//! Heads for embedders that keep them in the types of the `http` crate, in the order of their fields.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::HOST, request, response, uri};

use crate::{Fields, RequestFields, ResponseFields};

/// A request's head.
#[derive(Debug, Clone)]
pub struct RequestParts(pub request::Parts);

/// A response's head.
#[derive(Debug, Clone)]
pub struct ResponseParts(pub response::Parts);

/// [`HeaderMap::remove`] puts the last field into the gap, which changes the order on the wire.
fn remove(fields: &mut HeaderMap, name: &HeaderName) {
    if fields.contains_key(name) {
        let kept: HeaderMap = fields.iter().filter(|(n, _)| *n != name).map(|(n, v)| (n.clone(), v.clone())).collect();
        *fields = kept;
    }
}

macro_rules! fields {
    ($type:ty) => {
        impl Fields for $type {
            fn fields(&self) -> &HeaderMap {
                &self.0.headers
            }
            fn append(&mut self, name: HeaderName, value: HeaderValue) {
                self.0.headers.append(name, value);
            }
            fn insert(&mut self, name: HeaderName, value: HeaderValue) {
                self.0.headers.insert(name, value);
            }
            fn remove(&mut self, name: &HeaderName) {
                remove(&mut self.0.headers, name);
            }
            fn clear(&mut self) {
                self.0.headers.clear();
            }
        }
    };
}
fields!(RequestParts);
fields!(ResponseParts);

impl RequestFields for RequestParts {
    fn method(&self) -> &[u8] {
        self.0.method.as_str().as_bytes()
    }

    fn set_method(&mut self, value: &[u8]) -> bool {
        Method::from_bytes(value).map(|method| self.0.method = method).is_ok()
    }

    fn path(&self) -> &[u8] {
        self.0.uri.path_and_query().map_or(b"/", |p| p.as_str().as_bytes())
    }

    fn set_path(&mut self, value: &[u8]) -> bool {
        let mut parts = self.0.uri.clone().into_parts();
        let absolute = value.first() == Some(&b'/') || value == b"*";
        parts.path_and_query = absolute.then(|| uri::PathAndQuery::try_from(value).ok()).flatten();
        if parts.path_and_query.is_none() {
            return false;
        }
        uri::Uri::from_parts(parts).map(|uri| self.0.uri = uri).is_ok()
    }

    fn authority(&self) -> &[u8] {
        self.0.headers.get(HOST).map_or(b"", HeaderValue::as_bytes)
    }

    fn set_authority(&mut self, value: &[u8]) -> bool {
        let Ok(value) = uri::Authority::try_from(value).map(|a| HeaderValue::from_str(a.as_str())) else {
            return false;
        };
        value.map(|value| self.0.headers.insert(HOST, value)).is_ok()
    }

    fn scheme(&self) -> &[u8] {
        b"http"
    }
}

impl ResponseFields for ResponseParts {
    fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    fn set_status(&mut self, status: u16) {
        if let Ok(status) = StatusCode::from_u16(status) {
            self.0.status = status;
        }
    }
}
