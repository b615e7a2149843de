//! Which route a request takes: the most specific one that matches, whatever the order in the file.
//!
//! More specific is: an exact host before a longer wildcard before a shorter one before any host; an exact path before
//! a regular expression before a longer prefix before a shorter one; more header conditions before fewer; a method
//! before none; then the order in the file.

mod bucket;
mod explain;

use std::{cmp::Reverse, collections::HashMap};

use http::HeaderMap;
use regex::bytes::Regex;
use sluice_config::plan::{HostMatch, Match, PathMatch};

use self::bucket::Bucket;

/// A compiled match.
#[derive(Debug)]
struct Matcher {
    path: Path,
    methods: Vec<String>,
    headers: Vec<(String, Option<String>)>,
}

#[derive(Debug)]
enum Path {
    Exact(String),
    Prefix(String),
    Regex(Regex),
}

/// What of a request is not as a route wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss<'a> {
    Host,
    Path,
    Method,
    /// The field of this name.
    Header(&'a str),
}

impl Matcher {
    /// The first of path, method and headers that does not fit; `None` when all do.
    fn misses(&self, path: &[u8], method: &[u8], headers: &HeaderMap) -> Option<Miss<'_>> {
        if !self.path.matches(path) {
            return Some(Miss::Path);
        }
        if !self.methods.is_empty() && !self.methods.iter().any(|wanted| wanted.as_bytes() == method) {
            return Some(Miss::Method);
        }
        let header = self.headers.iter().find(|(name, value)| !has_header(headers, name, value.as_deref()));
        header.map(|(name, _)| Miss::Header(name))
    }
}

impl Path {
    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => path == wanted.as_bytes(),
            Self::Prefix(prefix) if prefix == "/" => true,
            // Segment-wise: `/api` is no prefix of `/apix`.
            Self::Prefix(prefix) => {
                path.strip_prefix(prefix.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

/// How specific a match is; smaller comes first.
type Rank = (u8, Reverse<usize>, Reverse<usize>, Reverse<bool>, usize);

fn rank(m: &Match, order: usize) -> Rank {
    let (kind, length) = match &m.path {
        PathMatch::Exact(p) => (0, p.len()),
        PathMatch::Regex(p) => (1, p.len()),
        PathMatch::Prefix(p) => (2, p.len()),
    };
    (kind, Reverse(length), Reverse(m.headers.len()), Reverse(!m.methods.is_empty()), order)
}

/// Every route of a site, by host.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Bucket>,
    /// Longest suffix first; a suffix begins with its dot.
    wildcard: Vec<(String, Bucket)>,
    any: Bucket,
    /// Some route has a condition on a field.
    reads_fields: bool,
}

impl Table {
    /// Compiles the matches; the number that a lookup gives is the index in this list.
    ///
    /// # Errors
    /// A regular expression that does not compile, which the configuration has checked before.
    pub fn new<'a>(matches: impl Iterator<Item = &'a Match>) -> Result<Self, regex::Error> {
        let mut ranked: Vec<(usize, &Match)> = matches.enumerate().collect();
        ranked.sort_by_key(|(order, m)| rank(m, *order));
        let mut table = Self::default();
        for (index, m) in ranked {
            let path = match &m.path {
                PathMatch::Exact(p) => Path::Exact(p.clone()),
                PathMatch::Prefix(p) => Path::Prefix(p.clone()),
                PathMatch::Regex(p) => Path::Regex(Regex::new(&format!("^(?:{p})$"))?),
            };
            table.reads_fields |= !m.headers.is_empty();
            let matcher = Matcher { path, methods: m.methods.clone(), headers: m.headers.clone() };
            let bucket = match &m.host {
                HostMatch::Any => &mut table.any,
                HostMatch::Exact(host) => table.exact.entry(host.clone()).or_default(),
                HostMatch::Wildcard(suffix) => match table.wildcard.iter().position(|(s, _)| s == suffix) {
                    Some(at) => &mut table.wildcard[at].1,
                    None => {
                        table.wildcard.push((suffix.clone(), Bucket::default()));
                        let last = table.wildcard.len() - 1;
                        &mut table.wildcard[last].1
                    }
                },
            };
            bucket.push(matcher, index);
        }
        table.wildcard.sort_by_key(|(suffix, _)| Reverse(suffix.len()));
        Ok(table)
    }

    /// Whether a route looks at other fields than the authority.
    pub fn reads_fields(&self) -> bool {
        self.reads_fields
    }

    /// The index of the route for this request, if one matches. `target` is path and query; `authority` may have a port.
    pub fn find(&self, authority: &[u8], method: &[u8], target: &[u8], headers: &HeaderMap) -> Option<usize> {
        let (mut buffer, path) = ([0; 256], path(target));
        let host =
            if self.exact.is_empty() && self.wildcard.is_empty() { "" } else { lower_host(authority, &mut buffer) };
        self.buckets(host).find_map(|bucket| bucket.find(path, method, headers))
    }

    /// Routes that may take requests to this host, the most specific host first.
    fn buckets<'a>(&'a self, host: &str) -> impl Iterator<Item = &'a Bucket> {
        // `*.example.com` needs at least one character before the dot.
        let fits = move |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
        let exact = if self.exact.is_empty() { None } else { self.exact.get(host) };
        let wildcard = self.wildcard.iter().filter(move |(suffix, _)| fits(suffix)).map(|(_, bucket)| bucket);
        exact.into_iter().chain(wildcard).chain([&self.any])
    }
}

/// A target without its query.
fn path(target: &[u8]) -> &[u8] {
    target.split(|b| *b == b'?' || *b == b'#').next().unwrap_or(target)
}

fn has_header(headers: &HeaderMap, name: &str, wanted: Option<&str>) -> bool {
    match wanted {
        None => headers.contains_key(name),
        Some(wanted) => headers.get_all(name).iter().any(|v| v.as_bytes() == wanted.as_bytes()),
    }
}

/// The host of an authority in lower case, without port and without a trailing dot. A host that is too long for DNS
/// matches nothing by name: it is cut to the empty string.
fn lower_host<'a>(authority: &[u8], buffer: &'a mut [u8; 256]) -> &'a str {
    let host = match authority.iter().rposition(|b| *b == b':') {
        // In `[::1]` the last colon is part of the address.
        Some(at) if !authority[at..].contains(&b']') => &authority[..at],
        _ => authority,
    };
    let host = host.strip_suffix(b".").unwrap_or(host);
    let target = buffer.get_mut(..host.len()).unwrap_or_default();
    if target.len() == host.len() {
        target.copy_from_slice(host);
        target.make_ascii_lowercase();
    }
    // Not UTF-8 is no host that a configuration could name.
    std::str::from_utf8(target).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn m(host: &str, path: PathMatch) -> Match {
        let host = match host {
            "*" => HostMatch::Any,
            h if h.starts_with("*.") => HostMatch::Wildcard(h[1..].into()),
            h => HostMatch::Exact(h.into()),
        };
        Match { host, path, ..Match::default() }
    }

    fn prefix(p: &str) -> PathMatch {
        PathMatch::Prefix(p.into())
    }

    fn find(table: &Table, host: &str, target: &str) -> Option<usize> {
        table.find(host.as_bytes(), b"GET", target.as_bytes(), &HeaderMap::new())
    }

    #[test]
    fn more_specific_wins_whatever_the_order() {
        let table = Table::new(
            [
                m("*", prefix("/")),
                m("*.example.com", prefix("/")),
                m("*.api.example.com", prefix("/")),
                m("a.example.com", prefix("/")),
                m("a.example.com", prefix("/v1")),
                m("a.example.com", PathMatch::Exact("/v1".into())),
                m("a.example.com", PathMatch::Regex("/v1/[0-9]+".into())),
            ]
            .iter(),
        )
        .expect("compiles");
        assert_eq!(find(&table, "other.org", "/x"), Some(0));
        assert_eq!(find(&table, "b.example.com:8080", "/x"), Some(1));
        assert_eq!(find(&table, "X.API.example.com.", "/x"), Some(2));
        assert_eq!(find(&table, "example.com", "/x"), Some(0), "a wildcard is not its own parent");
        assert_eq!(find(&table, "A.example.COM", "/x"), Some(3));
        assert_eq!(find(&table, "a.example.com", "/v1/x"), Some(4));
        assert_eq!(find(&table, "a.example.com", "/v1?q=1"), Some(5));
        assert_eq!(find(&table, "a.example.com", "/v1/42"), Some(6));
        assert_eq!(find(&table, "a.example.com", "/v1/42x"), Some(4), "a regular expression is anchored");
        assert_eq!(find(&table, "a.example.com", "/v12"), Some(3), "prefixes end at segments");
        assert_eq!(find(&table, &"x".repeat(300), "/"), Some(0), "an impossible host takes the route for any host");
    }

    proptest! {
        #[test]
        fn looked_up_or_asked_one_by_one_it_is_the_same_route(
            routes in proptest::collection::vec((0..3_usize, "(/[ab]{0,2}){1,3}", any::<bool>()), 0..20),
            target in "(/[ab]{0,2}){1,4}",
            post in any::<bool>(),
        ) {
            let path = |(kind, path, _): &(usize, String, bool)| match kind {
                0 => PathMatch::Exact(path.clone()),
                1 => prefix(path),
                _ => PathMatch::Regex(path.replace('a', ".")),
            };
            let methods = |only: bool| if only { vec!["POST".to_owned()] } else { Vec::new() };
            let all: Vec<_> = routes.iter().map(|r| Match { methods: methods(r.2), ..m("*", path(r)) }).collect();
            let (table, headers) = (Table::new(all.iter()).expect("compiles"), HeaderMap::new());
            let method: &[u8] = if post { b"POST" } else { b"GET" };
            let mut one_by_one = table.any.iter();
            let fits = |(matcher, _): &&(Matcher, usize)| matcher.misses(target.as_bytes(), method, &headers).is_none();
            let expected = one_by_one.find(fits).map(|(_, index)| *index);
            prop_assert_eq!(table.find(b"h", method, target.as_bytes(), &headers), expected);
        }
    }

    #[test]
    fn methods_and_headers_are_conditions() {
        let plain = m("*", prefix("/"));
        let post = Match { methods: vec!["POST".into()], ..m("*", prefix("/")) };
        let beta = Match { headers: vec![("x-beta".into(), Some("1".into()))], ..m("*", prefix("/")) };
        let any_beta = Match { headers: vec![("x-any".into(), None)], ..m("*", prefix("/")) };
        let table = Table::new([plain, post, beta, any_beta].iter()).expect("compiles");
        let mut headers = HeaderMap::new();
        assert_eq!(table.find(b"h", b"POST", b"/", &headers), Some(1));
        assert_eq!(table.find(b"h", b"GET", b"/", &headers), Some(0));
        headers.append("x-beta", "0".parse().expect("a value"));
        headers.append("x-beta", "1".parse().expect("a value"));
        assert_eq!(table.find(b"h", b"GET", b"/", &headers), Some(2), "any value of the field counts");
        headers.clear();
        headers.append("x-any", "whatever".parse().expect("a value"));
        assert_eq!(table.find(b"h", b"GET", b"/", &headers), Some(3));
    }

    #[test]
    fn without_a_route_for_any_host_there_may_be_none() {
        let table = Table::new([m("[::1]", prefix("/"))].iter()).expect("compiles");
        assert_eq!(find(&table, "[::1]:8080", "/"), Some(0));
        assert_eq!(find(&table, "[::1]", "/"), Some(0));
        assert_eq!(find(&table, "localhost", "/"), None);
    }
}
