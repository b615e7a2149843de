//! Swaps, refusals, drains.

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tempfile::TempDir;

use super::{telemetry, the};
use crate::{
    harness::{Collector, Proxy, attribute, chain_yaml},
    swap::version::{Version, put},
};

#[test]
fn a_swap_is_a_trace_and_the_end_of_the_old_generation_is_linked_to_it() {
    let collector = Collector::start();
    let dir = TempDir::new().unwrap();
    put(dir.path(), &Version::new("1"));
    let mut proxy = Proxy::start_in(
        dir,
        &chain_yaml(
            &[("v", "DIR/v.wasm", "")],
            None,
            &telemetry(&collector, "sampling: { ratio: 0.0, errors: false }"),
        ),
    );
    put(proxy.dir.path(), &Version::new("2"));
    proxy.wait_for("the new configuration serves");
    std::fs::write(proxy.dir.path().join("v.wasm"), "no module").unwrap();
    proxy.wait_for("the new configuration is refused");
    let [swap, refused] = &collector.wait_for("swaps", |span| span.name == "sluice.swap", 2)[..] else { panic!() };
    assert_eq!(
        (attribute(swap, "sluice.generation").as_str(), attribute(swap, "sluice.cause").as_str()),
        ("2", "files")
    );
    assert!(attribute(swap, "sluice.files").ends_with("v.wasm"));
    let steps = collector.wait_for("steps", |span| span.trace_id == swap.trace_id && span.span_id != swap.span_id, 4);
    let step = |name: &str| the(&steps, name, |span| span.name == name);
    let build = step("sluice.filter.build");
    assert_eq!((&build.parent_span_id, &step("sluice.read").parent_span_id), (&swap.span_id, &swap.span_id));
    for inner in ["sluice.filter.compile", "sluice.filter.start"] {
        assert_eq!(step(inner).parent_span_id, build.span_id);
    }
    assert_eq!(attribute(build, "sluice.filter"), "v");
    assert_ne!(attribute(build, "sluice.digest"), attribute(build, "sluice.digest.before"));
    assert!(
        swap.end_time_unix_nano > swap.start_time_unix_nano
            && refused.end_time_unix_nano > refused.start_time_unix_nano
    );
    assert_eq!(refused.status.clone().unwrap().code(), StatusCode::Error);
    assert!(refused.status.clone().unwrap().message.contains("is not a WebAssembly module"));
    let [drain] = &collector.wait_for("drains", |span| span.name == "sluice.drain", 1)[..] else { panic!() };
    assert_eq!((attribute(drain, "sluice.generation").as_str(), &drain.links[0].span_id), ("1", &swap.span_id));
    let start = collector.wait_for("the start", |span| span.name == "sluice.start", 1);
    assert_eq!(attribute(&start[0], "sluice.cause"), "start");
}
