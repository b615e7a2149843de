//! The two halves of a message as a filter sees them, and a response it can give itself.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType};

/// Headers or trailers, living in the proxy: each call reads or changes the message itself.
///
/// Names are compared without regard to case. A value need not be UTF-8; the reading calls that give text replace what
/// is not, so a hostile header cannot make a filter panic. Writing is possible in the callback these came with.
pub struct Headers(MapType);

impl Headers {
    pub(crate) fn new(map: MapType) -> Self {
        Headers(map)
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_bytes(name).map(text)
    }

    /// The first value of that name, as it came.
    pub fn get_bytes(&self, name: &str) -> Option<Vec<u8>> {
        hostcalls::get_map_value_bytes(self.0, name).ok().flatten()
    }

    /// All pairs in the order of the message, pseudo headers first, one pair for each line of a repeated header.
    pub fn pairs(&self) -> Vec<(String, Vec<u8>)> {
        hostcalls::get_map_bytes(self.0).unwrap_or_default()
    }

    /// Every value of that name; reading only the first of a repeated header is how checks are bypassed.
    pub fn get_all(&self, name: &str) -> Vec<String> {
        let same = |(key, value): (String, Vec<u8>)| key.eq_ignore_ascii_case(name).then(|| text(value));
        self.pairs().into_iter().filter_map(same).collect()
    }

    /// Replaces all values of that name by this one.
    pub fn set(&self, name: &str, value: impl AsRef<[u8]>) {
        // The proxy-wasm crate gives only Ok here or ends the guest.
        let _ = hostcalls::set_map_value_bytes(self.0, name, Some(value.as_ref()));
    }

    /// Adds one more value of that name.
    pub fn add(&self, name: &str, value: impl AsRef<[u8]>) {
        let _ = hostcalls::add_map_value_bytes(self.0, name, value.as_ref());
    }

    /// Removes all values of that name; it need not be there.
    pub fn remove(&self, name: &str) {
        let _ = hostcalls::remove_map_value(self.0, name);
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
}

/// The bytes of a body that are readable in this callback.
pub struct Body {
    buffer: BufferType,
    size: usize,
}

impl Body {
    pub(crate) fn request(size: usize) -> Self {
        Body { buffer: BufferType::HttpRequestBody, size }
    }

    pub(crate) fn response(size: usize) -> Self {
        Body { buffer: BufferType::HttpResponseBody, size }
    }

    /// How many bytes there were when the callback began.
    pub fn len(&self) -> usize {
        self.size
    }

    /// True for a last chunk without bytes.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Copies them into the filter.
    pub fn read(&self) -> Vec<u8> {
        hostcalls::get_buffer(self.buffer, 0, usize::MAX).ok().flatten().unwrap_or_default()
    }

    /// Puts these bytes in the place of all of them.
    pub fn replace(&self, bytes: impl AsRef<[u8]>) {
        let _ = hostcalls::set_buffer(self.buffer, 0, usize::MAX, bytes.as_ref());
    }

    /// Puts these bytes after them.
    pub fn append(&self, bytes: impl AsRef<[u8]>) {
        let _ = hostcalls::set_buffer(self.buffer, usize::MAX, 0, bytes.as_ref());
    }

    /// Puts these bytes before them.
    pub fn prepend(&self, bytes: impl AsRef<[u8]>) {
        let _ = hostcalls::set_buffer(self.buffer, 0, 0, bytes.as_ref());
    }
}

/// A response that the filter gives itself.
pub struct Response {
    status: u32,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// A response with that status code, without headers or body.
    pub fn new(status: u16) -> Self {
        Response { status: status.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body; the proxy writes its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn send(self) {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let _ = hostcalls::send_http_response(self.status, headers, Some(&self.body));
    }
}
