//! Capability lists: `default`, `all`, or names.

use serde_json::{Value, json};

use crate::{
    net::host_port,
    node::{Kind, Node, Scalar},
    plan::{Grant, Position},
    reader::{Cx, Declared, Step, unique},
    shape::{Shape, or_variable},
};

/// A list of any names.
pub(crate) struct Listed(pub(crate) Grant);

/// A list of names that the world around must know.
pub(crate) struct Known(pub(crate) Grant);

/// A list of upstreams, or `host:port`, that callouts may reach.
pub(crate) struct Callouts(pub(crate) Grant);

impl Shape for Listed {
    fn title() -> String {
        "`default`, `all` or a list of names".into()
    }
    fn schema() -> Value {
        schema()
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        read(node, cx, |_, _, _| Some(())).map(Self)
    }
}

impl Shape for Known {
    fn title() -> String {
        Listed::title()
    }
    fn schema() -> Value {
        schema()
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let names = cx.key().and_then(|key| cx.world.capability(key));
        let known = |cx: &mut Cx<'_>, name: &Scalar, at: Position| {
            let Some(names) = names.as_ref().filter(|names| !names.contains(&name.text)) else { return Some(()) };
            let help = cx.similar(&name.text, names).unwrap_or_else(|| match names.len() {
                0..=20 => format!("known are {}", names.join(", ")),
                _ => "`sluice inspect --policy FILE` prints the names that a module needs".to_owned(),
            });
            cx.error(at, format!("`{}` is not known here", name.shown()), help)
        };
        read(node, cx, known).map(Self)
    }
}

impl Shape for Callouts {
    fn title() -> String {
        "`default`, `all` or a list of upstreams".into()
    }
    fn schema() -> Value {
        schema()
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let known = |cx: &mut Cx<'_>, name: &Scalar, at: Position| match host_port(&name.text) {
            Some(_) => Some(()),
            None => cx.refer(Declared::Upstream, name, at).map(|_| ()),
        };
        read(node, cx, known).map(Self)
    }
}

fn schema() -> Value {
    or_variable(json!({ "oneOf": [
        { "const": "default", "description": "What the host grants by itself." },
        { "const": "all", "description": "Everything." },
        {
            "type": "array",
            "items": { "type": "string", "minLength": 1 },
            "uniqueItems": true,
            "description": "These and nothing else; an empty list grants nothing."
        }
    ] }))
}

fn read(node: &Node, cx: &mut Cx<'_>, check: impl Fn(&mut Cx<'_>, &Scalar, Position) -> Option<()>) -> Option<Grant> {
    let expected = "`default`, `all` or a list of names";
    let items = match &node.kind {
        Kind::List(items) => items,
        Kind::Scalar(scalar) if scalar.text == "default" => return Some(Grant::Default),
        Kind::Scalar(scalar) if scalar.text == "all" => return Some(Grant::All),
        Kind::Scalar(scalar) => {
            let help = cx
                .similar(&scalar.text, &["default", "all"])
                .unwrap_or_else(|| format!("one name is a list too: `[{}]`", scalar.shown()));
            return cx.mismatch(node, expected, &help);
        }
        _ => return cx.mismatch(node, expected, "write `[name, name]`"),
    };
    let read = |cx: &mut Cx<'_>, item: &Node| {
        let scalar = cx.string(item, "a name", "")?;
        match scalar.text.as_str() {
            "" => cx.error(item.at, "this name is empty", ""),
            word @ ("default" | "all") => cx.error(
                item.at,
                format!("`{word}` stands alone, not in a list"),
                format!("write it without brackets: `{word}`"),
            ),
            name => check(cx, scalar, item.at).map(|()| name.to_owned()),
        }
    };
    let names: Vec<Option<String>> = items
        .iter()
        .enumerate()
        .map(|(index, item)| cx.within(Step::Index(index), item.at, |cx| read(cx, item)))
        .collect();
    unique(cx, node);
    names.into_iter().collect::<Option<Vec<String>>>().map(Grant::Only)
}
