//! Who made a module: what it says itself in its producers section, and what its exports give away.

use sluice_host::{AbiVersion, Facts};

/// Languages, tools and SDK, as far as the module tells.
pub(crate) struct Origin {
    /// Such as `Rust` or `Go go1.26`.
    pub(crate) languages: Vec<String>,
    /// Such as `rustc 1.95.0`.
    pub(crate) tools: Vec<String>,
    /// The SDK, when its marks are unmistakable.
    pub(crate) sdk: Option<&'static str>,
}

impl Origin {
    pub(crate) fn of(facts: &Facts, abi: Option<AbiVersion>) -> Self {
        let field = |prefix: &str| -> Vec<String> {
            facts.producers.iter().filter_map(|entry| Some(entry.strip_prefix(prefix)?.trim().to_owned())).collect()
        };
        let mut languages = field("language ");
        let tools: Vec<String> = field("processed-by ").into_iter().chain(field("sdk ")).collect();
        // A standard library built from source loses the language, which the compiler's name still tells; what is left
        // then is the C of its libc.
        let by_rustc = tools.iter().any(|tool| tool.starts_with("rustc"));
        if by_rustc && !languages.iter().any(|language| language.starts_with("Rust")) {
            languages.insert(0, "Rust".to_owned());
        }
        let sdk = sdk(facts, &languages, abi);
        Self { languages, tools, sdk }
    }
}

/// Both SDKs export every callback that they know, whatever the filter overrides; a module written by hand does not.
fn sdk(facts: &Facts, languages: &[String], abi: Option<AbiVersion>) -> Option<&'static str> {
    let speaks = |language: &str| languages.iter().any(|l| l.split(' ').next() == Some(language));
    let exports = |name: &str| facts.functions.iter().any(|export| export == name);
    let everything = exports("proxy_on_upstream_connection_close") && exports("proxy_on_queue_ready");
    match abi? {
        AbiVersion::V0_2_1 if speaks("Rust") && everything => Some("proxy-wasm 0.2 for Rust"),
        AbiVersion::V0_1_0 if speaks("Rust") && everything => Some("proxy-wasm 0.1 for Rust"),
        AbiVersion::V0_2_0 if speaks("Go") && everything => Some("proxy-wasm-go-sdk for Go 1.24 and later"),
        // TinyGo writes no producers of its own; its allocator exports give it away.
        AbiVersion::V0_1_0 | AbiVersion::V0_2_0 if everything && exports("calloc") && exports("realloc") => {
            Some("proxy-wasm-go-sdk for TinyGo")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(producers: &[&str], functions: &[&str]) -> Facts {
        let own = |list: &[&str]| list.iter().map(|entry| (*entry).to_owned()).collect();
        Facts { producers: own(producers), functions: own(functions), ..Facts::default() }
    }

    #[test]
    fn an_sdk_is_named_only_when_it_is_sure() {
        let all = ["proxy_on_upstream_connection_close", "proxy_on_queue_ready"];
        let rust = ["language Rust", "language C11", "processed-by rustc 1.95.0"];
        let origin = Origin::of(&facts(&rust, &all), Some(AbiVersion::V0_2_1));
        assert_eq!(origin.languages, ["Rust", "C11"]);
        assert_eq!(origin.tools, ["rustc 1.95.0"]);
        assert_eq!(origin.sdk, Some("proxy-wasm 0.2 for Rust"));
        let go = Origin::of(&facts(&["language Go go1.26.8"], &all), Some(AbiVersion::V0_2_0));
        assert_eq!(go.sdk, Some("proxy-wasm-go-sdk for Go 1.24 and later"));
        assert_eq!(Origin::of(&facts(&rust, &[]), Some(AbiVersion::V0_2_1)).sdk, None, "written by hand");
        assert_eq!(Origin::of(&facts(&rust, &all), None).sdk, None, "no filter at all");
    }

    #[test]
    fn a_lost_language_is_told_by_the_compiler() {
        let producers = [
            "language C99",
            "processed-by rustc 1.96.0 (built from a source tarball)",
            "processed-by Debian clang 14.0.6",
        ];
        let all = ["proxy_on_upstream_connection_close", "proxy_on_queue_ready"];
        let origin = Origin::of(&facts(&producers, &all), Some(AbiVersion::V0_2_1));
        assert_eq!(origin.languages, ["Rust", "C99"]);
        assert_eq!(origin.sdk, Some("proxy-wasm 0.2 for Rust"));
    }
}
