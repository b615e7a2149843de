//! `sluice new`: a folder with a filter that builds, a configuration that serves it and the probes that it has to pass.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::ExitCode,
};

use crate::{
    args::Language,
    explain::{self, Failure},
};

/// Under this name the filter stands in the templates.
const NAME: &str = "my-filter";

/// What a filter in one language begins with.
struct Template {
    files: &'static [(&'static str, &'static str)],
    /// What building needs beside the language's own tools, and how to get it.
    once: &'static [&'static str],
    called: &'static str,
}

const COMMON: [(&str, &str); 2] = [
    ("sluice.yaml", include_str!("../../templates/sluice.yaml")),
    ("probe.yaml", include_str!("../../templates/probe.yaml")),
];

const RUST: Template = Template {
    files: &[
        ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml.txt")),
        ("src/lib.rs", include_str!("../../templates/rust/lib.rs")),
        (".cargo/config.toml", include_str!("../../templates/rust/config.toml")),
        (".gitignore", include_str!("../../templates/rust/gitignore")),
        ("README.md", include_str!("../../templates/rust/README.md")),
    ],
    once: &["rustup target add wasm32-wasip1     # once"],
    called: "Rust",
};

const GO: Template = Template {
    files: &[
        ("go.mod", include_str!("../../templates/go/go.mod.txt")),
        ("go.sum", include_str!("../../templates/go/go.sum.txt")),
        ("main.go", include_str!("../../templates/go/main.go.txt")),
        (".gitignore", include_str!("../../templates/go/gitignore")),
        ("README.md", include_str!("../../templates/go/README.md")),
    ],
    once: &[],
    called: "Go",
};

/// Writes the files of a new filter and says how it is built and served.
///
/// # Errors
/// When the folder has something in it already, or cannot be written.
pub(crate) fn run(name: &str, language: Language, into: Option<&Path>) -> Result<ExitCode, Failure> {
    let template = match language {
        Language::Rust => RUST,
        Language::Go => GO,
    };
    let folder = into.unwrap_or(Path::new(name));
    let fail = |error: std::io::Error| Failure::new(format!("{}: {error}", folder.display()));
    // One that cannot be listed is not there yet, or cannot be made either.
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(format!(
            "{} has files in it already, and nothing was written; `--into FOLDER` names another one",
            folder.display()
        )));
    }
    for (file, text) in template.files.iter().chain(&COMMON) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(fail)?;
        let mut out = OpenOptions::new().write(true).create_new(true).open(&path).map_err(fail)?;
        out.write_all(named(text, name).as_bytes()).map_err(fail)?;
    }
    let mut said =
        format!("{name}: a filter in {}, in {}\n\n  cd {}\n", template.called, folder.display(), folder.display());
    let serve = [
        "sluice dev                          # builds and serves it, and builds again whenever you save",
        "curl -i http://127.0.0.1:8080/      # in another terminal",
    ];
    for line in template.once.iter().chain(&serve) {
        said.push_str(&format!("  {line}\n"));
    }
    said.push_str("\nREADME.md says more; probe.yaml says what each version has to get right before it serves.\n");
    explain::print(&explain::visible(&said))?;
    Ok(ExitCode::SUCCESS)
}

/// The text with the filter's own name in it, and with Cargo's way to write that.
fn named(text: &str, name: &str) -> String {
    text.replace(NAME, name).replace(&NAME.replace('-', "_"), &name.replace('-', "_"))
}
