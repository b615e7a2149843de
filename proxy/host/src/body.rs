//! The bytes of a body that a filter can read: one chunk is passed on uncopied, held chunks are joined.

use bytes::{Bytes, BytesMut};

/// Bytes of one direction, readable by one filter.
#[derive(Debug, Default)]
pub struct Body {
    bytes: Bytes,
    changed: bool,
}

impl Body {
    /// How many bytes are readable.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Puts a chunk behind what is held; a first chunk is not copied.
    pub fn append(&mut self, chunk: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = chunk;
        } else if !chunk.is_empty() {
            let mut joined = self.unshared(chunk.len());
            joined.extend_from_slice(&chunk);
            self.bytes = joined.freeze();
        }
    }

    /// At most `max` bytes from `start`; empty when `start` lies behind the end.
    pub fn slice(&self, start: usize, max: usize) -> Bytes {
        let start = start.min(self.bytes.len());
        self.bytes.slice(start..start + max.min(self.bytes.len() - start))
    }

    /// Puts `value` in place of `size` bytes from `start`. `(0, 0)` puts it before all, a `start` at or behind the end
    /// puts it behind all, and a `size` that reaches too far is cut (`proxy_set_buffer_bytes`).
    pub fn replace(&mut self, start: usize, size: usize, value: &[u8]) {
        self.changed = true;
        let len = self.bytes.len();
        let start = start.min(len);
        let end = start.saturating_add(size).min(len);
        if start == 0 && end == len {
            self.bytes = Bytes::copy_from_slice(value);
            return;
        }
        let mut out = BytesMut::with_capacity(len - (end - start) + value.len());
        out.extend_from_slice(&self.bytes[..start]);
        out.extend_from_slice(value);
        out.extend_from_slice(&self.bytes[end..]);
        self.bytes = out.freeze();
    }

    /// Whether a filter changed the bytes since they were taken last.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Takes everything out.
    pub fn take(&mut self) -> Bytes {
        self.changed = false;
        std::mem::take(&mut self.bytes)
    }

    /// The bytes as a buffer that can grow, without a copy when nobody else holds them.
    fn unshared(&mut self, more: usize) -> BytesMut {
        let mut buffer = std::mem::take(&mut self.bytes).try_into_mut().unwrap_or_else(|shared| {
            let mut copy = BytesMut::with_capacity((shared.len() + more).max(2 * shared.len()));
            copy.extend_from_slice(&shared);
            copy
        });
        buffer.reserve(more);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(parts: &[&str]) -> Body {
        let mut body = Body::default();
        parts.iter().for_each(|p| body.append(Bytes::copy_from_slice(p.as_bytes())));
        body
    }

    #[test]
    fn reads_are_clamped_and_never_overflow() {
        let b = body(&["hello ", "world"]);
        assert_eq!(b.slice(0, usize::MAX), "hello world");
        assert_eq!(b.slice(6, u32::MAX as usize), "world");
        assert_eq!(b.slice(11, 1), "");
        assert_eq!(b.slice(usize::MAX, usize::MAX), "");
    }

    #[test]
    fn replace_means_what_the_sdks_mean() {
        for (start, size, value, wanted) in [
            (0, 0, "A", "Aabc"),                 // prepend
            (i32::MAX as usize, 0, "A", "abcA"), // append
            (0, i32::MAX as usize, "A", "A"),    // replace all
            (0, 1, "XY", "XYbc"),                // a part
            (1, 99, "", "a"),                    // cut
            (0, usize::MAX, "", ""),
        ] {
            let mut b = body(&["abc"]);
            b.replace(start, size, value.as_bytes());
            assert_eq!(b.slice(0, 99), wanted, "{start} {size} {value}");
            assert!(b.changed());
        }
    }

    #[test]
    fn one_chunk_is_passed_on_uncopied() {
        let chunk = Bytes::from(vec![1; 100]);
        let mut b = Body::default();
        b.append(chunk.clone());
        assert_eq!(b.take().as_ptr(), chunk.as_ptr());
    }
}
