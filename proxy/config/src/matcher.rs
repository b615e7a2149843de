//! `match:`: what a request must look like.

use regex::RegexBuilder;
use serde_json::{Value, json};

use crate::{
    declare::section,
    net::{FieldValue, Header, Verb, is_host},
    node::Node,
    plan::{self, HostMatch, PathMatch},
    reader::{Cx, Step, unique},
    shape::{List, Map, Shape},
};

/// Most memory of one compiled expression, bytes.
const MAX_REGEX: usize = 1 << 20;

section! {
    /// What a request must look like; all given keys must hold
    Match, check one_path {
        /// Host without port: a name, `*.example.com` for everything below it, or `*` for any.
        host: Host = "*",
        /// The path, exactly.
        path: Option<Path>,
        /// This path and everything below it, by whole segments: `/api` matches `/api/x`, not `/apix`. Without any path key: `/`.
        path_prefix: Option<Path>,
        /// A regular expression that matches the whole path.
        path_regex: Option<Pattern>,
        /// Methods; any when absent.
        methods: Option<List<Verb, 1>>,
        /// Header fields and the values wanted; `"*"` is any value.
        headers: Map<Header, FieldValue>,
    }
}

fn one_path(node: &Node, cx: &mut Cx<'_>) {
    let given =
        node.entries().iter().filter(|entry| matches!(entry.key.as_str(), "path" | "path_prefix" | "path_regex"));
    let given: Vec<_> = given.collect();
    if let [first, others @ ..] = given.as_slice() {
        for other in others {
            let message = format!("`{}` and `{}` exclude each other", first.key, other.key);
            cx.key_error(other, message, "keep one of `path`, `path_prefix` and `path_regex`");
        }
    }
    if let Some(methods) = node.entry("methods") {
        cx.within(Step::Key(methods.key.clone()), methods.at, |cx| unique(cx, &methods.value));
    }
}

/// Which hosts.
pub(crate) struct Host(HostMatch);

impl Shape for Host {
    fn title() -> String {
        "a host name, `*.suffix` or `*`".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.string(node, &Self::title(), "")?;
        let text = scalar.text.to_ascii_lowercase();
        if text == "*" {
            return Some(Self(HostMatch::Any));
        }
        if let Some(suffix) = text.strip_prefix('*')
            && suffix.strip_prefix('.').is_some_and(is_host)
        {
            return Some(Self(HostMatch::Wildcard(suffix.to_owned())));
        }
        let ip = text.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        if is_host(&text) || ip.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()) {
            return Some(Self(HostMatch::Exact(text)));
        }
        let help = if text.contains("://") {
            "write the host alone, without the scheme".to_owned()
        } else if let Some((host, _)) = text.rsplit_once(':').filter(|(host, _)| is_host(host)) {
            format!("write the host without port: `{host}`")
        } else if text.contains('*') {
            "a `*` stands alone or as the first label: `*.example.com`".to_owned()
        } else if !text.is_ascii() {
            "write the name as it travels, in punycode (`xn--…`)".to_owned()
        } else {
            "write a name such as `example.com`".to_owned()
        };
        cx.error(node.at, format!("`{}` is not {}", scalar.shown(), Self::title()), help)
    }
}

/// A path as requests have it.
pub(crate) struct Path(pub(crate) String);

impl Shape for Path {
    fn title() -> String {
        "a path that begins with `/`".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "pattern": r"^(/[^?#]*|.*\$\{.*)$" })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.string(node, &Self::title(), "")?;
        let text = &scalar.text;
        let help = if !text.starts_with('/') {
            "begin it with `/`"
        } else if text.contains(['?', '#']) {
            "the query is no part of what is matched: remove it"
        } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            "write a space as `%20`"
        } else if text.contains('*') {
            "a `*` has no meaning here; use `path_prefix` or `path_regex`"
        } else {
            return Some(Self(text.clone()));
        };
        cx.error(node.at, format!("`{}` is not a path", scalar.shown()), help)
    }
}

/// A regular expression that compiles.
pub(crate) struct Pattern(String);

impl Shape for Pattern {
    fn title() -> String {
        "a regular expression".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.string(node, &Self::title(), "")?;
        let anchored = format!("^(?:{})$", scalar.text);
        // Both: `a)(b` is wrong by itself and right once it is wrapped.
        let compiled = [scalar.text.as_str(), &anchored]
            .into_iter()
            .try_for_each(|text| RegexBuilder::new(text).size_limit(MAX_REGEX).build().map(|_| ()));
        let why = match compiled {
            Ok(()) if !scalar.text.is_empty() => return Some(Self(scalar.text.clone())),
            Ok(()) => "it is empty".to_owned(),
            Err(regex::Error::CompiledTooBig(_)) => "it is too large".to_owned(),
            // The message draws the expression first and says what is wrong with it in its last line.
            Err(error) => {
                let text = error.to_string();
                text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        };
        let help = "syntax: https://docs.rs/regex; look-around and back-references are not part of it";
        cx.error(node.at, format!("`{}` is not a regular expression: {why}", scalar.shown()), help)
    }
}

impl Match {
    pub(crate) fn plan(self) -> plan::Match {
        let path = match (self.path, self.path_regex, self.path_prefix) {
            (Some(Path(path)), ..) => PathMatch::Exact(path),
            (_, Some(Pattern(regex)), _) => PathMatch::Regex(regex),
            (.., Some(Path(prefix))) => match prefix.trim_end_matches('/') {
                "" => PathMatch::default(),
                // Segment by segment, a slash at the end adds nothing.
                prefix => PathMatch::Prefix(prefix.to_owned()),
            },
            _ => PathMatch::default(),
        };
        let wanted = |value: String| (value != "*").then_some(value);
        plan::Match {
            host: self.host.0,
            path,
            methods: self.methods.map(|list| list.0.into_iter().map(|verb| verb.0).collect()).unwrap_or_default(),
            headers: self.headers.0.into_iter().map(|(name, _, value)| (name.0, wanted(value.0))).collect(),
        }
    }
}

/// A match in words, for logs: `GET,HEAD example.com/api/* x-a=1`.
pub(crate) fn describe(matcher: &plan::Match) -> String {
    let mut methods: Vec<&str> = matcher.methods.iter().map(String::as_str).collect();
    methods.sort_unstable();
    let mut words = if methods.is_empty() { String::new() } else { methods.join(",") + " " };
    match &matcher.host {
        HostMatch::Any => {}
        HostMatch::Exact(host) => words.push_str(host),
        HostMatch::Wildcard(suffix) => words.push_str(&format!("*{suffix}")),
    }
    match &matcher.path {
        PathMatch::Exact(path) => words.push_str(path),
        PathMatch::Prefix(prefix) => words.push_str(&format!("{}/*", prefix.trim_end_matches('/'))),
        PathMatch::Regex(regex) => words.push_str(&format!("~{regex}")),
    }
    let mut headers: Vec<String> =
        matcher.headers.iter().map(|(name, value)| format!(" {name}={}", value.as_deref().unwrap_or("*"))).collect();
    headers.sort_unstable();
    words + &headers.concat()
}
