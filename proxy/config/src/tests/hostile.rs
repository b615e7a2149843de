//! Text that means harm, and text that means nothing: every file ends in a plan or in errors, soon.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{BASE, Memory, problems, read, read_in};
use crate::Errors;

/// Sane errors: sorted, placed inside the file or right after it, and printable.
fn check(text: &str, errors: &Errors) {
    assert!(!errors.errors.is_empty());
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    for error in &errors.errors {
        assert!(error.at.line >= 1 && error.at.line <= lines + 1, "{error:?}");
        assert!(error.at.column >= 1, "{error:?}");
        assert!(!error.message.is_empty());
    }
    assert!(errors.errors.is_sorted_by_key(|error| (error.at.line, error.at.column)));
    assert!(!errors.to_string().is_empty());
}

fn soon(name: &str, text: &str) {
    let start = Instant::now();
    if let Err(errors) = read(text) {
        check(text, &errors);
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{name} took {took:?}");
}

#[test]
fn aliases_cannot_multiply() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..40 {
        let before = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 9].join(", ")));
    }
    let said = problems(&text);
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("too many or too large"), "{said:?}");
    // One large text, repeated.
    let text = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 1000].join(", "));
    assert!(problems(&text)[0].contains("too many or too large"));
}

#[test]
fn variables_cannot_multiply() {
    let world = Memory::new().with_env("X", &"x".repeat(1 << 20));
    let text = format!("{BASE}admin: \"{}\"\n", "${X}".repeat(10_000));
    assert!(read_in(&world, &text).unwrap_err().to_string().contains("too large"));
    let text = format!("{BASE}admin: [{}]\n", vec!["\"${X}\""; 10_000].join(", "));
    assert!(read_in(&world, &text).unwrap_err().to_string().contains("too large"));
}

#[test]
fn secrets_cannot_multiply() {
    let world = Memory::new().with_file("/etc/sluice/s", &"x".repeat(1 << 20));
    let text = format!(
        "{BASE}filters: {{ f: {{ source: {{ path: f }}, config: [{}] }} }}\n",
        vec!["{ file: s }"; 100].join(", ")
    );
    assert!(read_in(&world, &text).unwrap_err().to_string().contains("too large for a secret"));
}

#[test]
fn depth_is_bounded() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000)] {
        let said = problems(&text);
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("nested deeper") || said[0].contains("not valid YAML"), "{said:?}");
    }
    // Aliases count with their height.
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..100 {
        text.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(problems(&text)[0].contains("nested deeper"));
}

#[test]
fn size_is_bounded() {
    let text = format!("{BASE}#{}\n", "x".repeat(4 << 20));
    assert!(problems(&text)[0].contains("larger than 4MiB"));
}

#[test]
fn much_of_anything_ends_soon() {
    let many = |count: usize, one: fn(usize) -> String| (0..count).map(one).collect::<String>();
    soon("unknown keys", &many(100_000, |i| format!("key{i}: 1\n")));
    soon(
        "unknown filters",
        &format!(
            "filters:\n{}routes:\n{}",
            many(5_000, |i| format!("  filter{i}: {{ source: {{ path: a }} }}\n")),
            many(5_000, |i| format!("  - {{ match: {{ path: /{i} }}, filters: [filtre{i}] }}\n")),
        ),
    );
    soon("flow", &format!("a: [{}", "a,".repeat(1_000_000)));
    soon("open quotes", &format!("a: \"{}", "x\n".repeat(1_000_000)));
    soon("spaces", &format!("a:{}b", " ".repeat(4_000_000)));
    soon("question marks", &many(1_000_000, |_| "? a\n".to_owned()));
    soon("colons", &":".repeat(4_000_000));
    soon("plain words", &"a ".repeat(2_000_000));
    soon("anchors", &many(300_000, |i| format!("- &a{i} x\n")));
    soon("comments", &"#\n".repeat(2_000_000));
    soon("dashes", &"-\n".repeat(1_000_000));
    soon("duplicates", &"a: 1\n".repeat(200_000));
    soon("regular expression", &format!("{BASE}  - match: {{ path_regex: '(((a{{1000}}){{1000}}){{1000}})' }}\n"));
    soon("deep regular expression", &format!("routes: [{{ match: {{ path_regex: '{}' }} }}]", "(".repeat(1_000_000)));
}

/// Pieces that a file is made of, so that what is tried is often nearly right.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "listeners",
        "filters",
        "upstreams",
        "routes",
        "match",
        "path_regex",
        "respond",
        "tls",
        "limits",
        "config",
        "file",
        "env",
        "use",
        ": ",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{ ",
        " }",
        "[",
        "]",
        ", ",
        "\"",
        "'",
        "|\n",
        ">\n",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "---\n",
        "...\n",
        "? ",
        "#",
        "${X}",
        "${X:-",
        "}",
        "$$",
        "~",
        "true",
        "0x1F",
        "1e3",
        ".nan",
        "10ms",
        "64KiB",
        ":8080",
        "127.0.0.1:80",
        "*",
        "a",
        "\t",
        "\r\n",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "é",
        "\0",
        "%YAML 1.2\n",
        "<<",
    ];
    prop_oneof![
        8 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        if let Err(errors) = read(&text) {
            check(&text, &errors);
        }
    }

    #[test]
    fn pieces_are_answered(pieces in proptest::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        if let Err(errors) = read(&text) {
            check(&text, &errors);
        }
    }

    #[test]
    fn mutations_are_answered(
        file in proptest::sample::select(vec![
            include_str!("../../../../conf/routing.yaml"),
            include_str!("../../../../conf/upstreams.yaml"),
            include_str!("../../../../conf/capabilities.yaml"),
            include_str!("../../../../conf/secrets.yaml"),
            include_str!("../../../../conf/limits.yaml"),
        ]),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0..4_usize, piece()), 1..6),
    ) {
        let mut text: Vec<char> = file.chars().collect();
        for (place, removed, piece) in changes {
            let start = place.index(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(errors) = read(&text) {
            check(&text, &errors);
        }
    }
}
