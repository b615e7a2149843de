//! Plain values: text, names, yes and no, numbers, paths.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    node::{Kind, Node, Typed},
    plan::Position,
    reader::Cx,
    shape::{Label, Shape, or_variable},
};

/// Any text.
pub(crate) struct Text(pub(crate) String);

impl Shape for Text {
    fn title() -> String {
        "a string".into()
    }
    fn schema() -> Value {
        json!({ "type": "string" })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        cx.string(node, "a string", "").map(|scalar| Self(scalar.text.clone()))
    }
}

/// Text where a number or a boolean means its own spelling, as in `PORT: 8080`.
pub(crate) struct Words(pub(crate) String);

impl Shape for Words {
    fn title() -> String {
        "a string".into()
    }
    fn schema() -> Value {
        json!({ "type": ["string", "number", "boolean"] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.typed() != Typed::Null => Some(Self(scalar.text.clone())),
            _ => cx.mismatch(node, "a string", "an empty string is written \"\""),
        }
    }
}

impl Shape for bool {
    fn title() -> String {
        "`true` or `false`".into()
    }
    fn schema() -> Value {
        or_variable(json!({ "type": "boolean" }))
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Kind::Scalar(scalar) = &node.kind
            && let Typed::Bool(value) = scalar.loose()
        {
            return Some(value);
        }
        let help = match node.text().map(str::to_lowercase).as_deref() {
            Some("true" | "false") => "write it without quotes",
            Some("yes" | "on") => "write `true`",
            Some("no" | "off") => "write `false`",
            _ => "",
        };
        cx.mismatch(node, "`true` or `false`", help)
    }
}

/// A whole number.
pub(crate) struct Int<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Shape for Int<MIN, MAX> {
    fn title() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }
    fn schema() -> Value {
        or_variable(json!({ "type": "integer", "minimum": MIN, "maximum": MAX }))
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Kind::Scalar(scalar) = &node.kind
            && let Typed::Number(number) = scalar.loose()
        {
            return match number.as_u64().filter(|value| (MIN..=MAX).contains(value)) {
                Some(value) => Some(Self(value)),
                None => cx.error(
                    node.at,
                    format!("`{}` is out of range", scalar.shown()),
                    format!("it takes {}", Self::title()),
                ),
            };
        }
        let quoted = node.text().is_some_and(|text| text.parse::<u64>().is_ok());
        cx.mismatch(node, &Self::title(), if quoted { "write it without quotes" } else { "" })
    }
}

/// A number of cores, in parts.
pub(crate) struct Cores(pub(crate) f64);

impl Shape for Cores {
    fn title() -> String {
        "a number of cores from 0.01 to 1024".into()
    }
    fn schema() -> Value {
        or_variable(json!({ "type": "number", "minimum": 0.01, "maximum": 1024 }))
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let help = "`0.5` is half a core";
        let Kind::Scalar(scalar) = &node.kind else { return cx.mismatch(node, &Self::title(), help) };
        let Typed::Number(number) = scalar.loose() else { return cx.mismatch(node, &Self::title(), help) };
        match number.as_f64().filter(|cores| (0.01..=1024.0).contains(cores)) {
            Some(cores) => Some(Self(cores)),
            None => cx.error(
                node.at,
                format!("`{}` is out of range", scalar.shown()),
                format!("it takes {}", Self::title()),
            ),
        }
    }
}

/// A share from 0.0 to 1.0.
pub(crate) struct Share(pub(crate) f64);

impl Shape for Share {
    fn title() -> String {
        "a share from 0.0 to 1.0".into()
    }
    fn schema() -> Value {
        or_variable(json!({ "type": "number", "minimum": 0, "maximum": 1 }))
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Kind::Scalar(scalar) = &node.kind else {
            return cx.mismatch(node, &Self::title(), "");
        };
        let percent = scalar.text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        if let Some(percent) = percent {
            let help = format!("a share is written without `%`: {}", percent / 100.0);
            return cx.error(node.at, format!("`{}` is not {}", scalar.shown(), Self::title()), help);
        }
        match scalar.loose() {
            Typed::Number(number) => match number.as_f64().filter(|share| (0.0..=1.0).contains(share)) {
                Some(share) => Some(Self(share)),
                None => cx.error(
                    node.at,
                    format!("`{}` is out of range", scalar.shown()),
                    format!("it takes {}", Self::title()),
                ),
            },
            _ => cx.mismatch(node, &Self::title(), ""),
        }
    }
}

/// A path; a relative one starts at the folder of the configuration file.
pub(crate) struct FilePath(pub(crate) PathBuf);

impl Shape for FilePath {
    fn title() -> String {
        "a path, relative to this file".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.string(node, "a path", "")?;
        if scalar.text.is_empty() || scalar.text.contains('\0') {
            return cx.error(node.at, "this path is empty", "");
        }
        Some(Self(cx.resolve(&scalar.text)))
    }
}

/// What a filter or an upstream is called.
pub(crate) struct Name(pub(crate) String);

impl Label for Name {
    fn read(key: &str, at: Position, cx: &mut Cx<'_>) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let starts = key.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts && key.len() <= 64 && key.chars().all(fits) {
            return Some(Self(key.to_owned()));
        }
        let help = "a name has up to 64 letters, digits, `-`, `_` and `.`, and begins with a letter or a digit";
        cx.error(at, format!("`{}` is not a name", crate::reader::shorten(key)), help)
    }
    fn schema() -> Option<Value> {
        Some(json!({ "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" }))
    }
}

/// Any key that is not empty.
pub(crate) struct Free(pub(crate) String);

impl Label for Free {
    fn read(key: &str, at: Position, cx: &mut Cx<'_>) -> Option<Self> {
        if key.is_empty() || key.contains('=') || key.contains('\0') {
            return cx.error(
                at,
                format!("`{}` cannot be a name here", crate::reader::shorten(key)),
                "it is empty or has a `=`",
            );
        }
        Some(Self(key.to_owned()))
    }
    fn schema() -> Option<Value> {
        Some(json!({ "pattern": "^[^=]+$" }))
    }
}
