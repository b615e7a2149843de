//! One immutable generation: routes, upstreams, chains and filters. A request keeps the site it began with.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_host::{Chain, Filter, RouteFacts};
use tokio::sync::Notify;

use crate::{heads::Changed, route::Table, traffic::Times, upstream::Upstream};

/// One generation of everything that a request can meet.
pub(crate) struct Site {
    /// Counts from 1 in this process.
    pub(crate) generation: u64,
    /// The index that it finds is one of `routes`. The admin listener asks it too.
    pub(crate) table: Arc<Table>,
    pub(crate) routes: Vec<Arc<Route>>,
    /// No request goes to an upstream that may speak HTTP/2.
    pub(crate) only_http1: bool,
    /// Where connections of TCP listeners go, in the order of the file.
    pub(crate) tcp: Vec<Arc<TcpRoute>>,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// Every filter once. Chains name them directly; where one filter comes to serve in several versions by weight, it is
    /// the choice of a chain that grows, not what a request holds.
    pub(crate) filters: Vec<Arc<Filter>>,
    pub(crate) limits: Limits,
    /// Its time is over, and so is that of everything that it still serves.
    pub(crate) cut: Arc<Cut>,
}

/// Says that what is still going on has to end.
#[derive(Default)]
pub(crate) struct Cut {
    done: AtomicBool,
    told: Notify,
}

impl Cut {
    /// Asked whenever bytes move.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Relaxed)
    }

    /// Returns when it is.
    pub(crate) async fn done(&self) {
        let told = self.told.notified();
        if !self.is_done() {
            told.await;
        }
    }
}

/// Limits of the proxy itself.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) keepalive: Duration,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_headers: usize,
    pub(crate) read_timeout: Duration,
}

/// One route, ready to serve.
pub(crate) struct Route {
    pub(crate) chain: Chain,
    pub(crate) action: Action,
    pub(crate) facts: Arc<RouteFacts>,
    /// Its requests, counted; those of before a swap too.
    pub(crate) times: Arc<Times>,
}

/// Where connections of one TCP listener go.
pub(crate) struct TcpRoute {
    /// The address as it is configured.
    pub(crate) listener: SocketAddr,
    pub(crate) chain: Chain,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) facts: Arc<RouteFacts>,
    pub(crate) idle: Duration,
}

/// Where a request goes.
pub(crate) enum Action {
    Upstream(Arc<Upstream>),
    Respond(Direct),
}

/// An answer written in the configuration.
pub(crate) struct Direct {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Site {
    /// Ends what this generation still serves: at the next bytes that move, or at once where a filter holds it. Filters
    /// that serve in `live` too are left alone, the others end with their guests.
    pub(crate) fn cut_off(&self, live: &Self) {
        self.cut.done.store(true, Relaxed);
        self.cut.told.notify_waiters();
        for filter in self.filters.iter().filter(|filter| !live.filters.iter().any(|l| Arc::ptr_eq(l, filter))) {
            filter.cut_off();
        }
    }

    /// The route for a request.
    pub(crate) fn route(
        &self,
        authority: &[u8],
        method: &[u8],
        target: &[u8],
        headers: &HeaderMap,
    ) -> Option<&Arc<Route>> {
        self.routes.get(self.table.find(authority, method, target, headers)?)
    }

    /// Whether a request of which this was changed may take another route than before.
    pub(crate) fn routes_by(&self, changed: Changed) -> bool {
        changed.line || (changed.fields && self.table.reads_fields())
    }
}
