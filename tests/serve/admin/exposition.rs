//! A reader of the text format of Prometheus that takes nothing which it does not have to.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{Command, Stdio},
};

/// Values by name and labels, as they stand there.
pub struct Exposition(BTreeMap<String, f64>);

impl Exposition {
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "it is cut");
        let (mut series, mut types) = (BTreeMap::new(), BTreeMap::<&str, &str>::new());
        let (mut family, mut done) = ("", BTreeSet::new());
        for line in text.split_terminator('\n') {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                assert!(done.insert(rest.split_once(' ').unwrap().0), "a family stands there twice: {line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(types.insert(name, kind).is_none() && done.contains(name), "{line}");
                family = name;
            } else {
                let (key, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = key.split_once('{').map_or((key, None), |(name, labels)| (name, Some(labels)));
                assert!(is_name(name), "{line}");
                let ending = name.strip_prefix(family).expect("a line of its family");
                let known: &[&str] = if types[family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(known.contains(&ending), "{line}");
                labels.inspect(|labels| read_labels(labels));
                assert!(series.insert(key.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
            }
        }
        promtool(text);
        Self(series)
    }

    /// The value of a series; 0 when it is not there.
    pub fn value(&self, key: &str) -> f64 {
        self.0.get(key).copied().unwrap_or(0.0)
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `name="value",name="value"}`.
fn read_labels(mut rest: &str) {
    let mut names = BTreeSet::new();
    loop {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(is_name(name) && names.insert(name), "{rest}");
        let mut bytes = value.bytes().enumerate();
        let end = loop {
            match bytes.next().expect("the value ends") {
                (_, b'\\') => assert!(matches!(bytes.next(), Some((_, b'\\' | b'"' | b'n'))), "{value}"),
                (at, b'"') => break at,
                _ => {}
            }
        };
        match &value[end + 1..] {
            "}" => return,
            more => rest = more.strip_prefix(',').unwrap(),
        }
    }
}

/// Prometheus's own reader, where it is installed; ours above is there in any case.
fn promtool(text: &str) {
    let child = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        eprintln!("promtool is not installed: only this reader has read the page");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    // 3: it reads, and it would be named otherwise.
    assert!(matches!(child.wait().unwrap().code(), Some(0 | 3)));
}
