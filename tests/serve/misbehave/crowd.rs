//! Evil requests and those of neighbours at one time, and how long the neighbours waited.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::harness::{Client, Message};

/// Clients that do evil, and requests of each.
const EVIL: (usize, usize) = (2, 8);
/// Routes whose clients do nothing wrong: another filter, the same module under another name, and the evil filter.
const NEIGHBOURS: [&str; 3] = ["tag", "twin", "same"];
/// Requests of each neighbour, and more as long as there is evil.
const LEAST: usize = 60;

/// What everyone got: `200`, `cut`, or the token of a failure.
#[derive(Default)]
pub struct Answers {
    pub evil: Vec<String>,
    /// With the route.
    pub neighbours: Vec<(String, String)>,
    /// How long neighbours waited that share no guest with the evil one.
    pub waits: Vec<Duration>,
}

impl Answers {
    pub fn add(&mut self, other: Self) {
        self.evil.extend(other.evil);
        self.neighbours.extend(other.neighbours);
        self.waits.extend(other.waits);
    }
}

/// Does this deed at this filter's route, while neighbours go on.
pub fn drive(address: SocketAddr, deed: &str, filter: &str) -> Answers {
    let busy = AtomicUsize::new(EVIL.0);
    thread::scope(|scope| {
        let neighbours: Vec<_> =
            NEIGHBOURS.iter().map(|route| scope.spawn(|| neighbour(address, route, &busy))).collect();
        let evil: Vec<_> = (0..EVIL.0)
            .map(|_| {
                scope.spawn(|| {
                    let _over = Over(&busy);
                    evil(address, deed, filter, EVIL.1)
                })
            })
            .collect();
        let mut all = Answers::default();
        evil.into_iter().for_each(|evil| all.evil.extend(evil.join().unwrap()));
        neighbours.into_iter().for_each(|neighbour| all.add(neighbour.join().unwrap()));
        all
    })
}

/// So many requests of one client after another, each on a connection of its own.
pub fn evil(address: SocketAddr, deed: &str, filter: &str, count: usize) -> Vec<String> {
    let headers = format!("x-evil: {deed}\r\nContent-Length: 4\r\n");
    let one = || {
        let mut client = Client::connect(address);
        client.send(request(&format!("POST /{filter}"), &headers, "body"));
        outcome(client.try_read())
    };
    (0..count).map(|_| one()).collect()
}

/// Counts one less, also when its thread panics: neighbours must not go on for ever.
struct Over<'a>(&'a AtomicUsize);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn request(line: &str, headers: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: test.example\r\n{headers}\r\n{body}")
}

/// On one connection, as long as it is kept.
fn neighbour(address: SocketAddr, route: &str, busy: &AtomicUsize) -> Answers {
    let mut client = Client::connect(address);
    let mut all = Answers::default();
    while all.neighbours.len() < LEAST || busy.load(Relaxed) > 0 {
        let begin = Instant::now();
        client.send(request(&format!("GET /{route}"), "", ""));
        let answer = outcome(client.try_read());
        if route != "same" {
            all.waits.push(begin.elapsed());
        }
        if answer != "200" {
            client = Client::connect(address);
        }
        all.neighbours.push((route.to_owned(), answer));
    }
    all
}

fn outcome(answer: std::io::Result<Option<Message>>) -> String {
    let Ok(Some(answer)) = answer else { return "cut".to_owned() };
    match answer.status() {
        503 => {
            let details = answer.header("proxy-status");
            let token = details.rsplit_once("kind=").map(|(_, token)| token.trim_end_matches('"'));
            token.unwrap_or_else(|| panic!("503 without a reason: {answer:?}")).to_owned()
        }
        status => status.to_string(),
    }
}
