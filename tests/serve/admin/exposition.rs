//! A reader of the text format of Prometheus that takes nothing which it does not have to.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::Admin;

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

    /// Reads `/metrics` until these series have these values: what is counted at the end of a request may come after its
    /// answer.
    pub fn wait(admin: Admin, wanted: &[(&str, f64)]) -> Self {
        let began = Instant::now();
        loop {
            let text = admin.get("/metrics").text();
            let there = |(key, value): &(&str, f64)| {
                text.lines().any(|l| l.strip_prefix(key).is_some_and(|v| v.trim().parse() == Ok(*value)))
            };
            if wanted.iter().all(there) {
                return Self::read(&text);
            }
            let missing: Vec<_> = wanted.iter().filter(|wanted| !there(wanted)).collect();
            assert!(began.elapsed() < Duration::from_secs(30), "never there: {missing:?}\n{text}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.len()
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

/// Prometheus's own reader, which has nothing to say against the page.
fn promtool(text: &str) {
    let child =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("promtool is missing: install it (Debian: apt-get install prometheus)");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}
