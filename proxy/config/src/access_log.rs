//! `telemetry.access_log:`: where the line of each request goes, how it looks, and what is left out of it.

use serde_json::{Value, json};

use crate::{
    access_format::Format,
    declare::{choice, section},
    node::Node,
    plan::{self, AccessTo, Redact},
    reader::Cx,
    scalar::{FilePath, Text},
    shape::{List, Shape},
    telemetry::{is_off, off},
};

/// Signatures of cloud storage, and what secrets are usually called.
const QUERY: &[&str] = &[
    "sig",
    "*signature*",
    "x-amz-*",
    "x-goog-*",
    "awsaccesskeyid",
    "*token*",
    "*secret*",
    "*passw*",
    "pwd",
    "*credential*",
    "key",
    "*_key",
    "*-key",
    "*apikey*",
    "auth",
    "authorization",
    "code",
    "jwt",
    "session*",
];
/// Fields that let their holder in.
const HEADERS: &[&str] =
    &["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-amz-security-token"];

impl Redact {
    /// What is left out unless a file says otherwise.
    pub fn usual() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self { query: owned(QUERY), headers: owned(HEADERS) }
    }
}

section! {
    /// The access log
    AccessParts {
        /// Which way it goes.
        to: AccessTo = "path",
        /// `stdout`, or a file, which is opened again at SIGUSR1.
        path: FilePath = "stdout",
        /// How a line looks.
        format: Format = "json",
        /// What is not written.
        redact: RedactParts = "{}",
    }
}

section! {
    /// What the access log does not write; in its place stands `REDACTED`
    RedactParts {
        /// Query parameters: `default`, `none`, `all`, or names, in which `*` stands for any text; case does not matter.
        query: Query = "default",
        /// Header fields, for formats that name them: `default` or names.
        headers: Headers = "default",
    }
}

choice!(AccessTo {
    "path" => AccessTo::Path, "Lines to standard output or a file.";
    "otlp" => AccessTo::Otlp, "Log records to the collector of `telemetry.otlp`.";
});

/// `off`, or where and how.
pub(crate) struct Access(pub(crate) Option<plan::AccessLog>);

impl Shape for Access {
    fn title() -> String {
        "`off`, or `{ to, path, format, redact }`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [off(), AccessParts::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Self(None));
        }
        if let Some(text) = node.text() {
            let help = cx.similar(text, &["off"]).unwrap_or_else(|| "write `{ path: stdout }`".to_owned());
            return cx.mismatch(node, &Self::title(), &help);
        }
        let stdout = node.get("path").is_none_or(|path| path.text() == Some("stdout"));
        let parts = AccessParts::read(node, cx)?;
        let at = parts.at;
        if let (AccessTo::Otlp, Some(path)) = (parts.to, node.get("path")) {
            return cx.error(path.at, "`path` is only for `to: path`", "leave one of the two out");
        }
        let path = (!stdout).then_some(parts.path.0);
        let redact = Redact { query: parts.redact.query.0, headers: parts.redact.headers.0 };
        Some(Self(Some(plan::AccessLog { to: parts.to, path, format: parts.format.0, redact, at })))
    }
}

/// Names of query parameters.
pub(crate) struct Query(Vec<String>);

/// Names of header fields.
pub(crate) struct Headers(Vec<String>);

impl Shape for Query {
    fn title() -> String {
        "`default`, `none`, `all` or a list of names".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [{ "enum": ["default", "none", "all"] }, List::<Text>::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let words = [("default", QUERY), ("none", &[]), ("all", &["*"])];
        names(node, cx, &words, &Self::title()).map(Self)
    }
}

impl Shape for Headers {
    fn title() -> String {
        "`default` or a list of names".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [{ "const": "default" }, List::<Text>::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        names(node, cx, &[("default", HEADERS)], &Self::title()).map(Self)
    }
}

/// A word for a list, or a list, in lower case.
fn names(node: &Node, cx: &mut Cx<'_>, words: &[(&str, &[&str])], title: &str) -> Option<Vec<String>> {
    let Some(text) = node.text() else {
        let listed = List::<Text>::read(node, cx)?.0;
        return Some(listed.into_iter().map(|name| name.0.to_lowercase()).collect());
    };
    if let Some((_, names)) = words.iter().find(|(word, _)| *word == text) {
        return Some(names.iter().map(|name| (*name).to_owned()).collect());
    }
    let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let help = cx.similar(text, &known).unwrap_or_else(|| format!("a list of one is `[{text}]`"));
    cx.mismatch(node, title, &help)
}
