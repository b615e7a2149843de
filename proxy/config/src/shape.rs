//! What a value may look like: each type says it once, for the reader, the JSON schema and the messages.

use serde_json::{Map as Object, Value, json};

use crate::{
    node::{Kind, Node},
    plan::Position,
    reader::{Cx, Step},
};

/// A type that can be read from the file and described in the schema.
pub(crate) trait Shape: Sized {
    /// What a person calls it, with its article: `a duration from 1ms to 1h`.
    fn title() -> String;

    /// JSON Schema of what `read` accepts.
    fn schema() -> Value;

    /// The value; `None` after an error was recorded.
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// The value when the file says nothing; `None` makes its key required.
    fn absent(_cx: &mut Cx<'_>, _at: Position) -> Option<Self> {
        None
    }

    /// Whether the schema lists its key as required (unless the section gives a default).
    fn required() -> bool {
        true
    }
}

/// A mapping with known keys; made by [`section!`](crate::section).
pub(crate) trait Section: Shape {
    const ABOUT: &'static str;
    fn names() -> Vec<&'static str>;
    fn keys() -> Vec<Key>;
}

/// One key of a section.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) doc: String,
    pub(crate) default: Option<&'static str>,
    pub(crate) required: bool,
    pub(crate) title: String,
    pub(crate) schema: Value,
}

/// Schema of a section from its keys.
pub(crate) fn object(about: &str, keys: Vec<Key>) -> Value {
    let mut properties = Object::new();
    let mut required = Vec::new();
    for key in keys {
        if key.required {
            required.push(key.name);
        }
        let mut schema = Object::new();
        schema.insert("title".into(), key.title.into());
        schema.insert("description".into(), key.doc.into());
        if let Some(default) = key.default {
            let node = Node::default(default, Position::default());
            schema.insert("default".into(), node.to_json());
        }
        if let Value::Object(shape) = key.schema {
            for (name, value) in shape {
                schema.entry(name).or_insert(value);
            }
        }
        properties.insert(key.name.into(), Value::Object(schema));
    }
    let mut schema = json!({
        "type": "object",
        "description": about,
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A value that is no plain string may also be written as text with a variable in it.
pub(crate) fn or_variable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "$ref": "#/$defs/variable" }] })
}

/// Joins the lines of a doc comment.
pub(crate) fn doc(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

impl<T: Shape> Shape for Option<T> {
    fn title() -> String {
        T::title()
    }
    fn schema() -> Value {
        T::schema()
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        T::read(node, cx).map(Some)
    }
    fn absent(_cx: &mut Cx<'_>, _at: Position) -> Option<Self> {
        Some(None)
    }
    fn required() -> bool {
        false
    }
}

/// A list of at least `MIN` entries. Entries that are wrong are left out after their error.
pub(crate) struct List<T, const MIN: usize = 0>(pub(crate) Vec<T>);

impl<T: Shape, const MIN: usize> Shape for List<T, MIN> {
    fn title() -> String {
        let entry = T::title();
        format!("a list, each entry {entry}")
    }
    fn schema() -> Value {
        let mut schema = json!({ "type": "array", "items": T::schema() });
        if MIN > 0 {
            schema["minItems"] = MIN.into();
        } else {
            // `services:` with every entry commented out.
            schema["type"] = json!(["array", "null"]);
        }
        schema
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ if node.is_null() => &[],
            _ => {
                return cx.mismatch(node, &Self::title(), "write `[a, b]`, or one entry a line after `- `");
            }
        };
        if items.len() < MIN {
            return cx.error(node.at, "this list is empty", format!("each entry is {}", T::title()));
        }
        let read = items.iter().enumerate();
        let read = read.map(|(index, item)| cx.within(Step::Index(index), item.at, |cx| T::read(item, cx)));
        let read: Vec<Option<T>> = read.collect();
        read.into_iter().collect::<Option<Vec<T>>>().map(Self)
    }
    fn absent(_cx: &mut Cx<'_>, _at: Position) -> Option<Self> {
        (MIN == 0).then(|| Self(Vec::new()))
    }
    fn required() -> bool {
        MIN > 0
    }
}

/// What stands left of the colon in a mapping with free keys.
pub(crate) trait Label: Sized {
    fn read(key: &str, at: Position, cx: &mut Cx<'_>) -> Option<Self>;
    /// Schema of the key, when it is more than any string.
    fn schema() -> Option<Value>;
}

/// A mapping with free keys, in file order; `at` is the position of the key.
pub(crate) struct Map<K, V>(pub(crate) Vec<(K, Position, V)>);

impl<K: Label, V: Shape> Shape for Map<K, V> {
    fn title() -> String {
        let value = V::title();
        format!("a mapping from names to values, each value {value}")
    }
    fn schema() -> Value {
        let mut schema = json!({ "type": ["object", "null"], "additionalProperties": V::schema() });
        if let Some(key) = K::schema() {
            schema["propertyNames"] = key;
        }
        schema
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let entries = match &node.kind {
            Kind::Map(entries) => entries.as_slice(),
            _ if node.is_null() => &[],
            _ => return cx.mismatch(node, &Self::title(), "write one `name: value` a line"),
        };
        let mut read = Some(Vec::with_capacity(entries.len()));
        for entry in entries {
            let pair = cx.within(Step::Key(entry.key.clone()), entry.at, |cx| {
                // Both are read, so that an error in the key does not hide one in the value.
                let (key, value) = (K::read(&entry.key, entry.at, cx), V::read(&entry.value, cx));
                Some((key?, entry.at, value?))
            });
            match (pair, &mut read) {
                (Some(pair), Some(read)) => read.push(pair),
                _ => read = None,
            }
        }
        read.map(Self)
    }
    fn absent(_cx: &mut Cx<'_>, _at: Position) -> Option<Self> {
        Some(Self(Vec::new()))
    }
    fn required() -> bool {
        false
    }
}
