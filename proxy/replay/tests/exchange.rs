//! Random orders of events on exchanges that share guests: nothing panics, no byte is lost or doubled, every context
//! that was created is deleted once.

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use sluice_host::{
    CapReport, Chain, Code, CrashReport, Direction, EngineOptions, Exchange, Filter, FilterSpec, Host, Isolation, Link,
    LogLevel, LogLine, Message, Outside, RequestHead, RequestParts, ResponseHead, ResponseParts, SlowReport, Step,
    TrailersHead,
};

/// A guest that pauses and continues by chance, passes every byte, and logs `c` and `d` for each context of a stream.
/// `$pause`, `$poke`, `$trap`: how many of 256 callbacks pause, continue other streams, trap.
const GUEST: &str = r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $context (param i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "cd")
  (global $seed (mut i32) (i32.const SEED))
  (func $chance (param $of i32) (result i32)
    (global.set $seed (i32.add (i32.mul (global.get $seed) (i32.const 1103515245)) (i32.const 12345)))
    (i32.lt_u (i32.and (i32.shr_u (global.get $seed) (i32.const 16)) (i32.const 255)) (local.get $of)))
  (func $poke (param $id i32)
    (if (i32.eqz (call $context (local.get $id)))
      (then (drop (call $continue (i32.const 0))) (drop (call $continue (i32.const 1))))))
  (func $act (param $id i32) (result i32)
    (if (call $chance (i32.const TRAP)) (then unreachable))
    (if (call $chance (i32.const POKE)) (then
      (call $poke (i32.sub (local.get $id) (i32.const 1)))
      (call $poke (i32.add (local.get $id) (i32.const 1)))
      (call $poke (local.get $id))))
    (call $chance (i32.const PAUSE)))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_context_create") (param i32 i32)
    (if (local.get 1) (then (drop (call $log (i32.const 2) (i32.const 0) (i32.const 1))))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $act (local.get 0)))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (call $act (local.get 0)))
  (func (export "proxy_on_request_trailers") (param i32 i32) (result i32) (call $act (local.get 0)))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $act (local.get 0)))
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (call $act (local.get 0)))
  (func (export "proxy_on_response_trailers") (param i32 i32) (result i32) (call $act (local.get 0)))
  (func (export "proxy_on_delete") (param i32) (drop (call $log (i32.const 2) (i32.const 1) (i32.const 1)))))"#;

/// Counts creations and deletions of streams, by filter and context.
#[derive(Default)]
struct Ledger(Mutex<HashMap<(String, u32), (u32, u32)>>);

impl Ledger {
    /// What is there of the filters of this test.
    fn of(&self, run: &str) -> Vec<(u32, u32)> {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger
            .iter()
            .filter(|((filter, _), _)| filter.split('/').next() == Some(run))
            .map(|(_, counts)| *counts)
            .collect()
    }
}

impl Outside for Ledger {
    // None of its guests asks for any of these.
    fn later(&self, _: Duration, _: sluice_host::Job) {}

    fn reaches(&self, _: &str) -> bool {
        false
    }

    fn send(&self, _: sluice_host::Callout, _: sluice_host::Done) {}

    fn wall_clock(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
    fn log_level(&self, _: &str) -> LogLevel {
        LogLevel::Info
    }
    fn log(&self, line: &LogLine<'_>) {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = ledger.entry((line.filter.to_owned(), line.context)).or_default();
        match line.message {
            "c" => counts.0 += 1,
            "d" => counts.1 += 1,
            _ => {}
        }
    }
    fn slow(&self, _: &SlowReport<'_>) {}
    fn crashed(&self, _: &CrashReport<'_>) {}
    fn capped(&self, _: &CapReport<'_>) {}
}

static LEDGER: LazyLock<Arc<Ledger>> = LazyLock::new(Arc::default);
static HOST: LazyLock<Host> = LazyLock::new(|| Host::new(EngineOptions::default(), LEDGER.clone()).expect("a host"));
/// Compiled guests by what they do: compiling is the dear part.
static CODES: LazyLock<Mutex<HashMap<Manner, Code>>> = LazyLock::new(Mutex::default);

/// How a guest behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Manner {
    seed: u8,
    pause: u8,
    poke: u8,
    trap: u8,
}

fn code(manner: Manner) -> Code {
    let mut codes = CODES.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let text = GUEST
            .replace("SEED", &manner.seed.to_string())
            .replace("PAUSE", &manner.pause.to_string())
            .replace("POKE", &manner.poke.to_string())
            .replace("TRAP", &manner.trap.to_string());
        HOST.compile(&wat::parse_str(text).expect("valid text"), Isolation::Request).expect("a filter")
    };
    codes.entry(manner).or_insert_with(make).clone()
}

fn filter(name: String, manner: Manner, isolation: Isolation) -> Arc<Filter> {
    let spec = FilterSpec {
        isolation,
        fail_open: true,
        cpu_per_call: Duration::from_secs(10),
        cpu_per_request: Duration::from_secs(60),
        cpu_start: Duration::from_secs(10),
        cpu_warn: Duration::from_secs(10),
        memory: 1 << 20,
        ..FilterSpec::new(name, code(manner))
    };
    HOST.load(&spec, 1).expect("it loads")
}

/// One side of an exchange: what goes in and what came out.
#[derive(Default)]
struct Side {
    begun: bool,
    ended: bool,
    trailers: bool,
    sent: Vec<u8>,
    passed: Vec<u8>,
    end_passed: bool,
    bare: bool,
}

struct Flow {
    exchange: Exchange,
    request: Side,
    response: Side,
}

impl Flow {
    fn new(chain: &Chain) -> Self {
        let mut message = Message::default();
        message.request = Some(Box::new(RequestHead(RequestParts(http::Request::new(()).into_parts().0))));
        Self { exchange: chain.open(Box::new(message)), request: Side::default(), response: Side::default() }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// Feeds the next event of one side: a head first, then pieces, then perhaps trailers. The number chooses.
    fn feed(&mut self, direction: Direction, choice: u8) {
        if direction == Direction::Response && !self.exchange.headers_passed(Direction::Request) {
            return;
        }
        let (begun, ended) = (self.side(direction).begun, self.side(direction).ended);
        if ended {
            return;
        }
        let request = direction == Direction::Request;
        let step = if !begun {
            self.side(direction).begun = true;
            let end = choice.is_multiple_of(8);
            self.side(direction).ended = end;
            self.side(direction).bare = end;
            if request {
                self.exchange.request_headers(end)
            } else {
                let parts = http::Response::new(()).into_parts().0;
                self.exchange.message().response = Some(Box::new(ResponseHead(ResponseParts(parts))));
                self.exchange.response_headers(end)
            }
        } else if choice % 16 == 1 {
            self.side(direction).ended = true;
            self.side(direction).trailers = true;
            let trailers = Some(Box::new(TrailersHead(HeaderMap::new())) as _);
            if request {
                self.exchange.message().request_trailers = trailers;
                self.exchange.request_trailers()
            } else {
                self.exchange.message().response_trailers = trailers;
                self.exchange.response_trailers()
            }
        } else {
            let side = self.side(direction);
            // Every byte is another than its neighbours, so that a change of order shows.
            let piece: Vec<u8> = (0..choice % 5).map(|i| (side.sent.len() as u8).wrapping_add(i)).collect();
            side.sent.extend_from_slice(&piece);
            let end = choice % 16 == 2;
            side.ended = end;
            if request {
                self.exchange.request_body(Bytes::from(piece), end)
            } else {
                self.exchange.response_body(Bytes::from(piece), end)
            }
        };
        self.check(&step);
    }

    fn check(&mut self, step: &Step) {
        assert!(matches!(step, Step::Continue | Step::Hold), "{step:?}");
        for direction in [Direction::Request, Direction::Response] {
            if !self.exchange.headers_passed(direction) {
                assert!(self.exchange.take_body(direction).0.is_empty(), "a body before its head");
                continue;
            }
            let (bytes, end) = self.exchange.take_body(direction);
            let passed = self.exchange.trailers_passed(direction);
            let side = self.side(direction);
            assert!(bytes.is_empty() || !side.end_passed, "bytes behind the end");
            side.passed.extend_from_slice(&bytes);
            assert!(side.sent.starts_with(&side.passed), "{:?} went in, {:?} came out", side.sent, side.passed);
            side.end_passed |= end || passed || side.bare;
            assert!(!side.end_passed || side.sent == side.passed, "the end came too early");
        }
    }

    /// Hears what other streams' callbacks did to this one.
    fn listen(&mut self) {
        while let Some(event) = self.exchange.inbox().and_then(|inbox| inbox.try_next()) {
            let step = self.exchange.handle(event);
            self.check(&step);
        }
    }

    /// Takes the patience with every filter that holds something: all that was sent has to come out.
    fn drain(&mut self) {
        for _ in 0..64 {
            for direction in [Direction::Request, Direction::Response] {
                if self.exchange.is_held(direction) {
                    let step = self.exchange.give_up(direction);
                    self.check(&step);
                }
            }
            self.listen();
        }
        for direction in [Direction::Request, Direction::Response] {
            assert!(!self.exchange.is_held(direction), "still held");
            let passed = self.exchange.headers_passed(direction);
            let side = self.side(direction);
            assert_eq!(passed, side.begun, "the head");
            assert_eq!(side.sent, side.passed);
            assert_eq!(side.ended, side.end_passed, "the end");
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Feed(u8, bool, u8),
    Listen(u8),
    GiveUp(u8, bool),
    Cancel(u8),
    Open,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (any::<u8>(), any::<bool>(), any::<u8>()).prop_map(|(e, d, c)| Op::Feed(e, d, c)),
        4 => any::<u8>().prop_map(Op::Listen),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(e, d)| Op::GiveUp(e, d)),
        1 => any::<u8>().prop_map(Op::Cancel),
        1 => Just(Op::Open),
    ]
}

fn manner() -> impl Strategy<Value = Manner> {
    // Few different guests, so that nearly all are compiled once.
    let chance = |most| prop_oneof![Just(0), Just(most)];
    (0..2u8, prop_oneof![Just(0u8), Just(60), Just(160)], chance(100u8), chance(6u8))
        .prop_map(|(seed, pause, poke, trap)| Manner { seed, pause, poke, trap })
}

fn play(run: &str, manners: &[Manner], isolation: Isolation, ops: &[Op]) {
    let links = manners
        .iter()
        .enumerate()
        .map(|(i, m)| Link { filter: filter(format!("{run}/{i}"), *m, isolation), configuration: 0 });
    let chain = Chain::new(links.collect());
    let mut flows = vec![Flow::new(&chain), Flow::new(&chain)];
    let direction = |response: bool| if response { Direction::Response } else { Direction::Request };
    for op in ops {
        if flows.is_empty() {
            flows.push(Flow::new(&chain));
        }
        let count = flows.len();
        let pick = |number: u8| usize::from(number) % count;
        match *op {
            Op::Feed(flow, response, choice) => flows[pick(flow)].feed(direction(response), choice),
            Op::Listen(flow) => flows[pick(flow)].listen(),
            Op::GiveUp(flow, response) => {
                let flow = &mut flows[pick(flow)];
                let step = flow.exchange.give_up(direction(response));
                flow.check(&step);
            }
            Op::Cancel(flow) => drop(flows.swap_remove(pick(flow))),
            Op::Open => flows.push(Flow::new(&chain)),
        }
    }
    flows.iter_mut().for_each(Flow::drain);
    drop(flows);
    // A guest that dies takes its contexts with it, and the next one gives the same numbers out again.
    if manners.iter().all(|m| m.trap == 0) {
        for (created, deleted) in LEDGER.of(run) {
            assert_eq!(created, deleted);
            assert!(isolation == Isolation::Request || created == 1);
        }
    } else {
        assert!(LEDGER.of(run).iter().all(|(created, deleted)| deleted <= created));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_order_of_events_keeps_bytes_and_contexts(
        manners in proptest::collection::vec(manner(), 0..4),
        fresh in any::<bool>(),
        ops in proptest::collection::vec(op(), 0..80),
    ) {
        static RUN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let run = format!("run {}", RUN.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        play(&run, &manners, if fresh { Isolation::Request } else { Isolation::Shared }, &ops);
    }
}
