//! Pure readers: header maps, property paths, and configuration files.

use std::path::Path;

use sluice_abi::{pairs, path};
use sluice_config::{Memory, Source, parse};

/// A map that can be read is written as it was; a path's segments, joined, are the path.
pub fn codecs(data: &[u8]) {
    if let Ok(read) = pairs::Pairs::decode(data) {
        let list: Vec<(&[u8], &[u8])> = read.iter().collect();
        assert_eq!(list.len(), read.len());
        let mut written = Vec::new();
        pairs::encode_slice(&mut written, &list);
        assert!(written == data || (list.is_empty() && written.is_empty()), "{data:?} became {written:?}");
    }
    let joined = path::segments(data).collect::<Vec<_>>().join(&0);
    assert!(joined == data || [&joined[..], &[0]].concat() == data, "{data:?} became {joined:?}");
}

/// A configuration is read, or every mistake in it is said with a place that is in the file.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let source = Source { text, name: "fuzz.yaml", dir: Path::new("/etc/sluice") };
    if let Err(errors) = parse(source, &Memory::new()) {
        assert!(!errors.to_string().is_empty());
    }
}
