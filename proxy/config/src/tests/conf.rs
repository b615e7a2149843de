//! The files of `conf/`: each parses, and its reference says what the schema says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{Plan, Source, World, parse, schema};

/// The machine, without its environment.
struct Disk;

impl World for Disk {
    fn env(&self, _name: &str) -> Option<String> {
        None
    }
    fn read(&self, path: &Path) -> Result<String, String> {
        fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf")
}

fn load(path: &Path) -> Plan {
    let text = fs::read_to_string(path).unwrap();
    let name = path.display().to_string();
    parse(Source { text: &text, name: &name, dir: path.parent().unwrap() }, &Disk)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_file_parses() {
    let mut files = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let plan = load(&path);
            assert!(!plan.routes.is_empty(), "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= 9, "{files}");
}

#[test]
fn the_quickstart_says_what_it_promises() {
    let plan = load(&folder().join("quickstart.yaml"));
    assert_eq!(plan.filters.len(), 2);
    assert_eq!(plan.filters[0].config, r#"{"greeting":"hello from rust"}"#);
    assert_eq!(plan.filters[1].config, r#"{"greeting":"hello from go"}"#);
    assert_eq!(plan.routes[0].filters.len(), 2);
    assert_eq!(plan.listeners[0].address.to_string(), "127.0.0.1:8080");
}

#[test]
fn secrets_lose_their_last_newline_and_are_watched() {
    let plan = load(&folder().join("secrets.yaml"));
    assert_eq!(plan.filters[0].env["TOKEN"], "not-a-real-token");
    assert_eq!(plan.filters[0].env["PRICE"], "5 $");
    assert_eq!(plan.routes[1].filters[0].config.as_deref(), Some(r#"{"greeting":"hello from a file"}"#));
    assert_eq!(plan.secret_files.len(), 2);
}

/// `BLESS=1 cargo test -p sluice-config` writes the table anew.
#[test]
fn the_reference_says_what_the_schema_says() {
    const BEGIN: &str = "<!-- reference: made from the schema by `BLESS=1 cargo test -p sluice-config` -->\n";
    let path = folder().join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, table) = text.split_once(BEGIN).unwrap();
    let made = reference(&schema());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{made}")).unwrap();
    } else {
        assert!(table == made, "conf/README.md is not what the schema says; run BLESS=1 cargo test -p sluice-config");
    }
}

fn reference(schema: &Value) -> String {
    let mut out = String::new();
    for (name, section) in schema["properties"].as_object().unwrap() {
        out.push_str(&format!("\n## `{name}`\n\n{}\n\n", text(&section["description"])));
        out.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
        let before = out.len();
        rows(section, name, &mut out);
        if out.len() == before {
            row(section, name, false, &mut out);
        }
    }
    out
}

/// One row for each key below `schema`, in file order.
fn rows(schema: &Value, path: &str, out: &mut String) {
    if let Some(properties) = schema["properties"].as_object() {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (key, property) in properties {
            let path = format!("{path}.{key}");
            row(property, &path, required.contains(&key.as_str().into()), out);
            rows(property, &path, out);
        }
    }
    if schema["items"].is_object() {
        rows(&schema["items"], &format!("{path}[]"), out);
    }
    if schema["additionalProperties"].is_object() {
        rows(&schema["additionalProperties"], &format!("{path}.NAME"), out);
    }
    for form in schema["anyOf"].as_array().into_iter().flatten() {
        rows(form, path, out);
    }
}

fn row(schema: &Value, path: &str, required: bool, out: &mut String) {
    let default = match &schema["default"] {
        Value::Null if required => "required".to_owned(),
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Object(_) => "see below".to_owned(),
        value => format!("`{value}`"),
    };
    let kind = match text(&schema["title"]) {
        title if title.starts_with("a mapping with the key") => "a mapping".to_owned(),
        title => title.replace('|', "\\|"),
    };
    let mut meaning = text(&schema["description"]).to_owned();
    for word in schema["anyOf"][0]["oneOf"].as_array().into_iter().flatten().filter(|word| word["const"].is_string()) {
        meaning.push_str(&format!(" `{}`: {}", text(&word["const"]), text(&word["description"])));
    }
    out.push_str(&format!("| `{path}` | {kind} | {default} | {meaning} |\n"));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
