//! What is left out of lines: values of query parameters and of header fields that may let somebody in.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use regex::{RegexSet, RegexSetBuilder};
use sluice_config::plan;

/// What stands in its place.
pub(super) const REDACTED: &str = "REDACTED";

/// Rules, ready for use.
pub(super) struct Redactor {
    query: RegexSet,
    headers: Vec<String>,
}

impl Redactor {
    pub(super) fn new(plan: &plan::Redact) -> Self {
        let patterns = plan.query.iter().map(|name| format!("^{}$", regex::escape(name).replace("\\*", ".*")));
        let query = RegexSetBuilder::new(patterns).case_insensitive(true).dot_matches_new_line(true).build();
        // Escaped text always compiles; of a list that is too long for that everything is left out.
        let query = query.unwrap_or_else(|_| RegexSet::new(["(?s).*"]).unwrap_or_default());
        Self { query, headers: plan.headers.clone() }
    }

    /// Whether this field is not written; its name is in lower case.
    pub(super) fn hides(&self, header: &str) -> bool {
        self.headers.iter().any(|hidden| hidden == header)
    }

    /// A path with its query, or a URL.
    pub(super) fn target<'a>(&self, target: Cow<'a, str>) -> Cow<'a, str> {
        let Some((path, query)) = target.split_once('?').filter(|_| !self.query.is_empty()) else { return target };
        if !query.split(['&', ';']).any(|parameter| self.matches(parameter)) {
            return target;
        }
        let mut out = format!("{path}?");
        for parameter in query.split_inclusive(['&', ';']) {
            let (text, end) = match parameter.strip_suffix(['&', ';']) {
                Some(text) => (text, &parameter[text.len()..]),
                None => (parameter, ""),
            };
            match text.split_once('=') {
                _ if !self.matches(text) => out.push_str(text),
                Some((name, _)) => out.extend([name, "=", REDACTED]),
                None => out.push_str(REDACTED),
            }
            out.push_str(end);
        }
        out.into()
    }

    /// A name that is written with percent signs is the same name.
    fn matches(&self, parameter: &str) -> bool {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        !parameter.is_empty() && self.query.is_match(&percent_decode_str(name).decode_utf8_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(names: &[&str], target: &str) -> String {
        let query = names.iter().map(|name| (*name).to_owned()).collect();
        Redactor::new(&plan::Redact { query, headers: Vec::new() }).target(target.into()).into_owned()
    }

    #[test]
    fn values_are_left_out_by_the_names_of_their_parameters() {
        let names = ["sig", "x-amz-*", "*token*"];
        for (target, written) in [
            ("/a", "/a"),
            ("/a?b=1", "/a?b=1"),
            ("/a?sig=1&b=2", "/a?sig=REDACTED&b=2"),
            ("/a?b=2;SIG=1", "/a?b=2;SIG=REDACTED"),
            ("/a?s%69g=1", "/a?s%69g=REDACTED"),
            ("/a?design=1&sig", "/a?design=1&REDACTED"),
            ("/a?X-Amz-Date=1=2&&access_token=x?y=z", "/a?X-Amz-Date=REDACTED&&access_token=REDACTED"),
            ("/a?", "/a?"),
        ] {
            assert_eq!(redact(&names, target), written, "{target}");
        }
        assert_eq!(redact(&[], "/a?sig=1"), "/a?sig=1");
        assert_eq!(redact(&["*"], "/a?b=1&c"), "/a?b=REDACTED&REDACTED");
        assert_eq!(redact(&["a.c"], "/?abc=1"), "/?abc=1", "only the star has a meaning");
    }
}
