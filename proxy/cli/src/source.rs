//! Builds a filter from its folder with the tools of its language, which it has to have: Cargo, or Go.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::Value;

use crate::explain::{self, Failure, size};

/// What Rust filters are built for.
const TARGET: &str = "wasm32-wasip1";

/// How much is said of a build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say {
    Everything,
    /// Nothing when nothing is another: what is written into a file beside the source would be a change of it.
    News,
}

/// Builds the filter in a folder and puts its module there, unless the same is there already. What the tools say goes to
/// standard error.
///
/// # Errors
/// When it is no folder of Rust or Go, a tool is missing, or the filter does not build.
pub(crate) fn build(folder: &Path, module: &Path, say: Say) -> Result<(), Failure> {
    let began = Instant::now();
    // Where Go puts what it makes.
    let room = tempfile::tempdir().map_err(|error| Failure::new(format_args!("no room for files: {error}")))?;
    let made = if folder.join("Cargo.toml").is_file() {
        cargo(folder, say)?
    } else if folder.join("go.mod").is_file() {
        go(folder, &room.path().join("filter.wasm"))?
    } else {
        return Err(Failure::new(format_args!(
            "{}: no Cargo.toml and no go.mod; build it as its language does, and name the module: `source: {{ path: FILE.wasm }}`",
            folder.display()
        )));
    };
    let changed = put(&made, module)
        .map_err(|error| Failure::new(format_args!("{} cannot be written: {error}", module.display())))?;
    if changed || say == Say::Everything {
        let bytes = fs::metadata(module).map_or(0, |file| file.len());
        let (said, took) = (if changed { "built" } else { "as before" }, began.elapsed().as_secs_f64());
        explain::note(&format!("{said}: {} ({}, {took:.1} s)", module.display(), size(bytes)));
    }
    Ok(())
}

/// Builds a crate; the path of its module.
fn cargo(folder: &Path, say: Say) -> Result<PathBuf, Failure> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    if say == Say::News {
        command.arg("--quiet");
    }
    let out = run(command.current_dir(folder), "cargo", "Rust: https://rustup.rs", folder)?;
    let manifest = fs::canonicalize(folder.join("Cargo.toml")).ok();
    let messages = out.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut modules: Vec<PathBuf> = messages
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["manifest_path"].as_str().map(PathBuf::from) == manifest)
        .filter_map(|message| module_in(&message["filenames"]))
        .collect();
    match (modules.pop(), modules.is_empty()) {
        (Some(module), true) => Ok(module),
        (None, _) => Err(Failure::new(format_args!(
            "{}: builds no module; its Cargo.toml needs\n  [lib]\n  crate-type = [\"cdylib\"]",
            folder.display()
        ))),
        (Some(_), false) => Err(Failure::new(format_args!("{}: builds more than one module", folder.display()))),
    }
}

fn module_in(files: &Value) -> Option<PathBuf> {
    let mut files = files.as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from);
    files.rfind(|file| file.extension() == Some(OsStr::new("wasm")))
}

/// Builds a package of Go into a file.
fn go(folder: &Path, into: &Path) -> Result<PathBuf, Failure> {
    let mut command = Command::new("go");
    command.args(["build", "-buildmode=c-shared", "-trimpath", "-o"]).arg(into).arg(".");
    command.env("GOOS", "wasip1").env("GOARCH", "wasm").env("CGO_ENABLED", "0");
    run(command.current_dir(folder), "go", "Go 1.24 or later: https://go.dev/dl/", folder)?;
    Ok(into.to_owned())
}

/// Runs a tool to its end; what it wrote to standard output.
fn run(command: &mut Command, tool: &str, from: &str, folder: &Path) -> Result<Vec<u8>, Failure> {
    let out = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Failure::new(format_args!("{}: there is no `{tool}` to build it with ({from})", folder.display()))
        } else {
            Failure::new(format_args!("{}: `{tool}` cannot be run: {error}", folder.display()))
        }
    })?;
    if out.status.success() {
        return Ok(out.stdout);
    }
    Err(Failure::new(format_args!("{}: `{tool}` did not build it ({})", folder.display(), out.status)))
}

/// Puts a module where it is looked for, by a rename, so that nobody reads half of one. Says whether it is another one.
fn put(made: &Path, module: &Path) -> io::Result<bool> {
    let bytes = fs::read(made)?;
    if fs::read(module).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let part = module.with_extension("wasm.part");
    fs::write(&part, bytes)?;
    fs::rename(&part, module)?;
    Ok(true)
}
