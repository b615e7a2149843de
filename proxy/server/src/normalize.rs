//! The request target as routes and filters see it: origin form, without dot segments.
//!
//! A path is forwarded in the form it was matched in. Otherwise `/public/../admin` would take the route of `/public`
//! and reach `/admin`.

use std::borrow::Cow;

/// The target in origin form without dot segments; `None` when it climbs above the root.
pub(crate) fn target(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let origin = origin_form(raw);
    let cut = origin.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(origin.len());
    let (path, rest) = origin.split_at(cut);
    if !has_dots(path) {
        return Some(origin);
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path.split(|b| *b == b'/').skip(1).collect();
    for (i, segment) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        match dots(segment) {
            Some(1) => {}
            Some(_) => drop(kept.pop()?),
            None => {
                kept.push(segment);
                continue;
            }
        }
        // `/a/.` and `/a/b/..` name a folder: the slash at the end stays.
        if last {
            kept.push(b"");
        }
    }
    let mut out = Vec::with_capacity(origin.len());
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out.extend_from_slice(rest);
    Some(Cow::Owned(out))
}

/// `http://host/path` is sent to proxies; only its path is the target here.
fn origin_form(raw: &[u8]) -> Cow<'_, [u8]> {
    let lower = |prefix: &[u8]| raw.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
    let Some(skip) = [&b"http://"[..], b"https://"].iter().find(|p| lower(p)).map(|p| p.len()) else {
        return Cow::Borrowed(raw);
    };
    let rest = &raw[skip..];
    match rest.iter().position(|b| matches!(b, b'/' | b'?')) {
        Some(at) if rest[at] == b'/' => Cow::Borrowed(&rest[at..]),
        Some(at) => Cow::Owned([b"/", &rest[at..]].concat()),
        None => Cow::Borrowed(b"/"),
    }
}

fn has_dots(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|segment| dots(segment).is_some())
}

/// 1 for `.`, 2 for `..`, however they are escaped.
fn dots(segment: &[u8]) -> Option<usize> {
    let mut rest = segment;
    let mut count = 0;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', tail @ ..] => tail,
            [b'%', b'2', b'e' | b'E', tail @ ..] => tail,
            _ => return None,
        };
        count += 1;
    }
    (count == 1 || count == 2).then_some(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn t(raw: &str) -> Option<String> {
        super::target(raw.as_bytes()).map(|t| String::from_utf8(t.into_owned()).expect("text"))
    }

    #[test]
    fn dot_segments_are_resolved_however_they_are_written() {
        for (raw, wanted) in [
            ("/a/b?x=/../y", "/a/b?x=/../y"),
            ("/public/../admin", "/admin"),
            ("/public/%2e%2E/admin?q", "/admin?q"),
            ("/public/.%2e/admin", "/admin"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a/...", "/a/..."),
            ("/.hidden", "/.hidden"),
            ("//a", "//a"),
            ("/.", "/"),
            ("*", "*"),
            ("http://host/a/../b?c", "/b?c"),
            ("HTTP://host", "/"),
            ("https://host?q", "/?q"),
        ] {
            assert_eq!(t(raw).as_deref(), Some(wanted), "{raw}");
        }
        assert_eq!(t("/.."), None);
        assert_eq!(t("/a/../../b"), None);
    }

    proptest! {
        #[test]
        fn the_result_is_stable_and_never_climbs(raw in "/[a./%2eE?]{0,24}") {
            if let Some(once) = t(&raw) {
                let twice = t(&once);
                prop_assert_eq!(twice.as_deref(), Some(once.as_str()));
                prop_assert!(once.starts_with('/'));
            }
        }
    }
}
