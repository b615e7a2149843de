//! The wire form of header maps: a count, all lengths, then all bytes, each name and value followed by a NUL.
//!
//! ```text
//! u32 count · count × (u32 name_len, u32 value_len) · count × (name 0x00 value 0x00)      all little endian
//! ```
//! Decoding is strict: a malformed map is an error, never an empty map, so that no guest wipes headers by mistake.

use alloc::vec::Vec;

/// Most pairs that a guest may hand over in one map (the limit that Envoy's host has).
pub const MAX_PAIRS: usize = 1024;
/// Most bytes that a guest may hand over in one map (the limit that Envoy's host has).
pub const MAX_BYTES: usize = 1 << 20;

/// Why a map cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairsError {
    /// More than [`MAX_PAIRS`] pairs or [`MAX_BYTES`] bytes.
    TooLarge,
    /// Lengths, NULs and the total do not agree.
    Malformed,
}

/// A checked view of a map in its wire form; iterating it cannot fail.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Pairs<'a> {
    /// A map with nothing in it.
    pub const EMPTY: Pairs<'static> = Pairs { count: 0, bytes: &[] };

    /// Checks a map that came from a guest. The empty map may be zero bytes, one zero byte or a zero count.
    ///
    /// # Errors
    /// [`PairsError`] when a limit is passed or the lengths do not add up to exactly these bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PairsError> {
        if bytes.is_empty() || bytes == [0] {
            return Ok(Self::EMPTY);
        }
        if bytes.len() > MAX_BYTES {
            return Err(PairsError::TooLarge);
        }
        let count = read_u32(bytes, 0).ok_or(PairsError::Malformed)? as usize;
        if count > MAX_PAIRS {
            return Err(PairsError::TooLarge);
        }
        let mut at = 4 + 8 * count;
        for i in 0..count {
            for half in 0..2 {
                let len = read_u32(bytes, 4 + 8 * i + 4 * half).ok_or(PairsError::Malformed)? as usize;
                // `len` is at most u32::MAX and `at` at most the map's size, so this cannot overflow on 64 bits.
                let end = at.checked_add(len).ok_or(PairsError::Malformed)?;
                if bytes.get(end) != Some(&0) {
                    return Err(PairsError::Malformed);
                }
                at = end + 1;
            }
        }
        if at != bytes.len() {
            return Err(PairsError::Malformed);
        }
        Ok(Self { count, bytes })
    }

    /// Number of pairs.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Every pair in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let (bytes, count) = (self.bytes, self.count);
        let mut at = 4 + 8 * count;
        (0..count).map(move |i| {
            let mut next = |half: usize| -> &'a [u8] {
                let len = read_u32(bytes, 4 + 8 * i + 4 * half).unwrap_or(0) as usize;
                let part = bytes.get(at..at + len).unwrap_or(&[]);
                at += len + 1;
                part
            };
            let name = next(0);
            (name, next(1))
        })
    }
}

/// Shows every pair of a map to the function it is given.
pub type Visit<'a> = dyn Fn(&mut dyn FnMut(&[u8], &[u8])) + 'a;

/// Writes a map. `visit` is called twice and must show the same pairs both times.
///
/// An empty map writes nothing at all: that is what both SDKs read as empty.
pub fn encode(out: &mut Vec<u8>, visit: &Visit<'_>) {
    let start = out.len();
    let mut count = 0u32;
    out.extend_from_slice(&[0; 4]);
    visit(&mut |name, value| {
        count += 1;
        out.extend_from_slice(&(name.len() as u32).to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    });
    if count == 0 {
        out.truncate(start);
        return;
    }
    if let Some(head) = out.get_mut(start..start + 4) {
        head.copy_from_slice(&count.to_le_bytes());
    }
    visit(&mut |name, value| {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    });
}

/// Writes a map from a slice of pairs.
pub fn encode_slice<N: AsRef<[u8]>, V: AsRef<[u8]>>(out: &mut Vec<u8>, pairs: &[(N, V)]) {
    encode(out, &|f| pairs.iter().for_each(|(n, v)| f(n.as_ref(), v.as_ref())));
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(bytes: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, PairsError> {
        Pairs::decode(bytes).map(|p| p.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect())
    }

    #[test]
    fn the_worked_example_has_these_bytes() {
        let mut out = Vec::new();
        encode_slice(&mut out, &[("a", "1"), ("b", "22")]);
        assert_eq!(out, b"\x02\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0a\x001\0b\x0022\0");
    }

    #[test]
    fn the_empty_map_has_three_spellings_and_we_write_none_of_them() {
        for empty in [&b""[..], b"\0", b"\0\0\0\0"] {
            assert_eq!(decoded(empty), Ok(Vec::new()));
        }
        let mut out = Vec::new();
        encode_slice::<&str, &str>(&mut out, &[]);
        assert!(out.is_empty());
    }

    #[test]
    fn malformed_maps_are_errors() {
        let mut good = Vec::new();
        encode_slice(&mut good, &[("name", "value")]);
        for cut in 1..good.len() {
            assert_eq!(decoded(&good[..cut]), Err(PairsError::Malformed), "cut at {cut}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(decoded(&longer), Err(PairsError::Malformed));
        let mut no_nul = good.clone();
        *no_nul.last_mut().expect("not empty") = b'x';
        assert_eq!(decoded(&no_nul), Err(PairsError::Malformed));
        let mut huge_len = good;
        huge_len[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decoded(&huge_len), Err(PairsError::Malformed));
        assert_eq!(decoded(&[0xff; 4]), Err(PairsError::TooLarge));
        assert_eq!(decoded(&alloc::vec![0; MAX_BYTES + 1]), Err(PairsError::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pairs in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..20), proptest::collection::vec(any::<u8>(), 0..40)), 0..40)) {
            let mut out = Vec::new();
            encode_slice(&mut out, &pairs);
            prop_assert_eq!(decoded(&out), Ok(pairs));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(pairs) = decoded(&bytes) {
                let mut again = Vec::new();
                encode_slice(&mut again, &pairs);
                prop_assert!(again == bytes || pairs.is_empty());
            }
        }
    }
}
