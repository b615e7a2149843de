//! Each kind of mistake, with its exact place and words: `mistakes.txt` holds the files and what is said about each.
//!
//! `BLESS=1 cargo test -p sluice-config` writes what is said anew; read the difference before you keep it.

use std::{fs, path::Path};

use super::{Memory, lines, problems, problems_after_base, read, read_in};

#[test]
fn every_mistake_is_named_with_its_place() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/mistakes.txt");
    let text = fs::read_to_string(&path).unwrap();
    let mut made = String::new();
    for case in text.split("### ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (file, _) = rest.split_once("=>\n").unwrap();
        let said = if title.starts_with("after the base") { problems_after_base(file) } else { problems(file) };
        made.push_str(&format!("### {title}\n{file}=>\n"));
        for line in said {
            made.push_str(&format!("  {line}\n"));
        }
        made.push('\n');
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    for (old, new) in text.split("### ").zip(made.split("### ")) {
        assert!(old.trim() == new.trim() || std::env::var_os("BLESS").is_some(), "was:\n{old}\nis:\n{new}");
    }
}

#[test]
fn a_capability_that_nobody_knows_is_named_with_its_place_and_what_is_close() {
    let world = Memory::new()
        .with_capability("hostcalls", &["proxy_log", "proxy_done"])
        .with_capability("wasi", &(0..21).map(|n| ["fd_read", "fd_write"][n % 2]).collect::<Vec<_>>())
        .with_capability("foreign", &["sign"]);
    let text = format!(
        "{}filters:\n  a:\n    source: {{ path: a.wasm }}\n    capabilities:\n      \
         hostcalls: [proxy_log, proxy_lgo, nothing]\n      wasi: [fd_wriet, nothing]\n      foreign: [Sign]\n      \
         properties: [any.thing]\n      shared_data: [anything]\n",
        super::BASE
    );
    let errors = read_in(&world, &text).unwrap_err();
    let line = |text: &str| text.to_owned();
    assert_eq!(
        lines(&errors),
        [
            line("8:30 filters.a.capabilities.hostcalls[1]: `proxy_lgo` is not known here (did you mean `proxy_log`?)"),
            line(
                "8:41 filters.a.capabilities.hostcalls[2]: `nothing` is not known here (known are proxy_log, proxy_done)"
            ),
            line("9:14 filters.a.capabilities.wasi[0]: `fd_wriet` is not known here (did you mean `fd_write`?)"),
            line(
                "9:24 filters.a.capabilities.wasi[1]: `nothing` is not known here (`sluice inspect --policy FILE` prints \
                 the names that a module needs)"
            ),
            line("10:17 filters.a.capabilities.foreign[0]: `Sign` is not known here (did you mean `sign`?)"),
        ]
    );
}

#[test]
fn an_error_hides_no_other() {
    let text = "\
listeners: [{ address: nowhere }]
filters:
  auth:
    source: { path: auth.wasm }
    limits: { memory: 1 }
routes:
  - filters: [auth, oops]
    match: { methods: [get] }
    upstream: app
telemetry: { sampling: 7 }
serveur: {}
";
    let found: Vec<String> = problems(text).iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    // Not line 7 for `auth`: that it is broken does not make it unknown.
    assert_eq!(found, ["1", "5", "7", "8", "9", "10", "11"]);
}

#[test]
fn what_comes_from_the_environment_is_not_shown() {
    let world = Memory::new().with_env("SECRET", "hunter2");
    let text = format!(
        "{}admin: {{ address: \"${{SECRET}}\" }}\nreload: {{ drain: \"${{SECRET}}\" }}\nserver: \"x${{SECRET}}\"\n",
        super::BASE
    );
    let errors = read_in(&world, &text).unwrap_err();
    assert_eq!(errors.errors.len(), 3);
    assert!(!format!("{errors} {errors:?} {}", errors.to_json()).contains("hunter2"), "{errors}");
    assert!(lines(&errors)[0].contains("`${SECRET}` is not an address"));
}

#[test]
fn neither_a_plan_nor_a_filter_shows_its_secrets_in_debug() {
    let world = Memory::new().with_file("/etc/sluice/key", "hunter2\n");
    let text = "\
listeners: [{ address: :8080 }]
filters:
  a:
    source: { path: a.wasm }
    config: { key: { file: key } }
    vm_config: { file: key }
    env: { KEY: { file: key } }
routes: [{ filters: [{ use: a, config: { key: { file: /etc/sluice/key } } }], respond: {} }]
";
    let plan = read_in(&world, text).unwrap();
    assert_eq!(plan.filters[0].vm_config, "hunter2");
    assert_eq!(plan.filters[0].env["KEY"], "hunter2");
    assert_eq!(plan.routes[0].filters[0].config.as_deref(), Some(r#"{"key":"hunter2"}"#));
    assert_eq!(plan.secret_files.len(), 1);
    assert!(!format!("{plan:?}").contains("hunter2"));
}

#[test]
fn a_byte_order_mark_moves_nothing() {
    assert_eq!(problems("\u{feff}x: 1\n")[0].split(' ').next(), Some("1:1"));
    assert!(read(&format!("\u{feff}{}", super::BASE)).is_ok());
}

#[test]
fn columns_count_characters() {
    let found = problems("listeners: [{ address: \"ä\", b: 1 }]\nroutes: [{ respond: {} }]\n");
    assert!(found[1].starts_with("1:29 listeners[0].b: unknown key"), "{found:?}");
}
