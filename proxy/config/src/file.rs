//! The file as a whole: its sections, and the way from text to plan.

use std::sync::Arc;

use crate::{
    declare::section,
    error::Errors,
    expand::expand,
    filter::Filter,
    listener::Listener,
    node::{Kind, Node},
    origins::Origins,
    plan::Plan,
    reader::{Cx, Names, Step, unique},
    reload::Reload,
    route::{FilterRef, Route},
    scalar::Name,
    settings::{Admin, Server},
    shape::{List, Map, Shape},
    telemetry::Telemetry,
    upstream::Upstream,
    world::World,
    yaml,
};

section! {
    /// Configuration of Sluicegate
    File, check some_work {
        /// Sockets to listen on.
        listeners: List<Listener, 1>,
        /// Filters by name.
        filters: Map<Name, Filter>,
        /// Upstreams by name.
        upstreams: Map<Name, Upstream>,
        /// Routes; the most specific match wins, whatever the order.
        routes: List<Route>,
        /// Names of filters that run without traffic (ticks, queues, callouts), once in the process; no route can have them.
        services: List<FilterRef>,
        /// The admin listener; off when absent.
        admin: Option<Admin>,
        /// Logs, traces and the access log.
        telemetry: Telemetry = "{}",
        /// How changes of files are picked up.
        reload: Reload = "{}",
        /// Limits and sizes of the proxy itself.
        server: Server = "{}",
    }
}

fn some_work(file: &Node, cx: &mut Cx<'_>) {
    let none = |key| match file.get(key).map(|node| &node.kind) {
        Some(Kind::List(items)) => items.is_empty(),
        Some(_) => file.get(key).is_some_and(Node::is_null),
        None => true,
    };
    let tcp = |item: &Node| item.get("tcp").is_some();
    let any_tcp = matches!(file.get("listeners").map(|n| &n.kind), Some(Kind::List(items)) if items.iter().any(tcp));
    if none("routes") && none("services") && !any_tcp {
        let at = file.entry("routes").map_or(file.at, |entry| entry.at);
        let help = "add `routes: [{ upstream: NAME }]`";
        cx.error::<()>(at, "there is no route: every request would be answered 404", help);
    }
    if let Some(services) = file.entry("services") {
        cx.within(Step::Key(services.key.clone()), services.at, |cx| unique(cx, &services.value));
    }
}

/// Text to plan, or every error at once.
pub(crate) fn parse(source: crate::Source<'_>, world: &dyn World) -> Result<Plan, Errors> {
    let mut errors = Vec::new();
    let mut root = match yaml::load(source.text, &mut errors) {
        Ok(root) => root,
        // What was found before the text broke off may be a consequence of it.
        Err(error) => return Err(Errors::new(source.name, source.text, vec![error])),
    };
    let mut cx = Cx::new(world, source.dir, errors);
    expand(&mut root, &mut cx);
    cx.filters = Names::of(root.get("filters"));
    cx.upstreams = Names::of(root.get("upstreams"));
    if let Some(Kind::List(services)) = root.get("services").map(|node| &node.kind) {
        cx.services = services.iter().filter_map(|node| cx.filters.position(node.text()?)).collect();
    }
    let plan = File::read(&root, &mut cx).and_then(|file| file.plan(&mut cx));
    match plan {
        Some(plan) if cx.errors.is_empty() => Ok(Plan { origins: Origins::of(&root, source.name), ..plan }),
        _ => Err(Errors::new(source.name, source.text, cx.errors)),
    }
}

impl File {
    /// Filters and upstreams keep the order of the file, so the indices taken from their names hold.
    fn plan(self, cx: &mut Cx<'_>) -> Option<Plan> {
        Some(Plan {
            listeners: self.listeners.0.into_iter().map(Listener::plan).collect(),
            filters: self
                .filters
                .0
                .into_iter()
                .map(|(name, at, filter)| filter.plan(name.0, at))
                .collect::<Option<_>>()?,
            upstreams: self.upstreams.0.into_iter().map(|(name, at, upstream)| upstream.plan(name.0, at)).collect(),
            routes: self.routes.0.into_iter().map(Route::plan).collect::<Option<_>>()?,
            services: self.services.0.into_iter().map(|filter| filter.0).collect(),
            admin: self.admin.and_then(Admin::plan),
            telemetry: self.telemetry.plan(),
            reload: self.reload.plan(),
            server: self.server.plan()?,
            secret_files: std::mem::take(&mut cx.secret_files),
            origins: Arc::default(),
        })
    }
}
