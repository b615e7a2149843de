//! The tree of a YAML text in which every value knows its line and column.

use saphyr::{Scalar as Core, ScalarStyle};
use serde_json::{Number, Value};

use crate::plan::Position;

/// One value of the file.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Its error is recorded already; readers say nothing more about it.
    Broken,
}

/// One key of a mapping and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) value: Node,
}

/// A value without parts.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// The text as the file has it, when a `${…}` in it was expanded: what came from the environment is never shown.
    pub(crate) written: Option<String>,
    /// Written without quotes (and without `!!str`), so the text decides the type.
    pub(crate) plain: bool,
}

/// A scalar by the core schema of YAML 1.2.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Typed<'a> {
    Null,
    Bool(bool),
    Number(Number),
    /// `.inf` and `.nan`, which JSON cannot say.
    NoNumber,
    Text(&'a str),
}

impl Scalar {
    pub(crate) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), written: None, plain: true }
    }

    /// As `typed`, where only a number or a boolean can be meant: what came out of a variable may stand in quotes,
    /// which `{ workers: "${N}" }` cannot do without.
    pub(crate) fn loose(&self) -> Typed<'_> {
        if self.written.is_some() { core(&self.text) } else { self.typed() }
    }

    pub(crate) fn typed(&self) -> Typed<'_> {
        if !self.plain {
            return Typed::Text(&self.text);
        }
        core(&self.text)
    }

    /// The text as the file has it, for messages.
    pub(crate) fn shown(&self) -> String {
        let text = self.written.as_ref().unwrap_or(&self.text);
        let mut short: String = text.chars().take(60).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        short
    }
}

/// What a text is without quotes.
fn core(text: &str) -> Typed<'_> {
    // Larger than i64 and still exact.
    if let Ok(number) = text.parse::<u64>() {
        return Typed::Number(number.into());
    }
    match Core::parse_from_cow_and_metadata(text.into(), ScalarStyle::Plain, None) {
        Some(Core::Null) => Typed::Null,
        Some(Core::Boolean(value)) => Typed::Bool(value),
        Some(Core::Integer(value)) => Typed::Number(value.into()),
        Some(Core::FloatingPoint(value)) => Number::from_f64(*value).map_or(Typed::NoNumber, Typed::Number),
        Some(Core::String(_)) | None => Typed::Text(text),
    }
}

impl Node {
    /// The value of a default, read by the same rules as the file.
    pub(crate) fn default(text: &str, at: Position) -> Self {
        let kind = match text {
            "{}" => Kind::Map(Vec::new()),
            "[]" => Kind::List(Vec::new()),
            "" => Kind::Scalar(Scalar { plain: false, ..Scalar::plain("") }),
            text => Kind::Scalar(Scalar::plain(text)),
        };
        Self { at, kind }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Null)
    }

    /// A scalar that is something: names may look like numbers.
    pub(crate) fn name(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.typed() != Typed::Null => Some(scalar),
            _ => None,
        }
    }

    /// The text when this is a scalar, whatever its type.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The value under `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What stands here, for "expected …, found …".
    pub(crate) fn found(&self) -> String {
        match &self.kind {
            Kind::Map(_) => "a mapping".into(),
            Kind::List(_) => "a list".into(),
            Kind::Broken => "a broken value".into(),
            Kind::Scalar(scalar) => match scalar.typed() {
                Typed::Null => "nothing".into(),
                Typed::Bool(_) => format!("`{}`", scalar.shown()),
                Typed::Number(_) | Typed::NoNumber => format!("the number `{}`", scalar.shown()),
                Typed::Text(_) => format!("the string `{}`", scalar.shown()),
            },
        }
    }

    /// The value of a default as JSON, for the schema.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar(scalar) => match scalar.typed() {
                Typed::Null | Typed::NoNumber => Value::Null,
                Typed::Bool(value) => Value::Bool(value),
                Typed::Number(number) => Value::Number(number),
                Typed::Text(text) => Value::String(text.to_owned()),
            },
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
            Kind::Broken => Value::Null,
        }
    }
}
