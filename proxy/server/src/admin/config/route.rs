//! Listeners and routes, with their chains.

use serde_json::{Map, Value, json};
use sluice_config::plan::{self, Action, HostMatch, Listener, PathMatch, Plan, Route, UseFilter};

use super::{hidden, hidden_values, path, time};

pub(super) fn listener(plan: &Plan, listener: &Listener) -> Value {
    let Listener { address, tls, h2c, tcp, at: _ } = listener;
    let tcp = tcp.as_ref().map(|tcp| {
        let plan::Tcp { upstream, filters, properties, idle } = tcp;
        json!({
            "upstream": upstream_name(plan, *upstream),
            "filters": chain(plan, filters),
            "properties": hidden_values(properties),
            "idle": time(*idle),
        })
    });
    let tls = tls.as_ref().map(|plan::ListenerTls { cert, key }| json!({ "cert": path(cert), "key": path(key) }));
    json!({ "address": address, "tls": tls, "h2c": h2c, "tcp": tcp })
}

pub(super) fn route(plan: &Plan, route: &Route) -> Value {
    let Route { name: _, matcher, filters, properties, action, at: _ } = route;
    let plan::Match { host, path, methods, headers } = matcher;
    let header =
        |(name, value): &(String, Option<String>)| (name.clone(), value.as_deref().map_or(Value::Null, hidden));
    json!({
        "name": route.shown_name(),
        "match": {
            "host": match host {
                HostMatch::Any => json!(null),
                HostMatch::Exact(host) => json!(host),
                HostMatch::Wildcard(suffix) => json!(format!("*{suffix}")),
            },
            "path": match path {
                PathMatch::Exact(path) => json!({ "exact": path }),
                PathMatch::Prefix(path) => json!({ "prefix": path }),
                PathMatch::Regex(regex) => json!({ "regex": regex }),
            },
            "methods": methods,
            "headers": headers.iter().map(header).collect::<Map<_, _>>(),
        },
        "filters": chain(plan, filters),
        "properties": hidden_values(properties),
        "action": match action {
            Action::Upstream(index) => json!({ "upstream": upstream_name(plan, *index) }),
            Action::Respond(plan::DirectResponse { status, headers, body }) => json!({ "respond": {
                "status": status,
                "headers": headers.iter().map(|(name, value)| json!([name, hidden(value)])).collect::<Vec<_>>(),
                "body": hidden(body),
            } }),
        },
    })
}

fn chain(plan: &Plan, filters: &[UseFilter]) -> Value {
    let link = |link: &UseFilter| {
        let UseFilter { filter, config } = link;
        let name = plan.filters.get(*filter).map(|filter| &filter.name);
        json!({ "filter": name, "config": config.as_deref().map(hidden) })
    };
    filters.iter().map(link).collect()
}

fn upstream_name(plan: &Plan, index: usize) -> Option<&String> {
    plan.upstreams.get(index).map(|upstream| &upstream.name)
}
