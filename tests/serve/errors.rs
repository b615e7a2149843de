//! What clients and operators see when an upstream fails.

use std::net::TcpListener;

use crate::harness::{Origin, Proxy, Reply, chain_yaml, fixture};

fn proxied(upstream: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: [{{ address: \"127.0.0.1:0\" }}]\nfilters: {{ t: {{ source: {{ path: \"{}\" }}, config: seen }} }}\nupstreams: {{ app: {upstream} }}\nroutes: [{{ filters: [t], upstream: app }}]\n",
        fixture("tag")
    ))
}

#[test]
fn a_refused_connection_is_502_and_filters_see_the_answer() {
    let proxy = proxied("{ endpoints: [\"127.0.0.1:1\"] }");
    let answer = proxy.client().request("GET /", &[], "");
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.header("proxy-status"), "sluice; error=connection_refused; details=\"kind=upstream_connect\"");
    assert_eq!(answer.header("x-chain"), "seen");
    assert!(answer.text().contains("the upstream refused the connection"));
    let line = &proxy.access(1)[0];
    assert_eq!(line["error"], "upstream_connect");
    assert_eq!(line["upstream_attempts"], 1);
}

#[test]
fn a_silent_upstream_is_504() {
    // Accepts and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = proxied(&format!("{{ endpoints: [\"{address}\"], timeouts: {{ read: 300ms }} }}"));
    let answer = proxy.client().request("GET /", &[], "");
    assert_eq!(answer.status(), 504);
    assert!(answer.header("proxy-status").contains("error=http_response_timeout"), "{answer:?}");
    assert!(answer.header("proxy-status").contains("kind=upstream_timeout"));
}

#[test]
fn an_upstream_that_hangs_up_or_talks_nonsense_is_502() {
    for (name, bytes, kind) in
        [("closes", &b""[..], "upstream_reset"), ("nonsense", b"this is not HTTP\r\n\r\n", "upstream_protocol")]
    {
        let origin = Origin::start(move |_| Reply::Close(bytes.to_vec()));
        let proxy = proxied(&format!("{{ endpoints: [\"{}\"] }}", origin.address));
        let answer = proxy.client().request("POST /", &[], "x");
        assert_eq!(answer.status(), 502, "{name}");
        assert!(answer.header("proxy-status").contains(kind), "{name}: {answer:?}");
    }
}

#[test]
fn a_response_that_breaks_off_is_cut_for_the_client_too() {
    let origin = Origin::start(|_| Reply::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart".to_vec()));
    let proxy = Proxy::chain(&[("n", &fixture("noop"), "")], Some(origin.address));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.try_read().is_err(), "a cut response must not look whole");
}

#[test]
fn every_error_of_a_file_is_told_at_once_with_its_place() {
    let said = Proxy::refused(
        "listeners: [{ address: \"127.0.0.1:0\" }]\nfilterz: {}\nroutes:\n  - { upstream: nowhere }\n  - { match: { path_prefix: x }, respond: { status: 99 } }\n",
    );
    for wanted in ["sluice.yaml:2:1", "did you mean `filters`", "nowhere", "sluice.yaml:4:17", "sluice.yaml:5:"] {
        assert!(said.contains(wanted), "`{wanted}` is missing:\n{said}");
    }
}

#[test]
fn modules_that_are_none_are_called_by_their_name() {
    let dir = tempfile::TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let whole = std::fs::read(fixture("noop")).unwrap();
    let elf = write("elf.wasm", b"\x7fELF\x02\x01\x01");
    let cut = write("cut.wasm", &whole[..whole.len() / 2]);
    let plain = write("plain.wasm", &wat::parse_str("(module (memory (export \"memory\") 1))").unwrap());
    let future = write("future.wasm", &wat::parse_str("(module (func (export \"proxy_abi_version_9_9_9\")))").unwrap());
    let missing = write(
        "missing.wasm",
        &wat::parse_str("(module (import \"env\" \"proxy_teleport\" (func)) (import \"other\" \"thing\" (func)) (func (export \"proxy_abi_version_0_2_1\")))").unwrap(),
    );
    let files =
        [("a", elf.as_str()), ("b", &cut), ("c", &plain), ("d", &future), ("e", &missing), ("f", "/nowhere.wasm")];
    let filters: Vec<(&str, &str, &str)> = files.iter().map(|(n, f)| (*n, *f, "")).collect();
    let said = Proxy::refused(&chain_yaml(&filters, None, ""));
    for wanted in [
        "elf.wasm is not a WebAssembly module: it is a native program",
        "cut.wasm is cut off",
        "plain.wasm is no Proxy-Wasm filter",
        "future.wasm speaks an ABI that is not known here (proxy_abi_version_9_9_9)",
        "env.proxy_teleport, other.thing",
        "/nowhere.wasm cannot be read",
    ] {
        assert!(said.contains(wanted), "`{wanted}` is missing:\n{said}");
    }
}

#[test]
fn an_address_that_is_taken_is_an_error_with_help() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let said = Proxy::refused(&format!(
        "listeners: [{{ address: \"{}\" }}]\nroutes: [{{ respond: {{ status: 200 }} }}]\n",
        taken.local_addr().unwrap()
    ));
    assert!(said.contains("cannot listen on") && said.contains("another program listens there"), "{said}");
}
