//! What the tests read: the dependency graph as Cargo resolved it, and the files of the repository.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

/// Folders that hold what was built or what tools keep.
const NOT_OURS: [&str; 4] = ["target", ".build", ".git", "node_modules"];

/// The folder of the whole repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    here.canonicalize().unwrap()
}

/// One dependency as a manifest writes it.
pub(crate) struct Arrow {
    pub(crate) name: String,
    /// `normal`, `build` or `dev`.
    pub(crate) kind: String,
    /// Where it comes from; `None` is a path in this repository.
    pub(crate) source: Option<String>,
}

/// One package of the graph.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    pub(crate) source: Option<String>,
    /// Path of its folder, relative to the repository; only for packages of this repository.
    pub(crate) folder: String,
    pub(crate) arrows: Vec<Arrow>,
}

/// Everything that is built here, on this platform, tests included.
pub(crate) struct Graph {
    pub(crate) packages: BTreeMap<String, Package>,
    pub(crate) members: Vec<String>,
    /// What each package is built with, without dev-dependencies.
    below: BTreeMap<String, Vec<String>>,
}

impl Graph {
    /// The packages of this repository's workspace.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.members.iter().map(|id| &self.packages[id])
    }

    /// One of them, by name.
    pub(crate) fn our(&self, name: &str) -> Option<&Package> {
        self.ours().find(|package| package.name == name)
    }

    /// A shortest way from one of our packages down to a package that `wanted` accepts, as names.
    pub(crate) fn way(&self, from: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let start = self.members.iter().find(|id| self.packages[*id].name == from)?;
        let mut queue = std::collections::VecDeque::from([vec![start]]);
        let mut seen = BTreeSet::from([start]);
        while let Some(way) = queue.pop_front() {
            for next in &self.below[way[way.len() - 1]] {
                let mut longer = way.clone();
                longer.push(next);
                if wanted(&self.packages[next].name) {
                    let names: Vec<&str> = longer.iter().map(|id| self.packages[*id].name.as_str()).collect();
                    return Some(names.join(" -> "));
                }
                if seen.insert(next) {
                    queue.push_back(longer);
                }
            }
        }
        None
    }
}

/// The graph of the workspace, asked for once.
pub(crate) fn graph() -> &'static Graph {
    static GRAPH: OnceLock<Graph> = OnceLock::new();
    GRAPH.get_or_init(|| {
        // Only this platform: what is never built here would have to be downloaded to be looked at.
        let host = run(Command::new("rustc").args(["-vV"]));
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
        read(&["--locked", "--filter-platform", &host], &root())
    })
}

/// Only the manifests of another workspace of this repository, without resolving anything.
pub(crate) fn manifests(folder: &str) -> Graph {
    read(&["--no-deps"], &root().join(folder))
}

fn read(arguments: &[&str], folder: &Path) -> Graph {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let text = run(Command::new(cargo).args(["metadata", "--format-version", "1"]).args(arguments).current_dir(folder));
    let json: Value = serde_json::from_str(&text).unwrap();
    let packages: BTreeMap<String, Package> =
        list(&json["packages"]).iter().map(|package| (text_of(&package["id"]), self::package(package))).collect();
    let below = list(&json["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let built_with = list(&node["deps"])
                .iter()
                .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev"))
                .map(|dep| text_of(&dep["pkg"]));
            (text_of(&node["id"]), built_with.collect())
        })
        .collect();
    let members = list(&json["workspace_members"]).iter().map(text_of).collect();
    Graph { packages, members, below }
}

fn package(json: &Value) -> Package {
    let manifest = text_of(&json["manifest_path"]);
    let folder = Path::new(&manifest).parent().unwrap();
    let arrows = list(&json["dependencies"]).iter().map(|dependency| Arrow {
        name: text_of(&dependency["name"]),
        kind: dependency["kind"].as_str().unwrap_or("normal").to_owned(),
        source: dependency["source"].as_str().map(str::to_owned),
    });
    Package {
        name: text_of(&json["name"]),
        version: text_of(&json["version"]),
        licence: json["license"].as_str().map(str::to_owned),
        source: json["source"].as_str().map(str::to_owned),
        folder: folder.strip_prefix(root()).unwrap_or(folder).display().to_string(),
        arrows: arrows.collect(),
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text_of(json: &Value) -> String {
    json.as_str().unwrap().to_owned()
}

/// Every file below a folder of the repository, as paths relative to the repository, in order.
pub(crate) fn files(below: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path().strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// The text of a file of the repository; `None` when it is not text.
pub(crate) fn text(path: &str) -> Option<String> {
    String::from_utf8(fs::read(root().join(path)).unwrap()).ok()
}
