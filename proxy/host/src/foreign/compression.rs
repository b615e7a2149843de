//! `compress` and `uncompress`: zlib's format, as in Envoy.

use std::io::Read;

use flate2::{
    Compression,
    bufread::{ZlibDecoder, ZlibEncoder},
};

use super::{Answer, Failure};

/// Most bytes that come out of one call: a small input may stand for any number of zeros.
const MAX: u64 = 16 << 20;

pub(crate) fn compress(data: &[u8]) -> Answer {
    read(ZlibEncoder::new(data, Compression::default()))
}

pub(crate) fn uncompress(data: &[u8]) -> Answer {
    read(ZlibDecoder::new(data))
}

fn read(from: impl Read) -> Answer {
    let mut out = Vec::new();
    from.take(MAX + 1).read_to_end(&mut out).map_err(|e| Failure::data(e.to_string()))?;
    if out.len() as u64 > MAX {
        return Err(Failure::data("more than 16 MiB would come out of it, which is the limit"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for data in [&b""[..], b"a", &[7; 100_000]] {
            let small = compress(data).expect("compresses");
            assert_eq!(uncompress(&small).expect("it was made so"), data);
        }
        assert!(compress(&[7; 100_000]).expect("compresses").len() < 1000);
    }

    #[test]
    fn nonsense_and_bombs_are_refused() {
        assert!(uncompress(b"this is no zlib").is_err());
        let mut bomb = compress(&[0; 1 << 20]).expect("compresses");
        bomb.truncate(bomb.len() / 2);
        assert!(uncompress(&bomb).is_err(), "cut off");
        let bomb = compress(&vec![0; (16 << 20) + 1]);
        assert!(uncompress(&bomb.expect("it is small")).is_err_and(|e| e.why.contains("16 MiB")));
    }
}
