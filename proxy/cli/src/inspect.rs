//! What `sluice inspect` knows about a module, from its bytes alone.
//!
//! Whether it would serve is `sluice check`'s to say: that runs it.

mod imports;
pub(crate) mod json;
mod known;
mod origin;
pub(crate) mod policy;
pub(crate) mod text;

use sluice_host::{AbiVersion, CodeError, Digest, Facts};

pub(crate) use imports::Imports;
pub(crate) use known::Callback;
pub(crate) use origin::Origin;

/// Bytes of a page of linear memory.
const PAGE: u64 = 64 << 10;

/// Everything that is printed about a module.
pub(crate) struct Report {
    pub(crate) digest: Digest,
    pub(crate) facts: Facts,
    pub(crate) abi: Option<AbiVersion>,
    pub(crate) origin: Origin,
    pub(crate) imports: Imports,
    /// In the order of a request's life.
    pub(crate) callbacks: Vec<Callback>,
    /// Exports that are neither callbacks nor the marker of the ABI.
    pub(crate) others: Vec<String>,
    /// Why this host would refuse it, a sentence each.
    pub(crate) problems: Vec<String>,
}

impl Report {
    /// Reads a module.
    ///
    /// # Errors
    /// [`CodeError`] with a sentence that says what the bytes are instead.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, CodeError> {
        let facts = Facts::read(bytes)?;
        let abi = facts.functions.iter().find_map(|export| AbiVersion::from_marker(export));
        let imports = Imports::of(&facts);
        let callbacks = known::callbacks(&facts.functions);
        let others = facts
            .functions
            .iter()
            .filter(|export| !export.starts_with("proxy_abi_") && !callbacks.iter().any(|c| c.name == **export))
            .chain(&facts.other_exports)
            .cloned()
            .collect();
        Ok(Self {
            digest: Digest::of(bytes),
            origin: Origin::of(&facts, abi),
            problems: problems(&facts, abi, &imports),
            facts,
            abi,
            imports,
            callbacks,
            others,
        })
    }

    /// Pages at start with their bytes, and the same for the most that the module itself allows.
    pub(crate) fn memory(&self) -> Option<(Pages, Option<Pages>)> {
        Some((Pages(self.facts.memory_pages?), self.facts.memory_max_pages.map(Pages)))
    }
}

/// A number of pages.
#[derive(Clone, Copy)]
pub(crate) struct Pages(pub(crate) u64);

impl Pages {
    pub(crate) fn bytes(self) -> u64 {
        self.0.saturating_mul(PAGE)
    }
}

fn problems(facts: &Facts, abi: Option<AbiVersion>, imports: &Imports) -> Vec<String> {
    let mut found = Vec::new();
    if abi.is_none() {
        let versions: Vec<&str> = AbiVersion::ALL.iter().map(|version| version.name()).collect();
        let marker = facts.functions.iter().find(|export| export.starts_with("proxy_abi_"));
        found.push(match marker {
            Some(marker) => {
                format!("it speaks an ABI that is not known here ({marker}); known are {}", versions.join(", "))
            }
            None => "it exports no proxy_abi_version_… marker, so it is no Proxy-Wasm filter".to_owned(),
        });
    }
    if !imports.missing.is_empty() {
        found.push("it imports what does not exist here".to_owned());
    }
    if !facts.other_exports.iter().any(|export| export == "memory") {
        found.push("it exports no memory".to_owned());
    }
    if !known::ALLOCATORS.iter().any(|name| facts.functions.iter().any(|export| export == name)) {
        found.push(format!("it exports no allocator ({})", known::ALLOCATORS.join(" or ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_filter_must_export_is_missed() {
        let nothing = Report::of(b"\0asm\x01\0\0\0").expect("the smallest module");
        assert_eq!(nothing.problems.len(), 3, "{:?}", nothing.problems);
        assert!(nothing.abi.is_none() && nothing.memory().is_none() && nothing.callbacks.is_empty());
    }
}
