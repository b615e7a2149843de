//! The site that serves now: the one place in the program where something is swapped under traffic.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::site::Site;

/// The site that serves now. A request takes it once and keeps it to its end.
pub(crate) struct Live(ArcSwap<Site>);

impl Live {
    pub(crate) fn new(site: Arc<Site>) -> Self {
        Self(ArcSwap::new(site))
    }

    pub(crate) fn get(&self) -> Arc<Site> {
        self.0.load_full()
    }

    /// Requests that begin from now on see the new site; those in flight end on the one they have.
    pub(crate) fn swap(&self, site: Arc<Site>) {
        self.0.store(site);
    }
}
