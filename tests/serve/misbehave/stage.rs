//! One process with an evil route and its neighbours, the deeds that are done there, and what must hold after each.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    crowd::{self, Answers},
    report,
};
use crate::harness::{Origin, Proxy, Reply, fixture, root};

/// What stays of a batch at most: allocators keep some pages, and threads their stacks.
const TOLERANCE: usize = 24 << 20;

pub const ISOLATIONS: [&str; 2] = ["shared", "request"];

/// How a request that meets the deed may end.
#[derive(Clone, Copy)]
pub enum Answer {
    /// 503 with this token.
    Fails(&'static str),
    /// 200.
    Passes,
    /// One of both: it is a matter of time.
    Either(&'static str),
    /// The head has gone already: the body is cut off, or it is 503 with this token.
    Cut(&'static str),
}

/// One misbehaviour.
pub struct Deed {
    /// `<deed>@<callback>`, or what a filter does that has no choice.
    pub name: &'static str,
    /// The filter, which is also the path of its route.
    pub filter: &'static str,
    pub answer: Answer,
    /// What stands in one line of the log.
    pub log: Vec<String>,
}

impl Deed {
    /// A deed of the filter `evil` that ends its guest.
    pub fn deadly(name: &'static str, answer: Answer, kind: &str) -> Self {
        let phase = match name.split_once('@').unwrap().1 {
            "context_create" => "create",
            "http_call_response" => "callout",
            "queue_ready" => "queue",
            callback => callback,
        };
        let log = vec![format!("phase=\"{phase}\""), format!("kind=\"{kind}\"")];
        Self { name, filter: "evil", answer, log }
    }

    /// A deed of `evil` that is refused with this cap, and lived with.
    pub fn capped(name: &'static str, cap: &str) -> Self {
        Self { name, filter: "evil", answer: Answer::Either("cpu_exceeded"), log: vec![format!("cap=\"{cap}\"")] }
    }

    /// Says nothing in the log that could be waited for.
    pub fn untold(self) -> Self {
        Self { log: Vec::new(), ..self }
    }

    fn allows(&self, answer: &str, shared: bool) -> bool {
        let own = match self.answer {
            Answer::Fails(token) => answer == token,
            Answer::Passes => answer == "200",
            Answer::Either(token) => answer == "200" || answer == token,
            Answer::Cut(token) => answer == "cut" || answer == token,
        };
        // On a busy machine fresh pages cost as much time as a loop.
        let own = own || (matches!(self.answer, Answer::Fails("memory_exceeded")) && answer == "cpu_exceeded");
        // A guest that many share takes others with it, and is waited for when it died too often.
        own || (shared && ["trap", "start_failed"].contains(&answer))
    }
}

/// A filter beside those that are always there: name, module, more lines of YAML in flow style.
pub type Extra = (&'static str, String, &'static str);

/// Writes a guest that is text to where a configuration can name it.
pub fn text_guest(dir: &TempDir, name: &str) -> String {
    let text = fs::read(root().join(format!("tests/fixtures/wat/{name}.wat"))).unwrap();
    let file = dir.path().join(format!("{name}.wasm"));
    fs::write(&file, wat::parse_bytes(&text).unwrap()).unwrap();
    file.display().to_string()
}

/// Does every deed in one process for each isolation, twice, beside its neighbours.
pub fn meets(deeds: &[Deed], extra: &[Extra]) {
    for isolation in ISOLATIONS {
        let origin = Origin::start(|_| Reply::ok("called"));
        let mut stage = Stage::open(isolation, extra, &origin);
        // What is built at first use is no leak.
        for deed in deeds {
            stage.batch(deed);
        }
        let before = stage.proxy.memory();
        for deed in deeds {
            let mut answers = stage.batch(deed);
            stage.memory_returns(before, deed);
            answers.add(stage.batch(deed));
            let after = stage.memory_returns(before, deed);
            report::row(isolation, deed.name, &answers, before, after);
        }
        assert!(stage.proxy.alive());
    }
    report::write();
}

struct Stage {
    proxy: Proxy,
    shared: bool,
}

impl Stage {
    fn open(isolation: &str, extra: &[Extra], origin: &Origin) -> Self {
        let module = fixture("misbehave");
        let small = "limits: { cpu_per_call: 5ms, cpu_per_request: 20ms, memory: 8MiB, log_lines: 50, shared_data: 1MiB, \
                     queue_bytes: 1MiB, metrics: 100, callouts_in_flight: 20 }";
        let common = format!("isolation: {isolation}, quarantine: {{ crashes: 0 }}, {small}");
        // Each in a namespace of its own: a queue's items go to whoever registered it last.
        let mut filters = format!(
            "  evil: {{ source: {{ path: \"{module}\" }}, capabilities: {{ callouts: [neighbour] }}, {common} }}\n"
        );
        for (name, module, more) in extra {
            filters += &format!("  {name}: {{ source: {{ path: \"{module}\" }}, vm_id: {name}, {common}{more} }}\n");
        }
        let mut routes = String::from("  - { match: { path_prefix: /same }, filters: [evil], upstream: up }\n");
        for name in ["evil", "twin", "tag"].into_iter().chain(extra.iter().map(|extra| extra.0)) {
            routes += &format!("  - {{ match: {{ path_prefix: /{name} }}, filters: [{name}], upstream: up }}\n");
        }
        let yaml = format!(
            "listeners: [{{ address: \"127.0.0.1:0\" }}]\nserver: {{ workers: 2 }}\nfilters:\n{filters}  \
             twin: {{ source: {{ path: \"{module}\" }}, vm_id: twin, isolation: {isolation} }}\n  \
             tag: {{ source: {{ path: \"{}\" }}, isolation: {isolation}, config: tag }}\n\
             upstreams:\n  up: {{ builtin: echo }}\n  neighbour: {{ endpoints: [\"{}\"] }}\nroutes:\n{routes}",
            fixture("tag"),
            origin.address,
        );
        Self { proxy: Proxy::start(&yaml), shared: isolation == "shared" }
    }

    /// Evil requests among those of neighbours; everyone got what is right. A filter whose guests died again and again waits
    /// for the next one, so this goes on until the deed was done.
    fn batch(&mut self, deed: &Deed) -> Answers {
        let (said, began) = (self.proxy.log().len(), Instant::now());
        let mut answers = Answers::default();
        while !answers.evil.iter().any(|answer| deed.allows(answer, false)) {
            assert!(began.elapsed() < Duration::from_secs(60), "{}: {:?}", deed.name, answers.evil);
            answers.add(crowd::drive(self.proxy.addresses[0], deed.name, deed.filter));
        }
        for (route, answer) in &answers.neighbours {
            // Streams that lived in the guest that died end with it.
            let involved = self.shared && route == "same";
            assert!(answer == "200" || involved, "{}: a neighbour at /{route} got {answer}", deed.name);
        }
        for answer in &answers.evil {
            assert!(deed.allows(answer, self.shared), "{}: {:?}", deed.name, answers.evil);
        }
        if !deed.log.is_empty() {
            self.is_told(deed, said);
        }
        answers
    }

    /// Waits until the log names the filter and what it did.
    fn is_told(&mut self, deed: &Deed, from: usize) {
        let filter = format!("filter=\"{}\"", deed.filter);
        let began = Instant::now();
        loop {
            let log = self.proxy.log();
            let told = |line: &str| line.contains(&filter) && deed.log.iter().all(|part| line.contains(part));
            // A cap that goes on being met is told of once in a second, and ticks come when there is a guest.
            let from = if deed.log[0].starts_with("cap=") || deed.name.ends_with("@tick") { 0 } else { from };
            if log[from..].lines().any(told) {
                return;
            }
            assert!(self.proxy.alive() && began.elapsed() < Duration::from_secs(30), "{}: not told", deed.name);
            // An event for a root whose guest is being replaced does not reach it: the deed is asked for again.
            crowd::evil(self.proxy.addresses[0], deed.name, deed.filter, 1);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until resident memory is about what it was; bytes.
    fn memory_returns(&mut self, before: usize, deed: &Deed) -> usize {
        let began = Instant::now();
        loop {
            let now = self.proxy.memory();
            if now <= before + TOLERANCE {
                return now;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{}: {before} bytes, then {now}", deed.name);
            thread::sleep(Duration::from_millis(50));
        }
    }
}
