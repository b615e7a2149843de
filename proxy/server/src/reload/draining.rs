//! Old generations that still serve, as they are shown. Nothing here keeps one of them.

use std::{
    sync::{Arc, Weak},
    time::SystemTime,
};

use parking_lot::Mutex;
use sluice_host::{Digest, Filter};

use crate::site::Site;

/// All of them, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Draining(Mutex<Vec<Arc<OldGeneration>>>);

/// A generation that does not serve new requests any more.
#[derive(Debug)]
pub(crate) struct OldGeneration {
    pub(crate) generation: u64,
    /// When it was replaced: RFC 3339, UTC.
    pub(crate) since: String,
    site: Weak<Site>,
    filters: Vec<(Arc<str>, Digest, Weak<Filter>)>,
}

impl Draining {
    /// From now on the thread that drains holds this one, and whoever it still serves.
    pub(crate) fn begin(&self, site: &Arc<Site>) {
        let filter = |filter: &Arc<Filter>| (filter.name().clone(), filter.digest(), Arc::downgrade(filter));
        let old = OldGeneration {
            generation: site.generation,
            since: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            site: Arc::downgrade(site),
            filters: site.filters.iter().map(filter).collect(),
        };
        self.0.lock().push(Arc::new(old));
    }

    pub(crate) fn end(&self, generation: u64) {
        self.0.lock().retain(|old| old.generation != generation);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<OldGeneration>> {
        self.0.lock().clone()
    }
}

impl OldGeneration {
    /// Requests and connections that it still serves.
    pub(crate) fn requests(&self) -> usize {
        // One is the thread that drains.
        self.site.strong_count().saturating_sub(1)
    }

    /// What it has of this filter, if that is not the same one.
    pub(crate) fn other_than(&self, serving: &Arc<Filter>) -> Option<Digest> {
        let mut known = self.filters.iter().filter(|(name, ..)| name == serving.name());
        known.find(|(.., filter)| !std::ptr::eq(filter.as_ptr(), Arc::as_ptr(serving))).map(|(_, digest, _)| *digest)
    }
}
