//! Endpoints that do not answer: others take their requests, and they come back by themselves.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{Client, Origin, Proxy, Reply};

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:1";

fn proxy(endpoints: &[&str], more: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: [{{ address: \"127.0.0.1:0\" }}]\nadmin: {{ address: \"127.0.0.1:0\" }}\nserver: {{ workers: 1 }}\n\
         upstreams: {{ app: {{ endpoints: {endpoints:?}, {more} }} }}\nroutes: [{{ upstream: app }}]\n"
    ))
}

fn admin(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    Client::connect(address).send(request).read().text()
}

/// What `/upstreams` says of the endpoint of this number.
fn shown(proxy: &Proxy, number: usize) -> Value {
    let text = admin(proxy.admin(), "/upstreams");
    serde_json::from_str::<Value>(&text).unwrap()["upstreams"][0]["endpoints"][number].clone()
}

#[test]
fn an_endpoint_of_which_no_answers_come_gets_no_requests() {
    let up = Origin::start(|_| Reply::ok("up"));
    let proxy = proxy(&[NOBODY, &up.address.to_string()], "health: { failures: 2, period: 1h }");
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(client.request("GET /", &[], "").text(), "up", "each finds the other");
    }
    let (out, other) = (shown(&proxy, 0), shown(&proxy, 1));
    assert_eq!((&out["attempts"], &out["passed_over"]), (&2.into(), &true.into()), "{out}");
    assert_eq!((&other["attempts"], &other["passed_over"]), (&20.into(), &false.into()), "{other}");
    let line = format!("sluice_upstream_passed_over{{upstream=\"app\",endpoint=\"{NOBODY}\"}} 1");
    assert!(admin(proxy.admin(), "/metrics").contains(&line));
    let log = proxy.logged("no answers come from the endpoint: it is passed over");
    assert!(log.contains("endpoint=\"127.0.0.1:1\" seconds=3600"), "{log}");
}

#[test]
fn it_comes_back_with_its_first_answer() {
    let (fails, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let sick = Origin::start({
        let (fails, asked) = (fails.clone(), asked.clone());
        move |_| {
            asked.fetch_add(1, SeqCst);
            if fails.load(SeqCst) { Reply::Close(Vec::new()) } else { Reply::ok("well") }
        }
    });
    let up = Origin::start(|_| Reply::ok("up"));
    let endpoints = [&*sick.address.to_string(), &up.address.to_string()];
    let proxy = proxy(&endpoints, "health: { failures: 3, period: 50ms, max_period: 200ms }");
    let mut client = proxy.client();
    let mut failed = 0;
    while !shown(&proxy, 0)["passed_over"].as_bool().unwrap() {
        // What an endpoint may have done something for is not sent again.
        failed += usize::from(client.request("GET /", &[], "").status() == 502);
        assert!(failed <= 3, "three take it out");
    }
    assert_eq!(asked.load(SeqCst), 3);

    // One at a time is let through to it, and the others never meet it.
    let began = Instant::now();
    let (mut answers, mut let_through) = (0, 0);
    while began.elapsed() < Duration::from_millis(600) {
        match client.request("GET /", &[], "").status() {
            200 => answers += 1,
            _ => let_through += 1,
        }
    }
    assert!((1..=6).contains(&let_through) && answers > let_through, "{let_through} of {answers}");

    fails.store(false, SeqCst);
    let began = Instant::now();
    while client.request("GET /", &[], "").text() != "well" {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not come back");
    }
    assert_eq!(shown(&proxy, 0)["passed_over"], false);
    proxy.logged("the endpoint answers again, and gets its requests");
    let texts: Vec<_> = (0..4).map(|_| client.request("GET /", &[], "").text()).collect();
    assert_eq!(texts.iter().filter(|text| *text == "well").count(), 2, "they take turns: {texts:?}");
}

#[test]
fn where_all_are_out_requests_go_all_the_same() {
    let (first, second) = (Origin::start(|_| Reply::Close(Vec::new())), Origin::start(|_| Reply::Close(Vec::new())));
    let endpoints = [&*first.address.to_string(), &second.address.to_string()];
    let proxy = proxy(&endpoints, "health: { failures: 1, period: 1h }");
    let mut client = proxy.client();
    for _ in 0..6 {
        assert_eq!(client.request("GET /", &[], "").status(), 502);
    }
    let asked = [&shown(&proxy, 0), &shown(&proxy, 1)].map(|endpoint| endpoint["attempts"].as_u64().unwrap());
    assert_eq!(asked.iter().sum::<u64>(), 6, "{asked:?}");
}

/// By chance the same one could be asked again, and is not.
#[test]
fn a_request_asks_another_endpoint_than_before() {
    let up = Origin::start(|_| Reply::ok("up"));
    let proxy = proxy(&[NOBODY, &up.address.to_string()], "balance: random, health: { failures: 0 }");
    let mut client = proxy.client();
    for _ in 0..60 {
        assert_eq!(client.request("GET /", &[], "").text(), "up");
    }
    let asked = shown(&proxy, 0);
    assert!(asked["attempts"].as_u64().unwrap() > 5 && asked["passed_over"] == false, "{asked}");
}

/// Its name means nothing: that needs no attempt.
#[test]
fn an_endpoint_without_an_address_is_passed_over() {
    let up = Origin::start(|_| Reply::ok("up"));
    let proxy = proxy(&["no-such-name.invalid:80", &up.address.to_string()], "health: {}");
    let mut client = proxy.client();
    for _ in 0..6 {
        assert_eq!(client.request("GET /", &[], "").text(), "up");
    }
    assert_eq!(shown(&proxy, 0)["attempts"], 0);
}

#[test]
fn the_only_endpoint_is_never_out() {
    let proxy = proxy(&[NOBODY], "health: { failures: 1 }");
    for _ in 0..5 {
        assert_eq!(proxy.client().request("GET /", &[], "").status(), 502);
    }
    assert_eq!((&shown(&proxy, 0)["attempts"], &shown(&proxy, 0)["passed_over"]), (&5.into(), &false.into()));
}

/// It answers requests as ever, and says by itself that it is to get none.
#[test]
fn an_endpoint_that_says_that_it_is_not_well_gets_no_requests_until_it_is() {
    let well = Arc::new(AtomicBool::new(true));
    let asked = Origin::start({
        let well = well.clone();
        move |request| match request.target() {
            "/how-are-you" if !well.load(SeqCst) => {
                Reply::Bytes(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nill".to_vec())
            }
            "/how-are-you" => Reply::ok("well"),
            _ => Reply::ok("asked"),
        }
    });
    let up = Origin::start(|_| Reply::ok("up"));
    let endpoints = [&*asked.address.to_string(), &up.address.to_string()];
    let check = "health: { failures: 2, check: { path: /how-are-you, every: 100ms } }";
    let proxy = proxy(&endpoints, check);
    let mut client = proxy.client();
    let mut texts = |count| (0..count).map(|_| client.request("GET /", &[], "").text()).collect::<Vec<_>>().join(" ");
    assert_eq!(texts(4), "asked up asked up");
    let question = std::iter::repeat_with(|| asked.request()).find(|request| request.target() == "/how-are-you");
    assert!(question.unwrap().header("user-agent").ends_with(" (health check)"));

    well.store(false, SeqCst);
    proxy.logged("the endpoint is not well: it is passed over");
    assert_eq!((texts(4), shown(&proxy, 0)["passed_over"].as_bool()), ("up up up up".into(), Some(true)));
    assert!(proxy.log().contains("why=\"it answers 503 Service Unavailable\""), "{}", proxy.log());

    well.store(true, SeqCst);
    proxy.logged("the endpoint is well, and gets its requests");
    let texts = texts(4);
    assert_eq!((texts.matches("asked").count(), texts.matches("up").count()), (2, 2), "{texts}");
}

/// Nothing is asked for: it takes connections, or does not.
#[test]
fn an_endpoint_can_be_asked_for_a_connection_alone() {
    let up = Origin::start(|_| Reply::ok("up"));
    let check = "health: { failures: 1, check: { every: 100ms } }";
    let proxy = proxy(&[NOBODY, &up.address.to_string()], check);
    let log = proxy.logged("the endpoint is not well: it is passed over");
    assert!(log.contains("endpoint=\"127.0.0.1:1\""), "{log}");
    assert_eq!(proxy.client().request("GET /", &[], "").text(), "up");
    assert_eq!(shown(&proxy, 0)["attempts"], 0, "no request found out");
}
