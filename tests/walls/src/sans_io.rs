//! The host has no I/O: no clock, file, socket, environment or thread of its own, also not through the standard library.

use crate::repo::{files, text};

/// Beginnings of paths that the host must not name, and what to use in their place.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::time::Instant", "Outside::monotonic"),
    ("std::time::SystemTime", "Outside::wall_clock"),
    ("std::fs", "bytes that the embedder read"),
    ("std::net::Tcp", "a value that the embedder sends"),
    ("std::net::Udp", "a value that the embedder sends"),
    ("std::os::unix::net", "a value that the embedder sends"),
    ("std::env", "a field of FilterSpec"),
    ("std::process", "nothing: a host starts no program"),
    ("std::thread::spawn", "the embedder's threads"),
    ("std::thread::Builder", "the embedder's threads"),
    ("std::thread::sleep", "a Step"),
    ("std::io::std", "Outside::log"),
];

/// Every path below `std` that a file names, with the lists of its `use` taken apart. Comments do not count.
fn paths(source: &str) -> Vec<String> {
    let code: Vec<&str> = source.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code: String = code.join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("std::") {
        let end = code[at..].find([';', '(', ')', '=', '!', '&', '|', '#', '?']);
        flatten("", &code[at..at + end.unwrap_or(code.len() - at)], &mut found);
    }
    found
}

/// `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn flatten(before: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{').filter(|open| tree[..*open].trim_end().ends_with("::")) else {
        let path: String = tree.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
        found.push(format!("{before}{path}"));
        return;
    };
    let before = format!("{before}{}", tree[..open].trim());
    let (mut depth, mut start) = (0, open + 1);
    for (at, c) in tree.char_indices().skip_while(|(at, _)| *at < open) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if (c == ',' && depth == 1) || depth == 0 {
            flatten(&before, &tree[start..at], found);
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
}

#[test]
fn the_host_asks_the_outside() {
    let mut broken = Vec::new();
    for path in files("proxy/host/src") {
        let Some(source) = text(&path) else { continue };
        for named in paths(&source) {
            for (forbidden, instead) in FORBIDDEN.iter().filter(|(forbidden, _)| named.starts_with(forbidden)) {
                broken.push(format!("{path} names {named} ({forbidden}); it has {instead}"));
            }
        }
    }
    assert!(broken.is_empty(), "the host is sans-I/O:\n{}", broken.join("\n"));
}

#[test]
fn lists_are_taken_apart() {
    let source = "use std::{\n    collections::BTreeMap,\n    time::{Duration, Instant},\n};\n// std::fs\nlet a = std::env::var(\"A\");";
    let found = paths(source);
    for wanted in ["std::collections::BTreeMap", "std::time::Duration", "std::time::Instant", "std::env::var"] {
        assert!(found.iter().any(|path| path == wanted), "{wanted} in {found:?}");
    }
    assert!(!found.iter().any(|path| path.starts_with("std::fs")), "{found:?}");
}
