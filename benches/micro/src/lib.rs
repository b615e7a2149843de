//! Small pieces of work, each alone: what criterion times and what valgrind counts.

#![allow(
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot go on ends there, and nobody depends on it"
)]

mod codecs;
mod exchange;
mod guest;
mod hostcalls;
mod outside;
mod rounds;
mod swap;
mod tables;
mod waiting;

use std::path::{Path, PathBuf};

/// One piece of work.
pub struct Scene {
    /// `group/what`.
    pub name: String,
    /// It does the work so many times when it runs once.
    pub times: u64,
    make: Box<dyn Fn() -> Work>,
    /// It takes milliseconds, or needs a disk: timed, not counted.
    pub slow: bool,
}

/// The work, ready to run.
pub type Work = Box<dyn FnMut()>;

impl Scene {
    fn new(name: impl Into<String>, make: impl Fn() -> Work + 'static) -> Self {
        Self { name: name.into(), times: 1, make: Box::new(make), slow: false }
    }

    fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    fn slow(self) -> Self {
        Self { slow: true, ..self }
    }

    /// Sets everything up, so that what is left is the work alone.
    pub fn ready(&self) -> Work {
        (self.make)()
    }
}

/// All of them.
pub fn scenes() -> Vec<Scene> {
    let groups =
        [codecs::scenes(), exchange::scenes(), hostcalls::scenes(), rounds::scenes(), swap::scenes(), tables::scenes()];
    groups.into_iter().flatten().collect()
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
