//! The web application firewall of `filters/go/waf`, with the whole Core Rule Set, over real sockets.
//!
//! Compiling and starting it costs seconds, so all of it shares one process: see [`everything_that_the_filter_promises`].

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{Framing, Message, Proxy, root};

/// Four filters of one module, chosen by a header: the firewall as it comes, the same only detecting, and two with a rule
/// of their own and a small limit for bodies.
fn firewall() -> Proxy {
    let module = root().join("filters/go/waf/waf.wasm");
    assert!(module.exists(), "{} is missing: run `tools/build-guests.sh filters`", module.display());
    let own = r#"rules: ["SecRule ARGS \"@contains evil\" \"id:1,phase:2,deny,log,msg:'evil'\""], body_limit: 1KiB"#;
    let filters: String = [
        ("crs", String::new()),
        ("detect", "mode: detect".into()),
        ("reject", own.into()),
        ("partial", format!("{own}, body_over_limit: partial")),
        ("headers", r#"rules: ["SecRule RESPONSE_HEADERS:content-type \"@contains json\" \"id:2,phase:3,deny,status:502,log,msg:'leak'\""], response_headers: true"#.into()),
    ]
    .into_iter()
    .map(|(name, config)| {
        format!(
            "  {name}:\n    source: {{ path: \"{}\" }}\n    config: {{ {config} }}\n    limits: {{ cpu_start: 60s, \
             cpu_per_call: 2s, cpu_per_request: 5s, memory: {CEILING}MiB, body_buffer: 256KiB }}\n",
            module.display()
        )
    })
    .collect();
    let routes: String = ["detect", "reject", "partial", "headers"]
        .iter()
        .map(|name| {
            format!("  - {{ match: {{ headers: {{ x-filter: {name} }} }}, filters: [{name}], upstream: echo }}\n")
        })
        .collect();
    Proxy::start(&format!(
        "listeners: [{{ address: \"127.0.0.1:0\" }}]\nserver: {{ workers: 1 }}\nfilters:\n{filters}upstreams:\n  \
         echo: {{ builtin: echo }}\nroutes:\n{routes}  - {{ filters: [crs], upstream: echo }}\n"
    ))
}

/// MiB that each guest may have. A guest that needs more dies, and the log says so.
const CEILING: usize = 256;
/// What browsers send; without it the rules have a word to say.
const AGENT: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const ACCEPT: &str = "Accept: text/html,application/json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const JSON: &str = "Content-Type: application/json";

/// A request of a browser with some more header lines.
fn ask(proxy: &Proxy, line: &str, more: &[&str], body: &str) -> Message {
    let mut headers = vec![ACCEPT];
    if !more.iter().any(|h| h.starts_with("User-Agent:")) {
        headers.push(AGENT);
    }
    headers.extend(more);
    proxy.client().request(line, &headers, body)
}

/// What the filter wrote about requests, in order, of which there are at least so many: each line holds one JSON object.
fn told(proxy: &Proxy, what: &str, least: usize) -> Vec<Value> {
    let marker = format!("{{\"waf\":\"{what}\"");
    let began = Instant::now();
    while proxy.log().matches(&marker).count() < least {
        assert!(began.elapsed() < Duration::from_secs(30), "not {least} of `{what}`:\n{}", proxy.log());
        thread::sleep(Duration::from_millis(5));
    }
    let lines: Vec<Value> = proxy
        .log()
        .lines()
        .filter_map(|line| line.find(&marker).map(|at| &line[at..]))
        .map(|text| serde_json::Deserializer::from_str(text).into_iter().next().unwrap().unwrap())
        .collect();
    lines
}

/// What needs no host is tested in Go.
#[test]
fn its_own_tests_pass() {
    let folder = root().join("filters/go/waf");
    let tags = std::fs::read_to_string(folder.join("build.tags")).unwrap();
    let output = Command::new("go").args(["test", "-tags", tags.trim(), "."]).current_dir(folder).output();
    let output = output.expect("Go is needed: https://go.dev/dl/");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn everything_that_the_filter_promises() {
    let mut proxy = firewall();
    attacks_are_blocked(&proxy);
    clean_requests_pass(&proxy);
    a_body_may_come_in_any_way(&proxy);
    detecting_only_logs(&proxy);
    bodies_over_the_limit(&proxy);
    heads_of_responses(&proxy);
    it_stays_below_its_ceiling(&mut proxy);
}

fn attacks_are_blocked(proxy: &Proxy) {
    let sql = "name=x' UNION SELECT password FROM users-- -";
    let traversal = "../../../../../../etc/passwd";
    let cases: &[(&str, u64, Message)] = &[
        ("sql in the query", 942, ask(proxy, "GET /?id=1%27%20OR%201=1--%20-", &[], "")),
        ("sql in a cookie", 942, ask(proxy, "GET /", &["Cookie: id=1' OR '1'='1'-- -"], "")),
        ("sql in the agent", 942, ask(proxy, "GET /", &["User-Agent: x' UNION SELECT pass FROM users-- -"], "")),
        ("sql in a form", 942, ask(proxy, "POST /login", &[FORM], sql)),
        ("sql in JSON", 942, ask(proxy, "POST /api", &[JSON], r#"{"user":{"name":"x' OR 1=1-- -"}}"#)),
        ("traversal in the path", 930, ask(proxy, "GET /files/..%2f..%2f..%2f..%2fetc%2fpasswd", &[], "")),
        ("traversal in the query", 930, ask(proxy, &format!("GET /?file={traversal}"), &[], "")),
        ("traversal in a header", 930, ask(proxy, "GET /", &[&format!("X-File: {traversal}")], "")),
        ("traversal in a form", 930, ask(proxy, "POST /", &[FORM], &format!("file={traversal}"))),
        ("traversal in JSON", 930, ask(proxy, "POST /", &[JSON], &format!("{{\"file\":\"{traversal}\"}}"))),
    ];
    let log = told(proxy, "blocked", cases.len());
    assert_eq!(log.len(), cases.len(), "{log:#?}");
    for ((what, group, answer), line) in cases.iter().zip(log) {
        assert_eq!(answer.status(), 403, "{what}: {answer:?}");
        let rules = line["rules"].as_array().unwrap();
        assert!(rules.iter().any(|r| r["rule"].as_u64().unwrap() / 1000 == *group), "{what}: {line}");
        let (rule, score) = (line["rule"].as_u64().unwrap(), line["score"].as_u64().unwrap());
        assert!(score >= 5, "{what}: {line}");
        assert!(line["severity"].is_string() && line["variable"].is_string(), "{what}: {line}");
        assert_eq!(answer.header("x-waf"), format!("blocked; rule={rule}; score={score}"), "{what}");
        assert_eq!(answer.text(), format!("blocked by rule {rule}\n"), "{what}");
        assert!(answer.header("proxy-status").contains("filter=crs"), "{what}: {answer:?}");
        let whole = format!("{line}{answer:?}{}", answer.text());
        assert!(!whole.contains("passwd") && !whole.contains("1=1"), "{what}: data is told: {whole}");
    }
}

fn clean_requests_pass(proxy: &Proxy) {
    let get = ask(proxy, "GET /shop/item?id=42&sort=price", &["Cookie: session=abc123"], "");
    assert_eq!((get.status(), get.json()["path"].as_str()), (200, Some("/shop/item?id=42&sort=price")), "{get:?}");
    assert!(!get.has("x-waf"), "{get:?}");
    assert_eq!(get.echoed("cookie").as_deref(), Some("session=abc123"));
    for (kind, body) in [(FORM, "name=Ada+Lovelace&city=London"), (JSON, r#"{"name":"Ada","tags":["a","b"]}"#)] {
        let post = ask(proxy, "POST /", &[kind], body);
        assert_eq!((post.status(), post.json()["body"].as_str()), (200, Some(body)), "{post:?}");
    }
    let file = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
    let upload = ask(proxy, "POST /up", &["Content-Type: multipart/form-data; boundary=b"], file);
    assert_eq!((upload.status(), upload.json()["body"].as_str()), (200, Some(file)), "{upload:?}");
    assert_eq!(ask(proxy, "HEAD /", &[], "").status(), 200);
}

fn a_body_may_come_in_any_way(proxy: &Proxy) {
    let mut client = proxy.client();
    let clean = client.chunked("POST /", &[AGENT, ACCEPT, FORM], &["name=", "Ada", "&n=1"]);
    assert_eq!((clean.status(), clean.json()["body"].as_str()), (200, Some("name=Ada&n=1")), "{clean:?}");
    let attack =
        client.chunked("POST /", &[AGENT, ACCEPT, FORM], &["name=x' UNI", "ON SELECT pass ", "FROM users-- -"]);
    assert_eq!(attack.status(), 403, "cut into harmless pieces: {attack:?}");
    // Trailers, which no filter sees: the body ends all the same.
    for (body, status) in [("n=1", 200), ("n=' OR 1=1-- -", 403)] {
        let mut client = proxy.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: test.example\r\n{AGENT}\r\n{ACCEPT}\r\n{FORM}\r\nTransfer-Encoding: chunked\r\n\
             Trailer: x-sum\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-sum: 1\r\n\r\n",
            body.len()
        ));
        assert_eq!(client.read().status(), status, "{body}");
    }
    assert_eq!(ask(proxy, "POST /", &["Content-Length: 0"], "").status(), 200);
    let broken = ask(proxy, "POST /", &[JSON], r#"{"name": "#);
    assert_eq!(broken.status(), 400, "no JSON, so not inspected: {broken:?}");
}

fn detecting_only_logs(proxy: &Proxy) {
    let before = told(proxy, "detected", 0).len();
    let attack = ask(proxy, "POST /?q=../../../etc/passwd", &["X-Filter: detect", FORM], "a=' OR 1=1-- -");
    assert_eq!((attack.status(), attack.json()["body"].as_str()), (200, Some("a=' OR 1=1-- -")), "{attack:?}");
    assert!(!attack.has("x-waf") && attack.echoed("x-waf").is_none(), "{attack:?}");
    assert_eq!(ask(proxy, "GET /?q=1", &["X-Filter: detect"], "").status(), 200);
    let log = told(proxy, "detected", before + 1);
    assert_eq!(log.len(), before + 1, "{log:?}");
    assert!(log[before]["score"].as_u64().unwrap() >= 10, "{log:?}");
}

fn bodies_over_the_limit(proxy: &Proxy) {
    let (small, large) = (format!("a={}", "b".repeat(1022)), format!("a={}", "b".repeat(1023)));
    for filter in ["reject", "partial"] {
        let header = format!("X-Filter: {filter}");
        assert_eq!(ask(proxy, "POST /", &[&header, FORM], &small).status(), 200, "{filter}: exactly the limit");
        let wanted = if filter == "reject" { 413 } else { 200 };
        let declared = ask(proxy, "POST /", &[&header, FORM], &large);
        assert_eq!(declared.status(), wanted, "{filter}: {declared:?}");
        let chunked = proxy.client().chunked("POST /", &[AGENT, &header, FORM], &[&small, "b", "c"]);
        assert_eq!(chunked.status(), wanted, "{filter}: {chunked:?}");
        if wanted == 200 {
            assert_eq!(chunked.json()["body"].as_str().unwrap().len(), 1026);
        }
        let early = format!("x=evil&{large}");
        let wanted = if filter == "reject" { 413 } else { 403 };
        assert_eq!(
            ask(proxy, "POST /", &[&header, FORM], &early).status(),
            wanted,
            "{filter}: in the part that counts"
        );
        assert_eq!(ask(proxy, "POST /?x=evil", &[&header, FORM], "a=b").status(), 403, "{filter}");
    }
}

fn heads_of_responses(proxy: &Proxy) {
    let answer = ask(proxy, "GET /", &["X-Filter: headers"], "");
    assert_eq!((answer.status(), answer.header("x-waf")), (502, "blocked; rule=2; score=0".into()), "{answer:?}");
}

fn it_stays_below_its_ceiling(proxy: &mut Proxy) {
    proxy.reset_peak_memory();
    let begun = proxy.log().matches("rules, mode ").count();
    let mut client = proxy.client();
    for i in 0..200 {
        let (line, headers, body, wanted) = match i % 5 {
            0 => ("GET /a?id=1", vec![], String::new(), 200),
            1 => ("POST /b", vec![FORM], format!("text={}", "lorem+ipsum+".repeat(40)), 200),
            2 => ("GET /c?id=1%27%20OR%201=1--%20-", vec![], String::new(), 403),
            3 => ("POST /d", vec![JSON], format!("{{\"list\":[{}1]}}", "\"x\",".repeat(20)), 200),
            _ => ("POST /e", vec![FORM], "file=../../../../etc/passwd".into(), 403),
        };
        let mut all = vec![AGENT, ACCEPT];
        all.extend(headers);
        let answer = client.request(line, &all, &body);
        assert_eq!(answer.status(), wanted, "request {i}: {answer:?}");
        assert_ne!(answer.framing, Framing::Close, "request {i}");
    }
    let log = proxy.log();
    assert_eq!(log.matches("rules, mode ").count(), begun, "a guest began anew:\n{log}");
    assert!(!log.contains(" ERROR ") && !log.contains("memory_exceeded"), "{log}");
    assert!(proxy.alive());
    // Two guests have the whole rule set; what a guest has used can only be seen in the whole process.
    let peak = proxy.peak_memory() >> 20;
    assert!(peak < 2 * CEILING, "{peak} MiB");
}
