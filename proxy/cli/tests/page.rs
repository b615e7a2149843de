//! The commands of docs/capabilities.md say what stands there.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{fs, path::Path, process::Command};

#[test]
fn the_page_of_capabilities_says_what_the_binary_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/capabilities.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let filter = root.join("filters/rust/hello/hello.wasm");
    fs::copy(&filter, folder.path().join("hello.wasm")).expect("run tools/build-guests.sh first");
    let mut played = 0;
    // What stands between fences: each file is for the command behind it.
    for block in page.split("```").skip(1).step_by(2) {
        if let Some(file) = block.strip_prefix("yaml\n") {
            fs::write(folder.path().join("sluice.yaml"), file).unwrap();
        } else if let Some((command, printed)) =
            block.trim_start().strip_prefix("$ sluice ").and_then(|b| b.split_once('\n'))
        {
            // Both streams in one pipe, as on a terminal.
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("\"$0\" {command} 2>&1"), env!("CARGO_BIN_EXE_sluice")]);
            let output = shell.current_dir(folder.path()).env_remove("CLICOLOR_FORCE").output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), printed, "sluice {command}");
            played += 1;
        }
    }
    assert_eq!(played, 3);
}
