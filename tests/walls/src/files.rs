//! How files look: each opens with a sentence, and those of the product stay short enough to be read at once.

use crate::repo::{files, text};

/// Most lines of a file of the product.
const MOST_LINES: usize = 500;
/// Where the product lives.
const PRODUCT: [&str; 3] = ["proxy/", "sdk/", "filters/"];

/// A source file: its path and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn lines(&self) -> usize {
        self.text.lines().count()
    }
}

/// Rust, Go and shell, the last also by its first line.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for path in files("") {
        let by_name = [".rs", ".go", ".sh"].iter().any(|end| path.ends_with(end));
        // Names without a dot can be scripts; other kinds of files are not worth opening.
        let no_dot = !path.rsplit('/').next().unwrap_or_default().contains('.');
        if (by_name || no_dot)
            && let Some(text) = text(&path)
            && (by_name || text.starts_with("#!"))
        {
            found.push(Source { path, text });
        }
    }
    found
}

/// The comment at the top: `//!` or `//` in Rust, `//` in Go, `#` after the `#!` in shell. Without marks.
fn opening(source: &Source) -> String {
    let marks: &[&str] = if source.path.ends_with(".rs") {
        &["//!", "//"]
    } else if source.path.ends_with(".go") {
        &["//"]
    } else {
        &["#"]
    };
    let mut words = String::new();
    for line in source.text.lines().skip_while(|line| line.starts_with("#!")) {
        let Some(rest) = marks.iter().find_map(|mark| line.strip_prefix(mark)) else {
            break;
        };
        if rest.trim().is_empty() {
            break;
        }
        words.push_str(rest);
    }
    words.trim().to_owned()
}

/// Three words at least, with an end.
fn is_sentence(text: &str) -> bool {
    text.split_whitespace().count() >= 3 && text.contains(['.', ':'])
}

#[test]
fn every_file_opens_with_a_sentence() {
    let silent: Vec<String> =
        sources().iter().filter(|source| !is_sentence(&opening(source))).map(|source| source.path.clone()).collect();
    assert!(silent.is_empty(), "no sentence at the top that says what the file is for:\n{}", silent.join("\n"));
}

#[test]
fn product_files_stay_short() {
    let mut sources = sources();
    sources.sort_by_key(|source| std::cmp::Reverse(source.lines()));
    println!("the ten largest source files:");
    for source in sources.iter().take(10) {
        println!("{:6}  {}", source.lines(), source.path);
    }
    let long: Vec<String> = sources
        .iter()
        .filter(|source| PRODUCT.iter().any(|folder| source.path.starts_with(folder)))
        .filter(|source| source.lines() > MOST_LINES)
        .map(|source| format!("{}: {} lines", source.path, source.lines()))
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines; find the seam and cut there:\n{}", long.join("\n"));
}

#[test]
fn an_opening_is_told_from_code() {
    let opens = |path: &str, text: &str| is_sentence(&opening(&Source { path: path.into(), text: text.into() }));
    assert!(opens("a.rs", "//! Reads a file: nothing more.\nuse a;"));
    assert!(opens("a", "#!/bin/sh\n# Builds every guest.\nset -e"));
    assert!(!opens("a.rs", "use a;\n//! Reads a file: nothing more."));
    assert!(!opens("a.go", "// main.go\npackage main"));
}
