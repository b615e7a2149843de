//! What serves, as it is shown: put together once at each swap, by the thread that swaps.

use std::{sync::Arc, time::SystemTime};

use serde::Serialize;
use serde_json::Value;
use sluice_config::Origins;
use sluice_host::Filter;

use super::{
    config,
    counts::{Counts, Now, OldVersion},
};
use crate::{
    reload::{Generation, History, OldGeneration, Version, Wishes, millis, module_path},
    route::Table,
    site::Site,
    upstream::Upstream,
};

/// One generation. Number 0 is none: nothing serves yet.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) generation: u64,
    /// RFC 3339, UTC.
    pub(super) since: String,
    pub(crate) filters: Vec<FilterView>,
    pub(super) config: Value,
    /// Where its values stand in the file.
    pub(super) origins: Arc<Origins>,
    /// By index into the routes of `config`.
    pub(super) table: Arc<Table>,
    pub(super) upstreams: Vec<Arc<Upstream>>,
}

/// One filter that serves.
#[derive(Serialize)]
pub(crate) struct FilterView {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) abi: String,
    /// Bytes of its module.
    size: usize,
    module: String,
    isolation: &'static str,
    on_error: &'static str,
    /// How many configurations it is used with.
    roots: usize,
    since: String,
    compile_ms: f64,
    start_ms: f64,
    /// It was brought back, and its files say another version.
    pinned: bool,
    /// Somebody took it out of every chain.
    pub(crate) disabled: bool,
    /// It runs once in the process, without traffic.
    service: bool,
    /// Versions that can be brought back, the last one first.
    earlier: Vec<String>,
    limits: Value,
    capabilities: Value,
    #[serde(skip)]
    pub(crate) filter: Arc<Filter>,
}

impl View {
    /// `before` is the one that was shown until now.
    pub(crate) fn of(serving: &Generation, wishes: &Wishes, history: &History, before: &Self) -> Self {
        let since = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let filters = serving.versions.iter().map(|version| {
            let same = before.filters.iter().find(|b| Arc::ptr_eq(&b.filter, &version.filter));
            let since = same.map_or(&since, |same| &same.since).clone();
            FilterView::of(version, since, wishes, history)
        });
        let filters = filters.collect();
        let Site { generation, table, upstreams, .. } = &*serving.site;
        Self {
            generation: *generation,
            since,
            filters,
            config: config::shown(&serving.plan),
            origins: serving.plan.origins.clone(),
            // Their own, as whoever holds the site holds up its end.
            table: table.clone(),
            upstreams: upstreams.clone(),
        }
    }
}

impl FilterView {
    fn of(version: &Version, since: String, wishes: &Wishes, history: &History) -> Self {
        let (settings, filter) = (&version.recipe.settings, &version.filter);
        let others = history.of(version.name()).filter(|recipe| !recipe.makes_the_same(&version.recipe));
        Self {
            name: settings.name.clone(),
            digest: format!("sha256:{}", filter.digest()),
            abi: filter.abi().to_string(),
            size: version.recipe.module.len(),
            module: module_path(&settings.source).display().to_string(),
            isolation: config::isolation(settings.isolation),
            on_error: config::on_error(settings.on_error),
            roots: filter.roots(),
            since,
            compile_ms: millis(version.compiling),
            start_ms: millis(version.starting),
            pinned: wishes.pins.holds(version.name()),
            disabled: wishes.disabled.holds(version.name()),
            service: version.service,
            earlier: others.map(|recipe| format!("sha256:{}", recipe.digest)).collect(),
            limits: config::limits(&settings.limits),
            capabilities: config::capabilities(&settings.capabilities),
            filter: filter.clone(),
        }
    }

    /// With its counts as they are now.
    pub(super) fn now(&self, draining: &[Arc<OldGeneration>]) -> Now<'_> {
        let draining = OldVersion::all(draining, &self.filter);
        Now { filter: self, counts: Counts::of(&self.filter), draining }
    }
}
