//! Who is measured, and how each is started for the same work.

use std::fmt;

use crate::{
    daemon::Daemon,
    peers, sluice,
    work::Work,
    world::{Front, World},
};

/// A proxy with its work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    Nginx,
    Haproxy,
    Envoy(Work),
    /// Pingora without any hook.
    Bare,
    Sluice(Work, Extra),
    /// The build named by `SLUICE_OLD`.
    Old(Work),
}

/// What else Sluice does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    Plain,
    /// A fresh guest for each request.
    Fresh,
    /// Traces of one request in a hundred, to nobody who listens.
    Traced,
    /// Traces of none, as none is drawn, but of requests that fail: all are noted until they end well.
    Failures,
    /// Traces of none; what is left of them is that requests carry their place on.
    Undrawn,
    /// A line of JSON for each request, into a file.
    Logged,
}

impl Contender {
    pub(crate) fn start(self, world: &World, front: Front) -> Daemon {
        match self {
            Self::Nginx => peers::nginx(world, front),
            Self::Haproxy => peers::haproxy(world, front),
            Self::Envoy(work) => peers::envoy(world, front, work),
            Self::Bare => peers::bare(world),
            Self::Sluice(work, extra) => sluice::start(&world.sluice, world, front, work, extra),
            Self::Old(work) => {
                let old = world.old.as_ref().expect("SLUICE_OLD names a binary");
                sluice::start(old, world, front, work, Extra::Plain)
            }
        }
    }

    pub(crate) fn work(self) -> Work {
        match self {
            Self::Nginx | Self::Haproxy | Self::Bare => Work::Nothing,
            Self::Envoy(work) | Self::Sluice(work, _) | Self::Old(work) => work,
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |host: &str, nothing: &str, work: Work| match work {
            Work::Nothing => format!("{host}{nothing}"),
            work => format!("{host}, {}", work.name()),
        };
        let name = match self {
            Self::Nginx => "nginx".to_owned(),
            Self::Haproxy => "HAProxy".to_owned(),
            Self::Envoy(work) => with("Envoy", ", plain", *work),
            Self::Bare => "bare Pingora".to_owned(),
            Self::Sluice(work, extra) => {
                let also = match extra {
                    Extra::Plain => "",
                    Extra::Fresh => ", isolation: request",
                    Extra::Traced => ", traces at 0.01",
                    Extra::Failures => ", traces of failures",
                    Extra::Undrawn => ", traces at 0",
                    Extra::Logged => ", access log",
                };
                with("Sluice", ", empty chain", *work) + also
            }
            Self::Old(work) => with("old Sluice", ", empty chain", *work),
        };
        f.pad(&name)
    }
}
