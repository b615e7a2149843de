//! Routes of one host, found by their paths: the cost of a request does not grow with the number of routes.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, DefaultHasher},
};

use http::HeaderMap;

use super::{Matcher, Path};

/// Positions in a bucket by path. The keys are the operator's, so nobody can choose them to collide.
type Positions = HashMap<Box<[u8]>, Vec<usize>, BuildHasherDefault<DefaultHasher>>;

/// Routes of one host.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// The most specific first, each with its index in the site.
    all: Vec<(Matcher, usize)>,
    exact: Positions,
    /// Those that have to be asked one by one.
    regexes: Vec<usize>,
    prefixes: Positions,
    /// Lengths of the prefixes: only these are looked up.
    lengths: BTreeSet<usize>,
}

impl Bucket {
    /// Adds a route that is less specific than all so far.
    pub(super) fn push(&mut self, matcher: Matcher, index: usize) {
        let at = self.all.len();
        let key = |path: &str| path.as_bytes().into();
        match &matcher.path {
            Path::Exact(path) => self.exact.entry(key(path)).or_default().push(at),
            Path::Regex(_) => self.regexes.push(at),
            Path::Prefix(prefix) => {
                self.prefixes.entry(key(prefix)).or_default().push(at);
                self.lengths.insert(prefix.len());
            }
        }
        self.all.push((matcher, index));
    }

    /// The index of the most specific route that takes the request.
    pub(super) fn find(&self, path: &[u8], method: &[u8], headers: &HeaderMap) -> Option<usize> {
        let first = |positions: &[usize]| {
            let routes = positions.iter().filter_map(|at| self.all.get(*at));
            let mut routes = routes.filter(|(matcher, _)| matcher.misses(path, method, headers).is_none());
            routes.next().map(|(_, index)| *index)
        };
        let at = |positions: &Positions, key: &[u8]| positions.get(key).and_then(|positions| first(positions));
        let exact = || if self.exact.is_empty() { None } else { at(&self.exact, path) };
        let prefix = || {
            // The longest first; `/` is the only one of its length, and takes every path.
            self.lengths.iter().rev().find_map(|length| match *length {
                1 => at(&self.prefixes, b"/"),
                length if matches!(path.get(length), None | Some(b'/')) => at(&self.prefixes, path.get(..length)?),
                _ => None,
            })
        };
        exact().or_else(|| first(&self.regexes)).or_else(prefix)
    }

    /// All routes, the most specific first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Matcher, usize)> {
        self.all.iter()
    }
}
