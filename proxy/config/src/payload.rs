//! What is handed to a guest as it is: its configuration and environment, with secrets read from files.

use serde_json::{Value, json};

use crate::{
    node::{Kind, Node, Typed},
    reader::{Cx, Step},
    scalar::Words,
    shape::Shape,
};

/// Most bytes of one secret file.
const MAX_SECRET: usize = 1 << 20;
/// Most bytes of all secret files together.
const MAX_SECRETS: usize = 16 << 20;

/// Bytes for a guest: a mapping, list, number or boolean becomes compact JSON, a string passes as it is.
pub(crate) struct Payload(pub(crate) String);

impl Shape for Payload {
    fn title() -> String {
        "a string, or any value (handed over as JSON), or `{ file: PATH }`".into()
    }
    fn schema() -> Value {
        // Anything: a filter's configuration is its author's business.
        json!({})
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        Some(Self(match json(node, cx)? {
            Value::String(text) => text,
            // `config:` with every key commented out.
            Value::Null => String::new(),
            value => value.to_string(),
        }))
    }
}

/// A value of the environment: text, or the content of a file.
pub(crate) struct EnvValue(pub(crate) String);

impl Shape for EnvValue {
    fn title() -> String {
        "a string or `{ file: PATH }`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [Words::schema(), {
            "type": "object",
            "additionalProperties": false,
            "required": ["file"],
            "properties": { "file": { "title": "a path, relative to this file", "type": "string", "description": "A file that holds the value." } }
        }] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Some(file) = secret(node) {
            return read_secret(file, cx).map(Self);
        }
        let Kind::Scalar(_) = &node.kind else {
            return cx.mismatch(node, &Self::title(), "");
        };
        Words::read(node, cx).map(|Words(text)| Self(text))
    }
}

/// The inside of `{ file: PATH }`, which has that one key and a string under it.
fn secret(node: &Node) -> Option<&Node> {
    match node.entries() {
        [entry] if entry.key == "file" && matches!(entry.value.kind, Kind::Scalar(_)) => {
            (!entry.value.is_null()).then_some(&entry.value)
        }
        _ => None,
    }
}

fn read_secret(file: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let Kind::Scalar(scalar) = &file.kind else {
        return None;
    };
    let path = cx.resolve(&scalar.text);
    let mut text = match cx.world.read(&path) {
        Ok(text) => text,
        Err(why) => {
            let help = "relative paths begin at the folder of this file";
            return cx.error(file.at, format!("cannot read `{}`: {why}", scalar.shown()), help);
        }
    };
    if !cx.secret_files.contains(&path) {
        cx.secret_files.push(path);
    }
    cx.secret_bytes = cx.secret_bytes.saturating_add(text.len());
    if text.len() > MAX_SECRET || cx.secret_bytes > MAX_SECRETS {
        return cx.error(
            file.at,
            format!("`{}` is too large for a secret", scalar.shown()),
            "at most 1MiB a file, 16MiB in all",
        );
    }
    // Editors and `echo` end a file with one newline that is no part of the secret.
    let kept = text.strip_suffix('\n').map_or(text.len(), |text| text.strip_suffix('\r').unwrap_or(text).len());
    text.truncate(kept);
    Some(text)
}

/// The value as JSON, its keys in file order.
fn json(node: &Node, cx: &mut Cx<'_>) -> Option<Value> {
    if let Some(file) = secret(node) {
        return read_secret(file, cx).map(Value::String);
    }
    match &node.kind {
        Kind::Broken => None,
        Kind::Scalar(scalar) => match scalar.typed() {
            Typed::Null => Some(Value::Null),
            Typed::Bool(value) => Some(Value::Bool(value)),
            Typed::Number(number) => Some(Value::Number(number)),
            Typed::NoNumber => {
                cx.error(node.at, format!("JSON cannot say `{}`", scalar.shown()), "quote it if it is meant as text")
            }
            Typed::Text(text) => Some(Value::String(text.to_owned())),
        },
        Kind::List(items) => {
            let items = items.iter().enumerate();
            let values: Vec<Option<Value>> =
                items.map(|(index, item)| cx.within(Step::Index(index), item.at, |cx| json(item, cx))).collect();
            values.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
        }
        Kind::Map(entries) => {
            let values: Vec<Option<(String, Value)>> = entries
                .iter()
                .map(|entry| {
                    let value = cx.within(Step::Key(entry.key.clone()), entry.at, |cx| json(&entry.value, cx));
                    Some((entry.key.clone(), value?))
                })
                .collect();
            values.into_iter().collect::<Option<serde_json::Map<String, Value>>>().map(Value::Object)
        }
    }
}
