//! Filters that misbehave on purpose, in the same process as others that do not: every neighbour gets its answer, every
//! evil request gets one too, the log says who did what, and memory returns to where it was.
//!
//! Callbacks for trailers are not reached here; `tests/conformance/cases/faults` has them.

mod crowd;
mod report;
mod stage;

use stage::{
    Answer::{Cut, Either, Fails, Passes},
    Deed, Extra, meets, text_guest,
};
use tempfile::TempDir;

use crate::harness::{Proxy, chain_yaml, fixture};

#[test]
fn endless_loops_in_each_callback() {
    let deadly = |name, answer| Deed::deadly(name, answer, "cpu_exceeded");
    let (cpu, create) = ("cpu_exceeded", ", config: loop@context_create");
    meets(
        &[
            deadly("loop@request_headers", Fails(cpu)),
            deadly("loop@request_body", Fails(cpu)),
            deadly("loop@response_headers", Fails(cpu)),
            deadly("loop@response_body", Cut(cpu)),
            deadly("loop@done", Passes),
            deadly("loop@log", Passes),
            deadly("loop@delete", Passes),
            deadly("loop@http_call_response", Fails(cpu)),
            Deed { name: "slow@request_headers", filter: "evil", answer: Either(cpu), log: Vec::new() },
            Deed { filter: "create", ..deadly("loop@context_create", Fails(cpu)) },
            deadly("loop@queue_ready", Passes),
        ],
        &[("create", fixture("misbehave"), create)],
    );
}

#[test]
fn traps_in_each_callback() {
    let deadly = |name, answer| Deed::deadly(name, answer, "trap");
    meets(
        &[
            deadly("trap@request_headers", Fails("trap")),
            deadly("trap@request_body", Fails("trap")),
            deadly("trap@response_headers", Fails("trap")),
            deadly("trap@response_body", Cut("trap")),
            deadly("trap@done", Passes),
            deadly("trap@log", Passes),
            deadly("trap@delete", Passes),
            deadly("trap@http_call_response", Fails("trap")),
            deadly("exit@request_headers", Fails("trap")),
            deadly("exit@log", Passes),
            deadly("store@request_headers", Fails("trap")),
            Deed { filter: "create", ..deadly("trap@context_create", Fails("trap")) },
            deadly("trap@queue_ready", Passes),
        ],
        &[("create", fixture("misbehave"), ", config: trap@context_create")],
    );
}

#[test]
fn bombs_recursion_and_allocators() {
    let dir = TempDir::new().unwrap();
    let deadly = |name, answer, kind| Deed::deadly(name, answer, kind);
    let memory = "memory_exceeded";
    let own = |name, filter, answer, log: &[&str]| Deed {
        name,
        filter,
        answer,
        log: log.iter().map(|part| (*part).to_owned()).collect(),
    };
    let headers = "phase=\"request_headers\"";
    meets(
        &[
            deadly("recursion@request_headers", Fails("trap"), "trap"),
            deadly("recursion@response_body", Cut("trap"), "trap"),
            deadly("recursion@log", Passes, "trap"),
            deadly("memory@request_headers", Fails(memory), memory),
            deadly("memory@response_headers", Fails(memory), memory),
            deadly("memory@delete", Passes, memory).untold(),
            own("a table bomb", "table", Fails(memory), &[headers, "kind=\"memory_exceeded\""]),
            own("an allocator that calls back", "nested", Passes, &[]),
            own("an allocator that traps", "traps", Fails("trap"), &[headers, "kind=\"trap\""]),
            own("an allocator outside of memory", "outside", Passes, &[]),
            own("an allocator that ends at memory's end", "end", Passes, &[]),
            deadly("pointers@request_headers", Either("cpu_exceeded"), "cpu_exceeded").untold(),
        ],
        &[
            ("table", text_guest(&dir, "table"), ""),
            ("nested", text_guest(&dir, "nested"), ""),
            ("traps", fixture("nonsense"), ", config: alloc-trap"),
            ("outside", fixture("nonsense"), ", config: alloc-outside"),
            ("end", fixture("nonsense"), ", config: alloc-last-byte"),
        ],
    );
}

#[test]
fn floods_and_sleep() {
    meets(
        &[
            Deed::capped("logs@request_headers", "log_flood"),
            Deed::capped("headers@request_headers", "header_fields"),
            Deed::capped("shared@request_headers", "shared_data_full"),
            Deed::capped("queue@request_headers", "queue_bytes"),
            Deed::capped("metrics@request_headers", "metrics_full"),
            Deed::capped("callouts@request_headers", "callouts_in_flight"),
            Deed::capped("callouts@log", "callouts_in_flight"),
            Deed::deadly("sleep@request_headers", Passes, "").untold(),
        ],
        &[],
    );
}

#[test]
fn ticks_that_never_end_well() {
    let tick = |name, filter, kind: &str| Deed {
        filter,
        log: vec!["phase=\"tick\"".into(), format!("kind=\"{kind}\"")],
        // Most of the time its guest is waited for.
        ..Deed::deadly(name, Either("start_failed"), kind)
    };
    let extra: [Extra; 2] = [
        ("loops", fixture("misbehave"), ", config: loop@tick"),
        ("traps", fixture("misbehave"), ", config: trap@tick"),
    ];
    meets(&[tick("loop@tick", "loops", "cpu_exceeded"), tick("trap@tick", "traps", "trap")], &extra);
}

#[test]
fn what_misbehaves_before_it_serves_does_not_load() {
    let dir = TempDir::new().unwrap();
    let misbehave = fixture("misbehave");
    let limits = "limits: { cpu_start: 50ms, memory: 8MiB }";
    for isolation in stage::ISOLATIONS {
        let refused = |module: &str, more: &str, says: &str| {
            let more = format!("isolation: {isolation}, {limits}{more}");
            let said = Proxy::refused(&chain_yaml(&[("evil", module, &more)], None, ""));
            assert!(said.contains("filter `evil`") && said.contains(says), "{module} {more}: {said}");
        };
        for (deed, says) in [
            ("trap", "trapped, as asked"),
            ("loop", "CPU"),
            ("memory", "memory"),
            ("recursion", "failed in"),
            ("exit", "exit"),
        ] {
            refused(&misbehave, &format!(", vm_config: {deed}@vm_start"), says);
            refused(&misbehave, &format!(", config: {deed}@configure"), says);
        }
        refused(&text_guest(&dir, "start"), "", "CPU");
        refused(&text_guest(&dir, "large"), "", "memory");
    }
}

#[test]
fn a_filter_that_always_crashes_is_taken_out_and_comes_back() {
    for isolation in stage::ISOLATIONS {
        let filter = format!("isolation: {isolation}, limits: {{ cpu_per_call: 5ms }}");
        let filters = [("evil", &*fixture("misbehave"), &*filter)];
        let mut proxy = Proxy::start(&chain_yaml(&filters, None, "server: { workers: 1 }\n"));
        // Every other request is a good one: guests that only die are waited for before there are enough of them.
        let mut answers = Vec::new();
        while answers.last().map(String::as_str) != Some("quarantined") && answers.len() < 1000 {
            answers.extend(crowd::evil(proxy.addresses[0], "nothing@at_all", "evil", 1));
            answers.extend(crowd::evil(proxy.addresses[0], "loop@request_headers", "evil", 1));
        }
        assert_eq!(answers.last().map(String::as_str), Some("quarantined"), "{answers:?}");
        assert!(answers.contains(&"cpu_exceeded".to_owned()), "{answers:?}");
        proxy.wait_for("out of service for");
        while proxy.client().request("GET /", &[], "").status() != 200 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        proxy.wait_for("back in service");
    }
}
