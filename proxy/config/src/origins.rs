//! Where each value of the file stands, for people who see a value and wonder where it came from.

use std::sync::Arc;

use crate::{
    node::{Kind, Node},
    yaml::join,
};

/// Values whose place is kept; aliases can repeat a few lines very often.
const MOST: usize = 20_000;
/// Keys whose values are what a filter makes of them, and may hold secrets also in their keys.
const OPAQUE: [&str; 2] = ["config", "vm_config"];
/// Sections whose keys are names, also such as those above.
const NAMED: [&str; 2] = ["filters", "upstreams"];

/// Where each value stands.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Name of the file.
    pub file: String,
    /// Paths such as `routes[0].match.host`, each with its line, in the order of the file. A value that is not here is a
    /// default.
    pub lines: Vec<(String, usize)>,
    /// How many more there are.
    pub more: usize,
}

impl Origins {
    pub(crate) fn of(root: &Node, file: &str) -> Arc<Self> {
        let mut origins = Self { file: file.to_owned(), ..Self::default() };
        origins.walk(root, String::new(), false);
        Arc::new(origins)
    }

    /// `names`: the keys here are names and no words of ours.
    fn walk(&mut self, node: &Node, path: String, names: bool) {
        match &node.kind {
            Kind::Map(entries) if !entries.is_empty() => entries.iter().for_each(|entry| {
                let (key, inner) = (entry.key.as_str(), join(&path, &entry.key));
                if !names && OPAQUE.contains(&key) {
                    self.note(inner, entry.at.line);
                } else {
                    self.walk(&entry.value, inner, path.is_empty() && NAMED.contains(&key));
                }
            }),
            Kind::List(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(at, item)| self.walk(item, format!("{path}[{at}]"), false));
            }
            _ => self.note(path, node.at.line),
        }
    }

    fn note(&mut self, path: String, line: usize) {
        if self.lines.len() < MOST {
            self.lines.push((path, line));
        } else {
            self.more += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn origins(text: &str) -> Arc<Origins> {
        let root = yaml::load(text, &mut Vec::new()).expect("it is YAML");
        Origins::of(&root, "a.yaml")
    }

    fn shown(origins: &Origins) -> Vec<String> {
        origins.lines.iter().map(|(path, line)| format!("{path} {line}")).collect()
    }

    #[test]
    fn every_value_has_its_line_and_what_filters_are_given_has_one() {
        let text = "listeners:\n  - address: :1\n    h2c: true\nfilters:\n  config:\n    config:\n      password: x\n    env: {}\n\
                    routes:\n  - filters:\n      - a\n      - { use: b, config: { secret: y } }\n    match: { methods: [GET,\n      POST] }\n";
        let wanted = [
            "listeners[0].address 2",
            "listeners[0].h2c 3",
            "filters.config.config 6",
            "filters.config.env 8",
            "routes[0].filters[0] 11",
            "routes[0].filters[1].use 12",
            "routes[0].filters[1].config 12",
            "routes[0].match.methods[0] 13",
            "routes[0].match.methods[1] 14",
        ];
        assert_eq!(shown(&origins(text)), wanted);
    }

    #[test]
    fn what_an_alias_repeats_stands_where_it_was_written() {
        assert_eq!(shown(&origins("a: &x [1,\n 2]\nb: *x\n")), ["a[0] 1", "a[1] 2", "b[0] 1", "b[1] 2"]);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let text = format!("a: [{}]\n", "1, ".repeat(MOST + 7));
        let origins = origins(&text);
        assert_eq!((origins.lines.len(), origins.more), (MOST, 7));
    }
}
