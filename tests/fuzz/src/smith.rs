//! Filters from any bytes: modules of `wasm-smith`, with imports from the hostcall table and exports from that of callbacks.

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};
use sluice_host::{ALLOCATORS, wasi_names::MODULES};
use wasm_smith::{Config, Module};

/// Pages of memory that a module may grow to.
const PAGES: u64 = 16;

/// Functions of WASI with two words; one of them the common linker does not have.
const WASI: [&str; 5] = ["random_get", "environ_get", "environ_sizes_get", "fd_fdstat_get", "fd_tell"];

macro_rules! hostcalls {
    ($($group:ident: $name:ident($($p:ident: $pk:ident),*) -> ($($r:ident: $rk:ident),*);)*) => {
        /// Every hostcall with the kinds of its parameters and results.
        const HOSTCALLS: &[(&str, &[&str])] = &[$((stringify!($name), &[$(stringify!($pk),)* $(stringify!($rk)),*])),*];
    };
}
sluice_abi::for_each_hostcall!(hostcalls);

macro_rules! callbacks {
    ($($group:ident: $name:ident($($param:tt),*) -> $result:ident;)*) => {
        /// Every callback with its parameters and the kind of its result.
        const CALLBACKS: &[(&str, &[&str], &str)] =
            &[$((stringify!($name), &[$(stringify!($param)),*], stringify!($result))),*];
    };
}
sluice_abi::for_each_callback!(callbacks);

/// A module that is meant to be a filter.
pub(crate) fn module(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    // What the host does not have is tried too, and then refused.
    let foreign = u.ratio(1, 16)?;
    let config = Config {
        available_imports: Some(text(&imports(u)?)),
        exports: Some(text(&exports(u)?)),
        reference_types_enabled: foreign,
        gc_enabled: foreign,
        exceptions_enabled: foreign,
        threads_enabled: foreign,
        memory64_enabled: foreign,
        tail_call_enabled: foreign,
        relaxed_simd_enabled: foreign,
        allow_start_export: u.ratio(1, 4)?,
        // A module that traps at its first load sees little of the host.
        disallow_traps: u.ratio(3, 4)?,
        // The one of the exports comes on top.
        max_memories: 0,
        max_memory32_bytes: PAGES << 16,
        max_table_elements: 1000,
        max_imports: 32,
        max_funcs: 40,
        max_globals: 8,
        max_types: 20,
        max_data_segments: 4,
        max_element_segments: 4,
        max_instructions: 120,
        ..Config::default()
    };
    Ok(Module::new(config, u)?.to_bytes())
}

fn text(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("the examples are modules")
}

/// Everything that a filter may import, sometimes of another type than here.
fn imports(u: &mut Unstructured<'_>) -> Result<String> {
    let words = |kind: &&str| match *kind {
        "I64" => " i64",
        // Where something is and how long, or where both are to be written.
        "Bytes" | "Pairs" | "Value" | "Maybe" => " i32 i32",
        _ => " i32",
    };
    let more = if u.ratio(1, 16)? { " i32" } else { "" };
    // Some modules import these without a result, as the specification of 0.1.0 once had them.
    let old = u.ratio(1, 4)?;
    let without =
        |name| old && matches!(name, "proxy_continue_request" | "proxy_continue_response" | "proxy_clear_route_cache");
    let mut wat = "(module".to_owned();
    // Writing to a `String` cannot fail.
    for (name, kinds) in HOSTCALLS {
        let params: String = kinds.iter().map(words).collect();
        let result = if without(*name) { "" } else { "(result i32)" };
        let _ = write!(wat, r#"(import "env" "{name}" (func (param{params}{more}) {result}))"#);
    }
    for (module, name) in MODULES.iter().flat_map(|module| WASI.map(|name| (module, name))) {
        let _ = write!(wat, r#"(import "{module}" "{name}" (func (param i32 i32) (result i32)))"#);
    }
    wat.push(')');
    Ok(wat)
}

/// A marker of the ABI, memory, an allocator, and some callbacks: those of the start, which most modules would fail in,
/// less often than others.
fn exports(u: &mut Unstructured<'_>) -> Result<String> {
    let version = *u.choose(&["0_1_0", "0_2_0", "0_2_1"])?;
    let mut wat = format!(
        r#"(module (memory (export "memory") 1 {PAGES}) (func (export "proxy_abi_version_{version}"))
        (func (export "{}") (param i32) (result i32) unreachable)"#,
        u.choose(&ALLOCATORS)?
    );
    let wrong = u.ratio(1, 16)?;
    for (name, params, result) in CALLBACKS {
        let start = matches!(*name, "proxy_on_vm_start" | "proxy_on_configure");
        if !(if start { u.ratio(1, 8)? } else { u.ratio(2, 3)? }) {
            continue;
        }
        let since = usize::from(version != "0_1_0");
        let count = params.iter().map(|param| if param.starts_with('[') { since } else { 1 }).sum::<usize>();
        let params = " i32".repeat(count + usize::from(wrong));
        let result = if *result == "none" { "" } else { "(result i32)" };
        let _ = write!(wat, r#"(func (export "{name}") (param{params}) {result} unreachable)"#);
    }
    wat.push(')');
    Ok(wat)
}
