//! The guests of a filter: one for each worker shard, or a fresh one for each request.

use std::{sync::Arc, time::Duration};

use sluice_engine::Code;
use wasmtime::{InstancePre, Module};

use crate::{
    Isolation, LoadError, blueprint::Blueprint, guest::Guest, image::Snapshot, place::Place, state::Held,
    thread::worker_number,
};

/// How long a root may take from its `proxy_on_done` to `proxy_done`.
const DONE: Duration = Duration::from_secs(5);

/// The guests of a filter.
pub(crate) struct Pool {
    /// Guests that live as long as the filter: those that requests share, or the one root guest beside those of requests.
    lasting: Box<[Arc<Place>]>,
    fresh: Fresh,
}

/// Where a request's own guest comes from.
enum Fresh {
    /// It has none.
    Never,
    /// From what the root guest was when it had been configured.
    Snapshot(Box<Snapshot>),
    /// From its start, because no snapshot can be taken of this module.
    Start,
}

impl Fresh {
    // What makes a guest needs much of the stack: not in the frame of every callback.
    #[inline(never)]
    fn place(&self, blueprint: &Arc<Blueprint>) -> Result<Arc<Place>, LoadError> {
        let guest = match self {
            Self::Snapshot(snapshot) => Guest::from_snapshot(blueprint, snapshot)?,
            Self::Start | Self::Never => Guest::build(blueprint)?,
        };
        Ok(Place::with(guest, blueprint, false))
    }
}

impl Pool {
    /// Builds every guest now, so that a filter which does not start is known before it serves.
    ///
    /// # Errors
    /// The first [`LoadError`].
    pub(crate) fn build(
        blueprint: &Arc<Blueprint>,
        isolation: Isolation,
        shards: usize,
        code: &Code,
        link: impl Fn(&Module) -> Result<InstancePre<Held>, LoadError>,
    ) -> Result<Self, LoadError> {
        if isolation == Isolation::Shared {
            let places = (0..shards.max(1)).map(|_| Ok(Place::with(Guest::build(blueprint)?, blueprint, true)));
            return Ok(Self { lasting: places.collect::<Result<_, LoadError>>()?, fresh: Fresh::Never });
        }
        let mut root = Guest::build(blueprint)?;
        let fresh = match root.snapshot(code, link) {
            Ok(snapshot) => Fresh::Snapshot(Box::new(snapshot)),
            Err(why) => {
                blueprint.warn(&format!(
                    "isolation: request starts and configures a guest for every request, which is slow: no snapshot can be \
                     taken because {why}"
                ));
                Fresh::Start
            }
        };
        Ok(Self { lasting: Box::new([Place::with(root, blueprint, true)]), fresh })
    }

    /// Ends the roots of the guests that serve many requests; a guest of one request is just dropped with it.
    pub(crate) fn end(&self) {
        self.lasting.iter().for_each(|place| place.end(DONE));
    }

    /// Ends the guests that serve many requests without asking them.
    pub(crate) fn cut_off(&self) {
        self.lasting.iter().for_each(|place| place.cut_off());
    }

    /// A place for a new exchange of the running thread.
    ///
    /// # Errors
    /// Only with a fresh guest for each request: there is none.
    #[inline]
    pub(crate) fn pick(&self, blueprint: &Arc<Blueprint>) -> Result<Arc<Place>, LoadError> {
        match &self.fresh {
            Fresh::Never => match self.shard() {
                Some(place) => Ok(place.clone()),
                None => Err(LoadError::MissingExport("a guest")),
            },
            fresh => fresh.place(blueprint),
        }
    }

    /// The guest of this thread; another's while it is being replaced.
    #[inline]
    fn shard(&self) -> Option<&Arc<Place>> {
        let own = worker_number() % self.lasting.len().max(1);
        let place = self.lasting.get(own)?;
        if place.lives() { Some(place) } else { self.another(own).or(Some(place)) }
    }

    #[cold]
    fn another(&self, own: usize) -> Option<&Arc<Place>> {
        let (before, from) = self.lasting.split_at_checked(own)?;
        from.iter().chain(before).find(|place| place.lives())
    }
}
