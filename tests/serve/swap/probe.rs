//! Probes: exchanges that a new version has to get right before it serves.

use std::fs;

use super::version::{Version, put, version_of};
use crate::harness::{Proxy, chain_yaml};
use tempfile::TempDir;

const PROBES: &str = "
name: says its version both ways
filters: [{ module: v }]
request: { path: /probe }
expect:
  upstream: { headers: { x-version: \"1\" } }
  client: { status: 200, headers: { x-version: \"1\" } }
";

fn probed(probes: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    fs::write(dir.path().join("probes.yaml"), probes).unwrap();
    dir
}

fn yaml() -> String {
    chain_yaml(&[("v", "DIR/v.wasm", "")], None, "reload: { debounce: 10ms, probe: [DIR/probes.yaml] }\n")
}

#[test]
fn what_differs_from_the_probes_does_not_serve() {
    for isolation in ["shared", "request"] {
        let more = format!("isolation: {isolation}");
        let extra = "reload: { debounce: 10ms, probe: [DIR/probes.yaml] }\n";
        let mut proxy = Proxy::start_in(probed(PROBES), &chain_yaml(&[("v", "DIR/v.wasm", &more)], None, extra));
        let mut client = proxy.client();
        put(proxy.dir.path(), &Version::new("2"));
        let log = proxy.wait_for("the new configuration is refused");
        for words in ["the probe `says its version both ways` did not come out as written", "x-version", "probes.yaml"]
        {
            assert!(log.contains(words), "{words}\n{log}");
        }
        assert_eq!(version_of(&mut client), "1");
        // The probes are watched as modules are: what they want now is what is there.
        fs::write(proxy.dir.path().join("probes.yaml"), PROBES.replace("\"1\"", "\"2\"")).unwrap();
        while version_of(&mut client) != "2" {}
        // A version that dies under its probe never meets a request.
        put(proxy.dir.path(), &Version::new("2").trapping_every(1));
        proxy.wait_count("the new configuration is refused", 2);
        assert_eq!(version_of(&mut client), "2");
    }
}

#[test]
fn probes_count_at_the_start_and_for_check() {
    let cases = [
        (PROBES.replace("\"1\"", "\"3\""), "did not come out as written"),
        ("name: none\nfilters: [{ module: w }]\n".to_owned(), "there is no filter `w`"),
        (
            "name: mine\nfilters: [{ module: v, limits: { memory_mib: 1 } }]\n".to_owned(),
            "filter `v` has its settings already",
        ),
        ("name: x\nfilter: []\n".to_owned(), "unknown field `filter`"),
    ];
    for (probes, words) in cases {
        let dir = probed(&probes);
        let file = dir.path().join("sluice.yaml");
        fs::write(&file, yaml().replace("DIR", &dir.path().display().to_string())).unwrap();
        for command in ["run", "check"] {
            let out = std::process::Command::new(env!("CARGO_BIN_EXE_sluice"))
                .args([command, "-c"])
                .arg(&file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(!out.status.success(), "{command}");
            assert!(said.contains(words) && said.contains("probes.yaml"), "{command}: {said}");
        }
    }
}
