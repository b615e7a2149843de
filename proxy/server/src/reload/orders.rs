//! What is asked for one filter: begin anew, an earlier version, out of every chain.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Instant,
};

use sluice_config::plan::OnError;
use sluice_host::Filter;

use super::{Answer, Cause, Files, Refusal, Reloader, Swapped};

impl Reloader {
    /// Begins with fresh guests of a filter, from what its file holds now: what the old ones kept in memory is gone. All else
    /// stays as it is.
    pub(super) fn begin_anew(&mut self, name: &str, client: String) -> Answer {
        if !self.serving.versions.iter().any(|version| version.name() == name) {
            return Err(unknown(name));
        }
        let cause = Cause::Anew { filter: name.to_owned(), client };
        let (number, began) = (self.serving.site.generation + 1, Instant::now());
        // What it reads is watched already.
        match self.loader.anew(number, &self.serving, &Files::default(), &self.wishes, name) {
            Ok(next) => Ok(self.swap(next, cause)),
            Err(error) => Err(self.refuse(cause, &error, began)),
        }
    }

    /// Brings an earlier version of a filter back.
    pub(super) fn roll_back(&mut self, name: &str, to: Option<&str>, cause: Cause) -> Answer {
        let serving = self.serving.versions.iter().zip(&self.serving.on_file).find(|(v, _)| v.name() == name);
        let (version, on_file) = serving.ok_or_else(|| unknown(name))?;
        let recipe = self.history.find(version, to).map_err(Refusal::Unknown)?.clone();
        let undo = self.wishes.pins.pin(on_file.clone(), recipe);
        let (number, began) = (self.serving.site.generation + 1, Instant::now());
        match self.loader.again(number, &self.serving, &self.wishes) {
            Ok(next) => Ok(self.swap(next, cause)),
            Err(error) => {
                self.wishes.pins.undo(undo);
                Err(self.refuse(cause, &error, began))
            }
        }
    }

    /// Takes a filter out of every chain, or puts it back.
    pub(super) fn switch(&mut self, name: &str, off: bool, force: bool, client: String) -> Answer {
        let version = self.serving.versions.iter().find(|version| version.name() == name);
        let version = version.ok_or_else(|| unknown(name))?;
        if self.wishes.disabled.holds(name) == off {
            let generation = self.serving.site.generation;
            return Ok(Swapped { generation, filters: BTreeMap::new(), total_ms: 0.0 });
        }
        if off && version.service {
            return Err(Refusal::Guards(format!(
                "filter `{name}` is a service: no request meets it; take it out of `services` to end it"
            )));
        }
        if off && !force && version.recipe.settings.on_error == OnError::FailClosed {
            return Err(Refusal::Guards(format!(
                "filter `{name}` is `on_error: fail_closed`: what it keeps away passes while it is disabled; \
                 say so with `?force=true` (`--force`)"
            )));
        }
        self.wishes.disabled.set(name, off);
        let filter = name.to_owned();
        let cause = if off { Cause::Disable { filter, client } } else { Cause::Enable { filter, client } };
        let (number, began) = (self.serving.site.generation + 1, Instant::now());
        match self.loader.again(number, &self.serving, &self.wishes) {
            Ok(next) => Ok(self.swap(next, cause)),
            Err(error) => {
                self.wishes.disabled.set(name, !off);
                Err(self.refuse(cause, &error, began))
            }
        }
    }

    /// A new version crashes too often: the one before it comes back, if it is still that one that serves.
    pub(super) fn go_back(&mut self, from: &Weak<Filter>, crashes: u64, requests: u64) {
        let serving = self.serving.versions.iter().find(|v| std::ptr::eq(Arc::as_ptr(&v.filter), from.as_ptr()));
        let Some(name) = serving.map(|version| version.name().to_owned()) else { return };
        tracing::error!(
            filter = name,
            crashes,
            requests,
            "the new version crashes too often: the one before it comes back"
        );
        let cause = Cause::Crashes { filter: name.clone(), crashes, requests };
        if let Err(Refusal::Unknown(why)) = self.roll_back(&name, None, cause) {
            tracing::warn!("{why}: it goes on");
        }
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::Unknown(format!("there is no filter `{name}`"))
}
