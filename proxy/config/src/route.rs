//! `routes:`: which requests pass which filters to which upstream.

use serde_json::{Value, json};

use crate::{
    declare::section,
    matcher::{Match, describe},
    net::{FieldValue, Header},
    node::{Kind, Node},
    payload::Payload,
    plan::{self, Action},
    reader::{Cx, Declared, shorten},
    scalar::{Free, Int, Text, Words},
    shape::{List, Map, Shape},
};

section! {
    /// One route
    Route, check one_action {
        /// Name for logs and spans; derived from the match when absent.
        name: Option<RouteName>,
        /// What a request must look like.
        r#match: Matcher = "{}",
        /// The chain, in order; responses pass it backwards.
        filters: List<Use>,
        /// Properties that filters of this route can read.
        properties: Map<Free, Words>,
        /// Where the request goes: a name under `upstreams`.
        upstream: Option<UpstreamRef>,
        /// The proxy answers by itself.
        respond: Option<Respond>,
    }
}

section! {
    /// One filter in a chain, with a configuration of its own
    UseParts {
        /// A name under `filters`.
        r#use: FilterRef,
        /// Replaces the `config` of the filter on this route.
        config: Option<Payload>,
    }
}

section! {
    /// An answer of the proxy itself
    Respond, check body_allowed {
        /// Status.
        status: Int<200, 599> = "200",
        /// Header fields, in order.
        headers: Map<Header, FieldValue>,
        /// The body.
        body: Text = "",
    }
}

fn one_action(route: &Node, cx: &mut Cx<'_>) {
    match (route.get("upstream"), route.entry("respond")) {
        (Some(_), Some(respond)) => {
            cx.key_error(respond, "`upstream` and `respond` exclude each other", "keep one of them");
        }
        (None, None) => {
            let help = "add `upstream: NAME`, or `respond: { status: 404 }`";
            cx.error::<()>(cx.here(), "this route has neither `upstream` nor `respond`", help);
        }
        _ => {}
    }
}

fn body_allowed(respond: &Node, cx: &mut Cx<'_>) {
    let status = respond.get("status").and_then(Node::text);
    if let (Some(status @ ("204" | "205" | "304")), Some(body)) = (status, respond.entry("body"))
        && body.value.text().is_some_and(|text| !text.is_empty())
    {
        cx.key_error(body, format!("an answer {status} has no body"), "remove `body`, or answer 200");
    }
}

/// A match; the very same one may stand once in a file.
pub(crate) struct Matcher(plan::Match);

impl Shape for Matcher {
    fn title() -> String {
        Match::title()
    }
    fn schema() -> Value {
        Match::schema()
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let matcher = Match::read(node, cx)?.plan();
        // The order of methods and header fields means nothing.
        let mut key = matcher.clone();
        key.methods.sort_unstable();
        key.headers.sort_unstable();
        let at = cx.here();
        if let Some(first) = cx.once("match", format!("{key:?}"), at) {
            let help = format!("the first is on line {}; it would answer them all", first.line);
            return cx.error(at, "another route has the very same match", help);
        }
        Some(Self(matcher))
    }
}

/// Name of a route.
pub(crate) struct RouteName(String);

impl Shape for RouteName {
    fn title() -> String {
        "a name".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1, "maxLength": 128 })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.string(node, "a name", "")?;
        let name = &scalar.text;
        if name.is_empty() || name.chars().count() > 128 || name.contains(char::is_control) {
            return cx.error(node.at, format!("`{}` is not a name", scalar.shown()), "a name has 1 to 128 characters");
        }
        if let Some(first) = cx.once("route", name.clone(), node.at) {
            let help = format!("the first is on line {}; give each its own name", first.line);
            return cx.error(node.at, format!("two routes are named `{}`", scalar.shown()), help);
        }
        Some(Self(name.clone()))
    }
}

/// The name of a declared filter.
pub(crate) struct FilterRef(pub(crate) usize);

impl Shape for FilterRef {
    fn title() -> String {
        "the name of a filter".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(scalar) = node.name() else {
            return cx.mismatch(node, &Self::title(), "");
        };
        cx.refer(Declared::Filter, scalar, node.at).map(Self)
    }
}

/// The name of a declared upstream.
pub(crate) struct UpstreamRef(pub(crate) usize);

impl Shape for UpstreamRef {
    fn title() -> String {
        "the name of an upstream".into()
    }
    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(scalar) = node.name() else {
            return cx.mismatch(node, &Self::title(), "declare it under `upstreams:` and write its name");
        };
        cx.refer(Declared::Upstream, scalar, node.at).map(Self)
    }
}

/// One filter in a chain: its name, or `{ use, config }`.
pub(crate) struct Use(pub(crate) plan::UseFilter);

impl Shape for Use {
    fn title() -> String {
        "the name of a filter, or `{ use, config }`".into()
    }
    fn schema() -> Value {
        json!({ "anyOf": [FilterRef::schema(), UseParts::schema()] })
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            let FilterRef(filter) = FilterRef::read(node, cx)?;
            return Self::of(filter, None, node, cx);
        };
        // `{ auth: {…} }` and `auth: {…}` are what one writes before having read the reference.
        if let [entry] = entries.as_slice()
            && entry.key != "use"
            && cx.filters.position(&entry.key).is_some()
        {
            let name = shorten(&entry.key);
            return cx.error(entry.at, "a filter is named by `use`", format!("write `{{ use: {name}, config: … }}`"));
        }
        let parts = UseParts::read(node, cx)?;
        Self::of(parts.r#use.0, parts.config.map(|config| config.0), node, cx)
    }
}

impl Use {
    fn of(filter: usize, config: Option<String>, node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if cx.services.contains(&filter) {
            let help = "declare it once more under another name, with the same `source`, and the same `vm_id` where \
                        both share data";
            return cx.error(node.at, "this filter is in `services`: it runs once, and meets no traffic", help);
        }
        Some(Self(plan::UseFilter { filter, config }))
    }
}

impl Route {
    pub(crate) fn plan(self) -> Option<plan::Route> {
        let action = match (self.upstream, self.respond) {
            (Some(UpstreamRef(upstream)), None) => Action::Upstream(upstream),
            (None, Some(respond)) => Action::Respond(plan::DirectResponse {
                status: u16::try_from(respond.status.0).ok()?,
                headers: respond.headers.0.into_iter().map(|(name, _, value)| (name.0, value.0)).collect(),
                body: respond.body.0,
            }),
            // `one_action` has said so.
            _ => return None,
        };
        let matcher = self.r#match.0;
        Some(plan::Route {
            name: self.name.map_or_else(|| describe(&matcher), |name| name.0),
            matcher,
            filters: self.filters.0.into_iter().map(|filter| filter.0).collect(),
            properties: self.properties.0.into_iter().map(|(key, _, value)| (key.0, value.0)).collect(),
            action,
            at: self.at,
        })
    }
}
