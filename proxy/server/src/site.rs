//! One immutable generation: routes, upstreams, chains and filters. A request keeps the site it began with.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sluice_host::{Chain, RouteFacts};

use crate::{route::Table, upstream::Upstream};

/// One generation of everything that a request can meet.
pub(crate) struct Site {
    /// Counts from 1 in this process.
    pub(crate) generation: u64,
    pub(crate) table: Table,
    pub(crate) routes: Vec<Arc<Route>>,
    /// Where connections of TCP listeners go, in the order of the file.
    pub(crate) tcp: Vec<Arc<TcpRoute>>,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) limits: Limits,
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
}
