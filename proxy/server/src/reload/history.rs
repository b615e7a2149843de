//! Versions that served before, and those of them that were brought back.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{Recipe, Version};

/// Filters that serve another version than their files say.
#[derive(Default)]
pub(crate) struct Pins(HashMap<String, Pin>);

struct Pin {
    /// What the files said when the other one was brought back. When they say something new, that counts.
    rejected: Recipe,
    instead: Recipe,
}

impl Pins {
    /// What is to be built for this recipe from the files.
    pub(crate) fn instead_of(&self, on_file: Recipe) -> Recipe {
        match self.0.get(&on_file.settings.name) {
            Some(pin) if pin.rejected.makes_the_same(&on_file) => pin.instead.clone(),
            _ => on_file,
        }
    }

    /// These serve now: pins whose files said something new are let go of. Not before, as what is refused says nothing.
    pub(crate) fn settle(&mut self, on_file: &[Recipe]) {
        self.0.retain(|name, pin| {
            let stays = on_file.iter().any(|recipe| pin.rejected.makes_the_same(recipe));
            if !stays {
                tracing::info!(
                    filter = name.as_str(),
                    "its files changed: the version that was brought back gives way"
                );
            }
            stays
        });
    }

    /// Serve `instead` as long as the files say `rejected`. Returns what undoes it.
    pub(crate) fn pin(&mut self, rejected: Recipe, instead: Recipe) -> Unpin {
        let name = rejected.settings.name.clone();
        let before = if rejected.makes_the_same(&instead) {
            self.0.remove(&name)
        } else {
            self.0.insert(name.clone(), Pin { rejected, instead })
        };
        Unpin { name, before }
    }

    /// Whether this filter serves another version than its files say.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn undo(&mut self, undo: Unpin) {
        match undo.before {
            Some(pin) => self.0.insert(undo.name, pin),
            None => self.0.remove(&undo.name),
        };
    }
}

/// What a pin took the place of.
pub(crate) struct Unpin {
    name: String,
    before: Option<Pin>,
}

/// Versions that served before, of each filter by its name; the last one last. What they are built from is kept, not
/// their guests.
#[derive(Default)]
pub(crate) struct History(HashMap<String, VecDeque<Recipe>>);

impl History {
    /// A version does not serve any more; `keep` are kept.
    pub(crate) fn retire(&mut self, version: &Version, keep: usize) {
        let past = self.0.entry(version.name().to_owned()).or_default();
        past.retain(|recipe| !recipe.makes_the_same(&version.recipe));
        past.push_back(version.recipe.clone());
        while past.len() > keep {
            past.pop_front();
        }
    }

    /// The version to go back to from the one that serves: the last one before it, or the last one whose digest begins
    /// like this.
    ///
    /// # Errors
    /// A sentence that says which there are.
    pub(crate) fn find(&self, serving: &Arc<Version>, digest: Option<&str>) -> Result<&Recipe, String> {
        let name = serving.name();
        let past = self.0.get(name).into_iter().flatten();
        let mut others = past.filter(|recipe| !recipe.makes_the_same(&serving.recipe));
        let wanted = digest.map(|digest| digest.trim_start_matches("sha256:").to_ascii_lowercase());
        let found = others.clone().rev().find(|r| wanted.as_ref().is_none_or(|d| r.digest.to_string().starts_with(d)));
        found.ok_or_else(|| {
            let known: Vec<_> = others.by_ref().map(|recipe| recipe.digest.short()).collect();
            match wanted {
                _ if known.is_empty() => format!("filter `{name}` has had no other version in this process"),
                wanted => format!(
                    "filter `{name}` has had no version {}; there are {}",
                    wanted.unwrap_or_default(),
                    known.join(", ")
                ),
            }
        })
    }

    /// Those of one filter, the last one first.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = &Recipe> {
        self.0.get(name).into_iter().flatten().rev()
    }
}
