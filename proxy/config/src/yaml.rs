//! Text to tree: drives the YAML parser's events, keeps positions, bounds what hostile text can cost.

use std::collections::{HashMap, hash_map::Entry as Slot};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::{
    error::Error,
    node::{Entry, Kind, Node, Scalar},
    plan::Position,
    reader::shorten,
};

/// Longest text, bytes.
pub(crate) const MAX_TEXT: usize = 4 << 20;
/// Deepest nesting; everything after this stage may recurse.
pub(crate) const MAX_DEPTH: usize = 64;
/// Most weight of a tree after its aliases are expanded: bytes of text plus `NODE` for each value.
const MAX_WEIGHT: usize = 32 << 20;
const NODE: usize = 64;

/// A collection whose end has not been met.
struct Open {
    node: Node,
    anchor: usize,
    /// A key that waits for its value.
    key: Option<(String, Position)>,
    weight: usize,
    /// Height of what was put in, in levels.
    height: usize,
}

/// A value that an alias can repeat.
struct Anchored {
    node: Node,
    weight: usize,
    height: usize,
}

struct Loader<'e> {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    weight: usize,
    root: Option<Node>,
    documents: usize,
    errors: &'e mut Vec<Error>,
}

/// The tree of a text. Duplicate keys go to `errors` and do not stop it.
pub(crate) fn load(text: &str, errors: &mut Vec<Error>) -> Result<Node, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::new(Position { line: 1, column: 1 }, "", "the file is larger than 4MiB"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    refuse_control_characters(text)?;
    let mut loader = Loader { open: Vec::new(), anchors: HashMap::new(), weight: 0, root: None, documents: 0, errors };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => loader.event(event, position(&span.start))?,
            Err(error) => return Err(syntax(text, position(error.marker()), error.info())),
        }
    }
    loader.root.ok_or_else(|| {
        Error::new(Position { line: 1, column: 1 }, "", "the file is empty")
            .help("a configuration needs at least `listeners:` and `routes:`; see conf/quickstart.yaml")
    })
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// YAML forbids them, and the parser would take a NUL for the end of the file.
fn refuse_control_characters(text: &str) -> Result<(), Error> {
    let forbidden = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let Some(at) = text.find(forbidden) else {
        return Ok(());
    };
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let place = Position {
        line: before.matches('\n').count() + 1,
        column: before.get(start..).unwrap_or_default().chars().count() + 1,
    };
    let code = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, u32::from);
    Err(Error::new(place, "", format!("control character U+{code:04X} is not allowed in YAML"))
        .help("inside double quotes write it as an escape, such as \"\\x1b\""))
}

fn syntax(text: &str, at: Position, info: &str) -> Error {
    let error = Error::new(at, "", format!("not valid YAML: {info}"));
    let line = text.lines().nth(at.line - 1).unwrap_or_default();
    let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
    if indent.contains('\t') {
        error.help("indent with spaces; YAML does not allow tabs")
    } else if line.contains("${") && info.contains("flow") {
        error.help("inside `{ }` and `[ ]` a variable needs quotes: \"${NAME}\"")
    } else if info.contains("anchor") || info.contains("alias") {
        error.help("a value that begins with `*` or `&` needs quotes: \"*.example.com\"")
    } else if info.contains("mapping values are not allowed") {
        error.help("a value that contains `: ` needs quotes, or this line is indented too far")
    } else if line.trim_start().starts_with(['@', '`', '%']) || info.contains("unexpected character") {
        error.help("a value that begins with a special character needs quotes")
    } else {
        error
    }
}

impl Loader<'_> {
    fn event(&mut self, event: Event<'_>, at: Position) -> Result<(), Error> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Error::new(at, "", "a second document begins here")
                        .help("one file holds one configuration: remove the `---`"));
                }
            }
            Event::MappingStart(anchor, tag) => {
                known_tag(tag.as_deref(), at)?;
                self.open(Kind::Map(Vec::new()), anchor, at)?;
            }
            Event::SequenceStart(anchor, tag) => {
                known_tag(tag.as_deref(), at)?;
                self.open(Kind::List(Vec::new()), anchor, at)?;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                if let Some(mut done) = self.open.pop() {
                    self.refuse_duplicates(&mut done.node);
                    self.put(done.node, done.anchor, done.weight, done.height + 1)?;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let forced = known_tag(tag.as_deref(), at)?;
                let plain = style == ScalarStyle::Plain && !forced;
                let weight = NODE + text.len();
                afford(&mut self.weight, weight, at)?;
                let scalar = Scalar { text: text.into_owned(), written: None, plain };
                self.put(Node { at, kind: Kind::Scalar(scalar) }, anchor, weight, 1)?;
            }
            Event::Alias(anchor) => {
                let Some(known) = self.anchors.get(&anchor) else {
                    return Err(Error::new(at, "", "this alias stands inside the value it repeats"));
                };
                let (weight, height) = (known.weight, known.height);
                afford(&mut self.weight, weight, at)?;
                // Its parts keep the positions of the text they come from.
                let node = Node { at, kind: known.node.kind.clone() };
                self.put(node, 0, weight, height)?;
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing => {}
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind, anchor: usize, at: Position) -> Result<(), Error> {
        self.shallow(1, at)?;
        afford(&mut self.weight, NODE, at)?;
        self.open.push(Open { node: Node { at, kind }, anchor, key: None, weight: NODE, height: 0 });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize, weight: usize, height: usize) -> Result<(), Error> {
        self.shallow(height, node.at)?;
        if anchor > 0 {
            // The copy is paid for as well, or anchors inside anchors would be free.
            afford(&mut self.weight, weight, node.at)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), weight, height });
        }
        let Some(parent) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        parent.weight += weight;
        parent.height = parent.height.max(height);
        match &mut parent.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match parent.key.take() {
                Some((key, at)) => entries.push(Entry { key, at, value: node }),
                None => {
                    let at = node.at;
                    let Kind::Scalar(scalar) = node.kind else {
                        return Err(Error::new(at, "", "a key must be a plain word"));
                    };
                    parent.key = Some((scalar.text, at));
                }
            },
            Kind::Scalar(_) | Kind::Broken => {}
        }
        Ok(())
    }

    fn shallow(&self, height: usize, at: Position) -> Result<(), Error> {
        if self.open.len() + height > MAX_DEPTH {
            return Err(Error::new(at, "", format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    /// Where the value stands that is being put together, as readers would say it.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match (&open.node.kind, &open.key) {
                (Kind::List(items), _) => path.push_str(&format!("[{}]", items.len())),
                (_, Some((key, _))) => path = join(&path, key),
                _ => {}
            }
        }
        path
    }

    /// The first of two equal keys stays.
    fn refuse_duplicates(&mut self, node: &mut Node) {
        let path = self.path();
        let Kind::Map(entries) = &mut node.kind else {
            return;
        };
        let mut seen: HashMap<String, Position> = HashMap::with_capacity(entries.len());
        entries.retain(|entry| match seen.entry(entry.key.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(entry.at);
                true
            }
            Slot::Occupied(first) => {
                self.errors.push(
                    Error::new(
                        entry.at,
                        join(&path, &entry.key),
                        format!("the key `{}` stands here a second time", shorten(&entry.key)),
                    )
                    .help(format!("the first is on line {}; keep one of them", first.get().line)),
                );
                false
            }
        });
    }
}

/// A path and one key more.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { shorten(key) } else { format!("{path}.{}", shorten(key)) }
}

/// Charged once for what the text has and once for each copy.
fn afford(total: &mut usize, weight: usize, at: Position) -> Result<(), Error> {
    *total = total.saturating_add(weight);
    if *total > MAX_WEIGHT {
        return Err(Error::new(at, "", "the values of this file are too many or too large")
            .help("aliases (`*name`) repeat their whole value each time"));
    }
    Ok(())
}

/// True when the tag says the value is a string whatever it looks like.
fn known_tag(tag: Option<&Tag>, at: Position) -> Result<bool, Error> {
    let Some(tag) = tag else { return Ok(false) };
    if !tag.is_yaml_core_schema() {
        return Err(Error::new(at, "", format!("tags such as `{tag}` are not supported"))
            .help("quote a value that begins with `!`"));
    }
    Ok(tag.suffix == "str")
}
