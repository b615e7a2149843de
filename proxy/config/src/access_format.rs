//! How a line of the access log looks: a word, or a text with names in braces, taken apart once.

use serde_json::{Value, json};

use crate::{
    node::Node,
    plan::{AccessFormat, Field, Piece},
    reader::{Cx, shorten},
    shape::Shape,
};

/// What `human` means.
const HUMAN: &str = "{time} {client} \"{method} {path} {protocol}\" {status} {bytes_sent}b {duration_us}us host={host} \
                     route=\"{route}\" upstream={upstream_address} filters={filters} error=\"{error_details}\"";
const REQUEST: &str = "request.header.";
const RESPONSE: &str = "response.header.";

/// `json`, `human`, or a text with names in braces.
pub(crate) struct Format(pub(crate) AccessFormat);

impl Shape for Format {
    fn title() -> String {
        "`json`, `human`, or a text with names in braces such as `{time} {status}`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [{ "enum": ["json", "human"] }, { "type": "string", "pattern": "\\{" }] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = &cx.string(node, &Self::title(), "")?.text;
        let words = ["json", "human"];
        let format = match text.as_str() {
            "json" => return Some(Self(AccessFormat::Json)),
            "human" => HUMAN,
            text if !text.contains('{') => {
                let help = cx.similar(text, &words).unwrap_or_default();
                return cx.mismatch(node, &Self::title(), &help);
            }
            text => text,
        };
        match pieces(format) {
            Ok(pieces) => Some(Self(AccessFormat::Line { text: text.clone(), pieces })),
            Err(Wrong::Open(rest)) => cx.error(
                node.at,
                format!("a brace is not closed: `{}`", shorten(rest)),
                "a name stands between `{` and `}`; a brace itself is written twice",
            ),
            Err(Wrong::Close) => cx.error(node.at, "a `}` has no `{` before it", "a brace itself is written twice"),
            Err(Wrong::Line) => cx.error(
                node.at,
                "a format has control characters in it",
                "each request is one line, which ends by itself",
            ),
            Err(Wrong::Header(name)) => {
                cx.error(node.at, format!("`{}` is not the name of a header field", shorten(name)), "")
            }
            Err(Wrong::Name(name)) => {
                let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
                let help = cx.similar(name, &names);
                let all = || format!("known are {}, {REQUEST}NAME, {RESPONSE}NAME", names.join(", "));
                let help = help.unwrap_or_else(all);
                cx.error(node.at, format!("`{}` is not known of a request", shorten(name)), help)
            }
        }
    }
}

/// What is wrong with a format.
#[derive(Debug, PartialEq, Eq)]
enum Wrong<'a> {
    Open(&'a str),
    Close,
    Line,
    Name(&'a str),
    Header(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece>, Wrong<'_>> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Wrong::Line);
    }
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        plain.push_str(before);
        let brace_itself = ["{{", "}}"].into_iter().find(|twice| brace.starts_with(twice));
        if let Some(twice) = brace_itself {
            plain.push_str(&twice[1..]);
            rest = &brace[2..];
            continue;
        }
        let inside = brace.strip_prefix('{').ok_or(Wrong::Close)?;
        let (name, after) = inside.split_once('}').ok_or(Wrong::Open(brace))?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(piece(name)?);
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

fn piece(name: &str) -> Result<Piece, Wrong<'_>> {
    let header = |header: &str| match is_token(header) {
        true => Ok(header.to_ascii_lowercase()),
        false => Err(Wrong::Header(name)),
    };
    if let Some(field) = Field::ALL.iter().find(|field| field.name() == name) {
        return Ok(Piece::Field(*field));
    }
    if let Some(rest) = name.strip_prefix(REQUEST) {
        return header(rest).map(Piece::RequestHeader);
    }
    if let Some(rest) = name.strip_prefix(RESPONSE) {
        return header(rest).map(Piece::ResponseHeader);
    }
    Err(Wrong::Name(name))
}

/// What RFC 9110 lets a name be.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_taken_apart_once() {
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(
            pieces("a {status}{{x}} {request.header.User-Agent}"),
            Ok(vec![text("a "), Piece::Field(Field::Status), text("{x} "), Piece::RequestHeader("user-agent".into())])
        );
        assert_eq!(pieces("{response.header.x}"), Ok(vec![Piece::ResponseHeader("x".into())]));
        assert!(pieces(HUMAN).is_ok());
    }

    #[test]
    fn the_page_of_logs_has_every_field() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/logging.md");
        let page = std::fs::read_to_string(path).expect("docs/logging.md is there");
        for field in Field::ALL {
            let row = format!("| `{}` | {} |", field.name(), field.doc());
            assert!(page.lines().any(|line| line == row), "{row}");
        }
        assert!(page.contains(HUMAN), "what `human` means: {HUMAN}");
    }

    #[test]
    fn what_is_wrong_with_it_is_found() {
        assert_eq!(pieces("x {status"), Err(Wrong::Open("{status")));
        assert_eq!(pieces("x } y"), Err(Wrong::Close));
        assert_eq!(pieces("{stats}"), Err(Wrong::Name("stats")));
        assert_eq!(pieces("{request.header.a b}"), Err(Wrong::Header("request.header.a b")));
        assert_eq!(pieces("{status}\n"), Err(Wrong::Line));
        assert_eq!(pieces("{é}"), Err(Wrong::Name("é")));
    }
}
