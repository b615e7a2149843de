//! A filter that says which version it is, made for the test.

use std::{fs, path::Path};

use crate::harness::Client;

/// Adds `x-version` to the request and to the response.
pub struct Version {
    version: String,
    name: &'static str,
    start: &'static str,
    request: String,
}

impl Version {
    pub fn new(version: &str) -> Self {
        Self { version: version.to_owned(), name: "x-version", start: "", request: String::new() }
    }

    /// Another field than `x-version`.
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    pub fn trapping_at_start(self) -> Self {
        Self { start: "(func (export \"_initialize\") unreachable)", ..self }
    }

    /// Every so many requests it traps.
    pub fn trapping_every(self, requests: u32) -> Self {
        let request = format!(
            "(global.set $met (i32.add (global.get $met) (i32.const 1)))
             (if (i32.eqz (i32.rem_u (global.get $met) (i32.const {requests}))) (then unreachable))"
        );
        Self { request, ..self }
    }

    pub fn module(&self) -> Vec<u8> {
        let Self { version, name, start, request } = self;
        let add = |map: u8| {
            let (name, version) = (name.len(), version.len());
            format!(
                "(drop (call $add (i32.const {map}) (i32.const 0) (i32.const {name}) (i32.const 64) (i32.const {version})))"
            )
        };
        let text = format!(
            "(module
               (import \"env\" \"proxy_add_header_map_value\" (func $add (param i32 i32 i32 i32 i32) (result i32)))
               (memory (export \"memory\") 1) (global $met (mut i32) (i32.const 0))
               (data (i32.const 0) \"{name}\") (data (i32.const 64) \"{version}\")
               (func (export \"malloc\") (param i32) (result i32) (i32.const 1024))
               (func (export \"proxy_abi_version_0_2_1\")) {start}
               (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) {request} {} (i32.const 0))
               (func (export \"proxy_on_response_headers\") (param i32 i32 i32) (result i32) {} (i32.const 0)))",
            add(0),
            add(2),
        );
        wat::parse_str(text).unwrap()
    }
}

/// Adds `x-count` to the response: how many requests its guest has met.
pub fn counter() -> Vec<u8> {
    let text = r#"(module
        (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "x-count") (data (i32.const 64) "0")
        (func (export "malloc") (param i32) (result i32) (i32.const 1024))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
          (i32.store8 (i32.const 64) (i32.add (i32.load8_u (i32.const 64)) (i32.const 1)))
          (drop (call $add (i32.const 2) (i32.const 0) (i32.const 7) (i32.const 64) (i32.const 1)))
          (i32.const 0)))"#;
    wat::parse_str(text).unwrap()
}

/// Renames it into the place of `v.wasm`.
pub fn put(dir: &Path, version: &Version) {
    let fresh = dir.join("v.wasm.new");
    fs::write(&fresh, version.module()).unwrap();
    fs::rename(fresh, dir.join("v.wasm")).unwrap();
}

/// The one version that a request met on its way there and back.
pub fn version_of(client: &mut Client) -> String {
    let answer = client.request("GET /", &[], "");
    assert_eq!(answer.status(), 200, "{answer:?}");
    let version = answer.header("x-version");
    assert_eq!(answer.echoed("x-version").as_deref(), Some(&*version), "one version both ways");
    version
}
