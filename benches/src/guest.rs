//! Guests in as many versions as wanted, each of which a client can tell from the others.

use std::fs;

use crate::root;

/// A small filter made from text: adds `x-version` to the request and to the response.
pub struct Version {
    number: u64,
    request: String,
}

impl Version {
    pub fn new(number: u64) -> Self {
        Self { number, request: String::new() }
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
        let Self { number, request } = self;
        let length = number.to_string().len();
        let add = |map: u8| {
            format!(
                "(drop (call $add (i32.const {map}) (i32.const 0) (i32.const 9) (i32.const 64) (i32.const {length})))"
            )
        };
        let text = format!(
            "(module
               (import \"env\" \"proxy_add_header_map_value\" (func $add (param i32 i32 i32 i32 i32) (result i32)))
               (memory (export \"memory\") 1) (global $met (mut i32) (i32.const 0))
               (data (i32.const 0) \"x-version\") (data (i32.const 64) \"{number}\")
               (func (export \"malloc\") (param i32) (result i32) (i32.const 1024))
               (func (export \"proxy_abi_version_0_2_1\"))
               (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) {request} {} (i32.const 0))
               (func (export \"proxy_on_response_headers\") (param i32 i32 i32) (result i32) {} (i32.const 0)))",
            add(0),
            add(2),
        );
        wat::parse_str(text).unwrap()
    }
}

/// `hello` of `filters/`, whose header is named after the version: `x-hello-rust` becomes `x-v-00000001` in its data.
/// So a version is another module and nothing else, and takes as long to compile as the real one.
pub struct Hello {
    pub language: &'static str,
    module: Vec<u8>,
    /// Where the name of the header stands, and its length.
    name: (usize, usize),
}

impl Hello {
    pub fn new(language: &'static str) -> Self {
        let file = root().join(format!("filters/{language}/hello/hello.wasm"));
        let module = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}: run `make filters`", file.display()));
        let name = format!("x-hello-{language}");
        let found: Vec<_> =
            module.windows(name.len()).enumerate().filter(|w| w.1 == name.as_bytes()).map(|w| w.0).collect();
        assert_eq!(found.len(), 1, "`{name}` stands once in {}", file.display());
        Self { language, name: (found[0], name.len()), module }
    }

    pub fn version(&self, number: u64) -> Vec<u8> {
        let (at, length) = self.name;
        let mut module = self.module.clone();
        let name = format!("x-v-{number:0>width$}", width = length - 4);
        module[at..at + length].copy_from_slice(name.as_bytes());
        module
    }

    pub fn kib(&self) -> usize {
        self.module.len() / 1024
    }
}
