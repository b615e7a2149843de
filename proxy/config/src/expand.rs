//! `${NAME}` and `${NAME:-default}` in values; `$$` is one `$`.

use crate::{
    node::{Kind, Node},
    reader::{Cx, Step},
};

/// Most text that expansion may add to a file, bytes.
const MAX_ADDED: usize = 16 << 20;

/// Expands every value below `node`; keys stay as they are.
pub(crate) fn expand(node: &mut Node, cx: &mut Cx<'_>) {
    let mut added = 0;
    walk(node, cx, &mut added);
}

fn walk(node: &mut Node, cx: &mut Cx<'_>, added: &mut usize) {
    match &mut node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                let (key, at) = (entry.key.clone(), entry.at);
                cx.within(Step::Key(key), at, |cx| walk(&mut entry.value, cx, added));
            }
        }
        Kind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let at = item.at;
                cx.within(Step::Index(index), at, |cx| walk(item, cx, added));
            }
        }
        Kind::Scalar(scalar) if scalar.text.contains('$') => match text(&scalar.text, cx) {
            Ok(expanded) => {
                *added = added.saturating_add(expanded.len());
                if *added > MAX_ADDED {
                    cx.error::<()>(node.at, "the expanded variables of this file are too large", "");
                    node.kind = Kind::Broken;
                    return;
                }
                scalar.written = Some(std::mem::replace(&mut scalar.text, expanded));
            }
            Err((message, help)) => {
                cx.error::<()>(node.at, message, help);
                node.kind = Kind::Broken;
            }
        },
        Kind::Scalar(_) | Kind::Broken => {}
    }
}

/// The text with its variables put in, or a message and a help.
fn text(text: &str, cx: &Cx<'_>) -> Result<String, (String, String)> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, after) = rest.split_at(dollar);
        out.push_str(before);
        let after = after.get(1..).unwrap_or_default();
        if let Some(escaped) = after.strip_prefix('$') {
            out.push('$');
            rest = escaped;
        } else if let Some(inside) = after.strip_prefix('{') {
            let (body, behind) = inside.split_once('}').ok_or_else(|| {
                ("`${` without `}`".to_owned(), "a literal `$` before `{` is written `$$`".to_owned())
            })?;
            out.push_str(&variable(body, cx)?);
            rest = behind;
        } else {
            // A lone `$` stays: it ends many regular expressions.
            out.push('$');
            rest = after;
        }
        if out.len() > MAX_ADDED {
            return Err(("the expanded variables of this value are too large".to_owned(), String::new()));
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(body: &str, cx: &Cx<'_>) -> Result<String, (String, String)> {
    let (name, default) = body.split_once(":-").map_or((body, None), |(name, default)| (name, Some(default)));
    let valid =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.starts_with(|c: char| !c.is_ascii_digit());
    if !valid {
        return Err((
            format!("`${{{}}}` names no environment variable", crate::reader::shorten(body)),
            "write `${NAME}` or `${NAME:-default}`; a literal `${` is written `$${`".to_owned(),
        ));
    }
    // As in a shell, `:-` also replaces a variable that is set and empty.
    match (cx.world.env(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err((
            format!("the environment variable `{name}` is not set"),
            format!("set it, or give a default: `${{{name}:-value}}`"),
        )),
    }
}
