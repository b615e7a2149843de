//! The state of one reading: where it stands, what it may ask, every error so far.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry as Slot},
    path::{Path, PathBuf},
};

use crate::{
    error::Error,
    node::{Entry, Kind, Node, Scalar, Typed},
    plan::Position,
    shape::Shape,
    world::World,
    yaml::join,
};

/// Beyond this many errors no similar name is searched for: hostile text must not buy CPU time with typos.
const MAX_SUGGESTIONS: usize = 200;

/// One reading.
pub(crate) struct Cx<'a> {
    pub(crate) world: &'a dyn World,
    pub(crate) errors: Vec<Error>,
    /// Names that routes, services and capabilities may use; known before anything is read,
    /// so that an error inside a filter does not make its uses look wrong as well.
    pub(crate) filters: Names,
    pub(crate) upstreams: Names,
    /// Filters that run without traffic, known as early.
    pub(crate) services: HashSet<usize>,
    /// What must stand once in a file: kind, canonical text and the place of the first.
    seen: HashMap<(&'static str, String), Position>,
    /// Files whose content became part of the plan.
    pub(crate) secret_files: Vec<PathBuf>,
    /// Bytes read from them so far.
    pub(crate) secret_bytes: usize,
    dir: &'a Path,
    path: Vec<(Step, Position)>,
}

/// One step from the root to where the reading stands.
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// What a name can be the name of.
pub(crate) enum Declared {
    Filter,
    Upstream,
}

/// Declared names of one kind, in file order.
#[derive(Default)]
pub(crate) struct Names {
    list: Vec<String>,
    index: HashMap<String, usize>,
}

impl Names {
    pub(crate) fn of(node: Option<&Node>) -> Self {
        let list: Vec<String> =
            node.map(Node::entries).unwrap_or_default().iter().map(|entry| entry.key.clone()).collect();
        let index = list.iter().cloned().enumerate().map(|(i, name)| (name, i)).collect();
        Self { list, index }
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }
}

impl<'a> Cx<'a> {
    pub(crate) fn new(world: &'a dyn World, dir: &'a Path, errors: Vec<Error>) -> Self {
        Self {
            world,
            dir,
            errors,
            filters: Names::default(),
            upstreams: Names::default(),
            services: HashSet::new(),
            seen: HashMap::new(),
            secret_files: Vec::new(),
            secret_bytes: 0,
            path: Vec::new(),
        }
    }

    /// Reads something one step further in.
    pub(crate) fn within<T>(&mut self, step: Step, at: Position, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push((step, at));
        let value = read(self);
        self.path.pop();
        value
    }

    /// The key or entry that is being read.
    pub(crate) fn here(&self) -> Position {
        self.path.last().map_or(Position { line: 1, column: 1 }, |(_, at)| *at)
    }

    /// The innermost key that is being read.
    pub(crate) fn key(&self) -> Option<&str> {
        self.path.iter().rev().find_map(|(step, _)| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }

    /// `routes[0].match.host`.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for (step, _) in &self.path {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key(key) => path = join(&path, key),
            }
        }
        path
    }

    /// Records an error; `None` so that a reader can end with it.
    pub(crate) fn error<T>(&mut self, at: Position, message: impl Into<String>, help: impl Into<String>) -> Option<T> {
        let (path, help) = (self.path(), help.into());
        let error = Error::new(at, path, message);
        self.errors.push(if help.is_empty() { error } else { error.help(help) });
        None
    }

    /// "expected …, found …".
    pub(crate) fn mismatch<T>(&mut self, node: &Node, expected: &str, help: &str) -> Option<T> {
        if matches!(node.kind, Kind::Broken) {
            return None;
        }
        self.error(node.at, format!("expected {expected}, found {}", node.found()), help)
    }

    /// A scalar that is a string by YAML's rules.
    pub(crate) fn string<'n>(&mut self, node: &'n Node, expected: &str, help: &str) -> Option<&'n Scalar> {
        if let Kind::Scalar(scalar) = &node.kind {
            match scalar.typed() {
                Typed::Text(_) => return Some(scalar),
                Typed::Null => {}
                _ if help.is_empty() => {
                    return self.mismatch(node, expected, &format!("quote it: \"{}\"", scalar.shown()));
                }
                _ => {}
            }
        }
        self.mismatch(node, expected, help)
    }

    /// The keys of a section: anything but a mapping and every unknown key is an error.
    pub(crate) fn section(&mut self, node: &Node, known: &[&str]) -> Option<()> {
        let Kind::Map(entries) = &node.kind else {
            return self.mismatch(node, &mapping_with(known), "");
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let help = if entry.key == "<<" {
                "merge keys are not part of YAML 1.2; repeat the keys, or alias a whole value".to_owned()
            } else {
                self.similar(&entry.key, known).unwrap_or_else(|| format!("known keys here: {}", known.join(", ")))
            };
            self.within(Step::Key(entry.key.clone()), entry.at, |cx| {
                cx.error::<()>(entry.at, format!("unknown key `{}`", shorten(&entry.key)), help)
            });
        }
        Some(())
    }

    /// One key of a section; `default` stands in when the file has none.
    pub(crate) fn field<T: Shape>(&mut self, section: &Node, key: &str, default: Option<&str>) -> Option<T> {
        if let Some(entry) = section.entry(key) {
            return self.within(Step::Key(key.to_owned()), entry.at, |cx| T::read(&entry.value, cx));
        }
        if let Some(default) = default {
            return T::read(&Node::default(default, section.at), self);
        }
        if let Some(absent) = T::absent(self, section.at) {
            return Some(absent);
        }
        let at = if self.path.is_empty() { section.at } else { self.here() };
        self.error(at, format!("`{key}` is missing"), format!("it takes {}", T::title()))
    }

    /// "did you mean `x`?" when something known is close.
    pub(crate) fn similar(&self, wrong: &str, known: &[impl AsRef<str>]) -> Option<String> {
        if self.errors.len() > MAX_SUGGESTIONS || wrong.len() > 64 {
            return None;
        }
        // `warning` for `warn`, `prefix` for `path_prefix` and the like count as one slip.
        let part = |name: &str| wrong.len().min(name.len()) > 2 && (wrong.contains(name) || name.contains(wrong));
        let lower = wrong.to_lowercase().replace('-', "_");
        known
            .iter()
            .map(AsRef::as_ref)
            .filter(|name| name.len() <= 64)
            .map(|name| match strsim::damerau_levenshtein(&lower, &name.to_lowercase().replace('-', "_")) {
                distance if distance > 1 && part(name) => (1, name),
                distance => (distance, name),
            })
            .filter(|(distance, name)| *distance <= name.len().max(wrong.len()) / 3)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, name)| format!("did you mean `{name}`?"))
    }

    /// The index of a declared name.
    pub(crate) fn refer(&mut self, what: Declared, name: &Scalar, at: Position) -> Option<usize> {
        let (names, what) = match what {
            Declared::Filter => (&self.filters, "filter"),
            Declared::Upstream => (&self.upstreams, "upstream"),
        };
        if let Some(index) = names.position(&name.text) {
            return Some(index);
        }
        let help = self.similar(&name.text, &names.list).unwrap_or_else(|| match names.list.len() {
            0 => format!("nothing is declared under `{what}s:`"),
            1..=20 => format!("declared under `{what}s:`: {}", names.list.join(", ")),
            _ => format!("declare it under `{what}s:`"),
        });
        self.error(at, format!("no {what} is named `{}`", name.shown()), help)
    }

    /// An error about a key of the section that is being read, whatever its value.
    pub(crate) fn key_error(&mut self, entry: &Entry, message: impl Into<String>, help: &str) {
        self.within(Step::Key(entry.key.clone()), entry.at, |cx| cx.error::<()>(entry.at, message, help));
    }

    /// Registers what may stand once in the file; the place of the first when it is there already.
    pub(crate) fn once(&mut self, kind: &'static str, text: String, at: Position) -> Option<Position> {
        match self.seen.entry((kind, text)) {
            Slot::Occupied(first) => Some(*first.get()),
            Slot::Vacant(slot) => {
                slot.insert(at);
                None
            }
        }
    }

    /// A path of the file, relative to the file's folder.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }
}

/// A list of plain values without duplicates: each later one is an error.
pub(crate) fn unique(cx: &mut Cx<'_>, list: &Node) {
    let Kind::List(items) = &list.kind else {
        return;
    };
    let mut seen = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        if let Kind::Scalar(scalar) = &item.kind
            && !seen.insert(&scalar.text)
        {
            cx.within(Step::Index(index), item.at, |cx| {
                cx.error::<()>(item.at, format!("`{}` stands here twice", scalar.shown()), "keep one of them")
            });
        }
    }
}

/// What a section looks like, for messages.
pub(crate) fn mapping_with(keys: &[&str]) -> String {
    match keys {
        [key] => format!("a mapping with the key {key}"),
        keys => format!("a mapping with the keys {}", keys.join(", ")),
    }
}

/// A name for a message.
pub(crate) fn shorten(text: &str) -> String {
    Scalar::plain(text).shown()
}
