//! Where dependencies come from and how often: registries only, and one version of what has types at our borders.

use std::collections::{BTreeMap, BTreeSet};

use crate::repo::graph;

/// Two of one of these and a value of the one is no value of the other, or a fix reaches only half of the program.
const ONCE: &[&str] = &["wasmtime", "pingora", "rustls", "http", "hyper", "tokio", "bytes"];

/// What two versions must share to be the same for Cargo: `1` of 1.2.3, `0.4` of 0.4.5.
fn compatible(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        _ => version.to_owned(),
    }
}

#[test]
fn every_dependency_comes_from_a_registry() {
    for package in graph().packages.values() {
        let registry = |source: &String| source.starts_with("registry+") || source.starts_with("sparse+");
        assert!(
            package.source.as_ref().is_none_or(registry),
            "{} {} comes from {:?}: released versions only",
            package.name,
            package.version,
            package.source
        );
    }
}

#[test]
fn what_meets_at_our_borders_exists_once() {
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in graph().packages.values() {
        let of = |family: &&str| {
            package.name == **family || (**family == *"pingora" && package.name.starts_with("pingora-"))
        };
        if let Some(family) = ONCE.iter().find(|family| of(family)) {
            found.entry(family).or_default().insert(compatible(&package.version));
        }
    }
    let twice: Vec<_> = found.iter().filter(|(_, versions)| versions.len() > 1).collect();
    assert!(twice.is_empty(), "incompatible versions of one crate: {twice:?}; `cargo tree -d` says who wants them");
}

#[test]
fn compatible_is_what_cargo_means_by_it() {
    assert_eq!(compatible("48.0.8"), "48");
    assert_eq!(compatible("0.9.1"), "0.9");
}
