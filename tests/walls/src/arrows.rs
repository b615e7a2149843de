//! The allowed arrows between crates, and what must never stand below them. ARCHITECTURE.md draws the same picture.

use crate::repo::{Arrow, Package, graph, manifests};

/// Every arrow that a product crate may have towards another; what is not listed is forbidden.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sluicegate", &["sluice-server", "sluice-replay", "sluice-host", "sluice-engine", "sluice-config"]),
    ("sluice-server", &["sluice-host", "sluice-config"]),
    ("sluice-replay", &["sluice-host", "sluice-config"]),
    ("sluice-host", &["sluice-engine", "sluice-abi"]),
    ("sluice-engine", &[]),
    ("sluice-config", &[]),
    ("sluice-abi", &[]),
];

/// Families of crates that only these may name, in any kind of dependency; one of them is Pingora alone, to measure against.
const ONLY: &[(&str, &[&str])] =
    &[("pingora", &["sluice-server", "sluice-bench-bare"]), ("wasmtime", &["sluice-engine", "sluice-host"])];

/// What must not stand anywhere below a crate, and why.
const NEVER_BELOW: &[(&str, &[&str], &str)] = &[
    ("sluice-config", &["tokio", "wasmtime", "pingora", "hyper"], "a configuration is a function from text to a plan"),
    ("sluice-engine", &["tokio", "pingora", "hyper", "sluice-abi"], "the engine runs any module and waits for nothing"),
    ("sluice-host", &["tokio", "pingora", "hyper"], "the host has no I/O: any embedder can drive it"),
    ("sluice-replay", &["tokio", "pingora", "hyper"], "a replay needs neither socket nor runtime"),
];

/// Other workspaces of this repository, and the crates of ours that they may name.
const GUESTS: &[(&str, &[&str])] = &[
    ("filters", &["sluice-sdk"]),
    ("tests/fixtures/rust", &["sluice-sdk", "sluice-abi"]),
    ("sdk/rust", &["sluice-abi"]),
];

/// `pingora-core` is of the family `pingora`; `pingoraish` is not.
fn of(family: &str, name: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Tests and benchmarks may look at everything; nothing may look at them.
fn is_test(package: &Package) -> bool {
    package.folder.starts_with("tests/") || package.folder.starts_with("benches")
}

fn is_ours(arrow: &Arrow) -> bool {
    arrow.source.is_none()
}

#[test]
fn crates_depend_only_on_what_stands_below_them() {
    let mut broken = Vec::new();
    for package in graph().ours().filter(|package| !is_test(package)) {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            broken.push(format!("{} ({}) is a new crate: give it a line in {}", package.name, package.folder, file!()));
            continue;
        };
        for arrow in package.arrows.iter().filter(|arrow| is_ours(arrow) && arrow.kind != "dev") {
            if !allowed.contains(&arrow.name.as_str()) {
                broken.push(format!("{} -> {} is no allowed arrow; allowed are {allowed:?}", package.name, arrow.name));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn nothing_depends_on_a_test_crate() {
    let graph = graph();
    for package in graph.ours() {
        for arrow in package.arrows.iter().filter(|arrow| is_ours(arrow) && arrow.kind != "dev") {
            let to = graph.our(&arrow.name);
            assert!(
                is_test(package) || !to.is_some_and(is_test),
                "{} -> {}: a product crate depends on a test crate",
                package.name,
                arrow.name
            );
        }
    }
}

#[test]
fn pingora_and_wasmtime_are_named_only_where_they_belong() {
    let mut broken = Vec::new();
    for package in graph().ours() {
        for (family, allowed) in ONLY {
            if allowed.contains(&package.name.as_str()) {
                continue;
            }
            for arrow in package.arrows.iter().filter(|arrow| of(family, &arrow.name)) {
                broken.push(format!("{} names {} ({}); only {allowed:?} may", package.name, arrow.name, arrow.kind));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_contract_needs_nothing() {
    let abi = graph().our("sluice-abi").expect("sdk/abi is a member");
    let needed: Vec<&str> = abi.arrows.iter().filter(|a| a.kind != "dev").map(|a| a.name.as_str()).collect();
    assert!(needed.is_empty(), "sluice-abi depends on {needed:?}; the contract has no dependencies");
}

#[test]
fn what_must_never_be_known_does_not_stand_below() {
    let mut broken = Vec::new();
    for (package, families, why) in NEVER_BELOW {
        // A crate that is not there yet breaks nothing.
        if let Some(way) = graph().way(package, |name| families.iter().any(|family| of(family, name))) {
            broken.push(format!("{way}: but {why}"));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn guests_know_only_their_sdk() {
    let mut broken = Vec::new();
    for (folder, allowed) in GUESTS {
        for package in manifests(folder).ours() {
            for arrow in package.arrows.iter().filter(|arrow| is_ours(arrow)) {
                if !allowed.contains(&arrow.name.as_str()) {
                    broken.push(format!(
                        "{} ({}) -> {}; a guest meets the proxy only as bytes",
                        package.name, package.folder, arrow.name
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}
