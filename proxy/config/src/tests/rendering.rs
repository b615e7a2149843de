//! How errors look, and that schema and reader know the same keys.

use serde_json::{Value, json};

use super::{problems, read};
use crate::schema;

#[test]
fn errors_point_at_their_word() {
    let text = "listeners:\n  - addres: :8080\n    tls: true\nroutes: [{ respond: {} }]\n";
    let rendered = read(text).unwrap_err().to_string();
    let expected = "\
error: unknown key `addres`
 --> sluice.yaml:2:5
  |
2 |   - addres: :8080
  |     ^^^^^^
  = help: did you mean `address`?

error: `address` is missing
 --> sluice.yaml:2:5
  |
2 |   - addres: :8080
  |     ^^^^^^
  = help: it takes an address `IP:port` or `:port`

error: expected a mapping with the keys cert, key, found `true`
 --> sluice.yaml:3:10
  |
3 |     tls: true
  |          ^^^^
";
    assert_eq!(rendered, expected);
}

#[test]
fn errors_as_json() {
    let errors = read("listeners: [{ address: :8080 }]\nroutes: [{ respond: {} }]\nadmn: 1\n").unwrap_err();
    assert_eq!(
        errors.to_json(),
        json!({ "file": "sluice.yaml", "errors": [{
            "line": 3, "column": 1, "path": "admn", "message": "unknown key `admn`", "help": "did you mean `admin`?"
        }] })
    );
}

#[test]
fn a_file_cannot_steer_the_terminal() {
    let long = "x".repeat(5000);
    let rendered = read(&format!("\u{9b}31m: 1\n{long}: \"\\e[31m\"\n")).unwrap_err().to_string();
    assert!(!rendered.contains(|c: char| c.is_control() && c != '\n'), "{rendered:?}");
    let rendered = read(&format!("{long}: \"\\e[31m\"\n")).unwrap_err().to_string();
    assert!(!rendered.contains(|c: char| c.is_control() && c != '\n'), "{rendered:?}");
    assert!(rendered.lines().all(|line| line.len() < 400), "{rendered}");
}

/// An unknown key is answered with the keys that the reader knows; the schema must list the same, everywhere.
#[test]
fn schema_and_reader_know_the_same_keys() {
    let places = [
        ("", "qqqqqqqq: 1", "/properties"),
        ("listeners: [{ ", "qqqqqqqq: 1 }]", "/properties/listeners/items/properties"),
        ("listeners: [{ tls: { ", "qqqqqqqq: 1 } }]", "/properties/listeners/items/properties/tls/properties"),
        ("filters: { f: { ", "qqqqqqqq: 1 } }", "/properties/filters/additionalProperties/properties"),
        ("upstreams: { u: { ", "qqqqqqqq: 1 } }", "/properties/upstreams/additionalProperties/properties"),
        ("routes: [{ ", "qqqqqqqq: 1 }]", "/properties/routes/items/properties"),
        ("routes: [{ match: { ", "qqqqqqqq: 1 } }]", "/properties/routes/items/properties/match/properties"),
        ("routes: [{ respond: { ", "qqqqqqqq: 1 } }]", "/properties/routes/items/properties/respond/properties"),
        ("server: { ", "qqqqqqqq: 1 }", "/properties/server/properties"),
        ("server: { guests: { ", "qqqqqqqq: 1 } }", "/properties/server/properties/guests/properties"),
        ("server: { shared: { ", "qqqqqqqq: 1 } }", "/properties/server/properties/shared/properties"),
        ("reload: { ", "qqqqqqqq: 1 }", "/properties/reload/properties"),
        ("admin: { ", "qqqqqqqq: 1 }", "/properties/admin/anyOf/1/properties"),
        ("telemetry: { ", "qqqqqqqq: 1 }", "/properties/telemetry/properties"),
    ];
    let schema = schema();
    for (before, after, pointer) in places {
        let properties = schema.pointer(pointer).and_then(Value::as_object).unwrap_or_else(|| panic!("{pointer}"));
        let listed: Vec<&str> = properties.keys().map(String::as_str).collect();
        let said = problems(&format!("{before}{after}\n"));
        let help = format!("known keys here: {})", listed.join(", "));
        assert!(said.iter().any(|line| line.ends_with(&help)), "{pointer}: {said:#?}");
    }
}

#[test]
fn every_key_is_described() {
    fn walk(schema: &Value, path: &str) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            assert!(property["description"].as_str().is_some_and(|text| text.len() > 5), "{path}");
            walk(property, &path);
        }
        for part in ["items", "additionalProperties"] {
            if schema[part].is_object() {
                walk(&schema[part], path);
            }
        }
        for part in schema["anyOf"].as_array().into_iter().flatten() {
            walk(part, path);
        }
    }
    walk(&schema(), "");
}
