//! Every file of `conf/` is served as it stands, but for its addresses, and answers a request.

use std::fs;

use crate::harness::{Origin, Proxy, Reply, root};

/// The file with its listeners moved to free ports and its relative paths kept.
fn moved(name: &str, origin: &Origin) -> String {
    let text = fs::read_to_string(root().join("conf").join(name)).unwrap();
    let conf = root().join("conf").display().to_string();
    text.lines()
        .map(|line| {
            let mut line = line.to_owned();
            if line.contains("address:") && !line.contains("weight") && !line.trim_start().starts_with('#') {
                for old in ["127.0.0.1:8080", "127.0.0.1:8443", "127.0.0.1:8081", "127.0.0.1:9901", ":8080", ":8443"] {
                    if line.contains(old) {
                        line = line.replacen(old, "127.0.0.1:0", 1);
                        break;
                    }
                }
            }
            line = line.replace("../filters", &root().join("filters").display().to_string());
            line = line.replace("secrets/", &format!("{conf}/secrets/"));
            let _ = origin;
            line + "\n"
        })
        .collect()
}

#[test]
fn every_file_is_served() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let mut served = Vec::new();
    for entry in fs::read_dir(root().join("conf")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".yaml") {
            continue;
        }
        let dir = tempfile::TempDir::new().unwrap();
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        for file in ["cert.pem", "ca.pem", "upstream-ca.pem"] {
            fs::write(dir.path().join(file), key.cert.pem()).unwrap();
        }
        fs::write(dir.path().join("key.pem"), key.signing_key.serialize_pem()).unwrap();
        let mut proxy = Proxy::start_in(dir, &moved(&name, &origin));
        assert!(!proxy.addresses.is_empty(), "{name}");
        if name != "tls.yaml" {
            let answer = proxy.client().request("GET /", &[], "");
            assert!((200..600).contains(&answer.status()), "{name}: {answer:?}");
        }
        proxy.signal("TERM");
        assert_eq!(proxy.wait().code(), Some(0), "{name}");
        served.push(name);
    }
    assert!(served.len() >= 13, "{served:?}");
}

#[test]
fn the_quickstart_does_what_the_readme_says() {
    let origin = Origin::start(|_| Reply::ok("origin"));
    let proxy = Proxy::start(&moved("quickstart.yaml", &origin));
    let answer = proxy.client().request("GET /hello", &[], "");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("x-hello-rust"), "hello from rust");
    assert_eq!(answer.header("x-hello-go"), "hello from go");
    assert_eq!(answer.echoed("x-hello-rust").as_deref(), Some("hello from rust"));
    assert_eq!(answer.json()["path"], "/hello");
}
