//! Why a request takes the route that it takes.

use http::HeaderMap;

use super::{Miss, Table, lower_host, path};

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Explained<'a> {
    /// The route that takes it.
    pub(crate) route: Option<usize>,
    /// Routes that were asked before, in their order, and what each missed. When none takes it, those of other hosts
    /// too, which were not asked.
    pub(crate) missed: Vec<(usize, Miss<'a>)>,
}

impl Table {
    /// As [`Table::find`], with all that was passed over on the way.
    pub(crate) fn explain(&self, authority: &[u8], method: &[u8], target: &[u8], headers: &HeaderMap) -> Explained<'_> {
        let (mut buffer, mut missed) = ([0; 256], Vec::new());
        let path = path(target);
        let own: Vec<_> = self.buckets(lower_host(authority, &mut buffer)).collect();
        for (matcher, index) in own.iter().flat_map(|bucket| bucket.iter()) {
            match matcher.misses(path, method, headers) {
                Some(miss) => missed.push((*index, miss)),
                None => return Explained { route: Some(*index), missed },
            }
        }
        let hosts = self.exact.values().chain(self.wildcard.iter().map(|(_, bucket)| bucket));
        let others = hosts.filter(|bucket| !own.iter().any(|own| std::ptr::eq(*own, *bucket)));
        let others = others.flat_map(|bucket| bucket.iter());
        let mut others: Vec<_> = others.map(|(_, index)| (*index, Miss::Host)).collect();
        others.sort_by_key(|(index, _)| *index);
        missed.extend(others);
        Explained { route: None, missed }
    }
}

#[cfg(test)]
mod tests {
    use sluice_config::plan::{HostMatch, Match, PathMatch};

    use super::*;

    fn table() -> Table {
        let exact = |host: &str, path| Match { host: HostMatch::Exact(host.into()), path, ..Match::default() };
        let prefix = |path: &str| PathMatch::Prefix(path.into());
        let headers = vec![("x-key".to_owned(), Some("s3cret".to_owned()))];
        let all = [
            Match { path: prefix("/"), ..Match::default() },
            exact("a.b", prefix("/v1")),
            Match { methods: vec!["POST".into()], headers, ..exact("a.b", prefix("/v1")) },
            exact("a.b", PathMatch::Exact("/v1/x".into())),
            Match { host: HostMatch::Wildcard(".b".into()), path: prefix("/"), ..Match::default() },
            exact("c.d", prefix("/")),
        ];
        Table::new(all.iter()).expect("compiles")
    }

    #[test]
    fn what_was_passed_over_is_told_in_the_order_in_which_it_was_asked() {
        let (table, mut headers) = (table(), HeaderMap::new());
        let explain = |host: &str, method: &str, target: &str, headers: &HeaderMap| {
            let explained = table.explain(host.as_bytes(), method.as_bytes(), target.as_bytes(), headers);
            let found = table.find(host.as_bytes(), method.as_bytes(), target.as_bytes(), headers);
            assert_eq!(explained.route, found, "{host} {method} {target}");
            explained
        };
        let told = explain("A.b:80", "GET", "/v1/x?q", &headers);
        assert_eq!((told.route, told.missed), (Some(3), vec![]));
        let told = explain("a.b", "GET", "/v1/y", &headers);
        assert_eq!((told.route, told.missed), (Some(1), vec![(3, Miss::Path), (2, Miss::Method)]));
        let told = explain("a.b", "POST", "/v1/y", &headers);
        assert_eq!((told.route, told.missed), (Some(1), vec![(3, Miss::Path), (2, Miss::Header("x-key"))]));
        headers.insert("x-key", http::HeaderValue::from_static("s3cret"));
        assert_eq!(explain("a.b", "POST", "/v1/y", &headers).route, Some(2));
        let told = explain("a.b", "GET", "/", &headers);
        assert_eq!(told.route, Some(4), "the wildcard comes after the host");
        assert_eq!(told.missed, [(3, Miss::Path), (2, Miss::Path), (1, Miss::Path)]);
        assert_eq!(explain("", "GET", "/", &headers).route, Some(0));
    }

    #[test]
    fn where_no_route_fits_those_of_other_hosts_are_told_too() {
        let only = Match { host: HostMatch::Exact("c.d".into()), ..Match::default() };
        let path = Match { path: PathMatch::Exact("/x".into()), ..Match::default() };
        let table = Table::new([only, path].iter()).expect("compiles");
        let told = table.explain(b"a.b", b"GET", b"/", &HeaderMap::new());
        assert_eq!((told.route, told.missed), (None, vec![(1, Miss::Path), (0, Miss::Host)]));
    }
}
