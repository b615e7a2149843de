//! What people wish of filters beside what the files say: another version, or that nobody meets one for a while.

use std::{collections::BTreeSet, sync::Arc};

use super::{Pins, Version};

/// All of it; it lasts as long as the process.
#[derive(Default)]
pub(crate) struct Wishes {
    /// Filters that serve another version than their files say.
    pub(crate) pins: Pins,
    /// Filters that stand in no chain.
    pub(crate) disabled: Disabled,
}

/// Names of filters that somebody disabled. They are started as ever, so that they are back at once.
#[derive(Debug, Default, Clone)]
pub(crate) struct Disabled(BTreeSet<String>);

impl Disabled {
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// From now on it is, or is not.
    pub(crate) fn set(&mut self, name: &str, disabled: bool) {
        if disabled {
            self.0.insert(name.to_owned());
        } else {
            self.0.remove(name);
        }
    }

    /// These serve now: a filter that is not there any more is forgotten, and begins anew when it comes back.
    pub(crate) fn settle(&mut self, serving: &[Arc<Version>]) {
        self.0.retain(|name| serving.iter().any(|version| version.name() == name));
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
