//! Small pieces of work by the clock: `make bench-micro`. What they do stands in `benches/micro/src`.

use criterion::{Criterion, Throughput};
use sluice_bench_micro::scenes;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for scene in scenes() {
        let (group, name) = scene.name.split_once('/').unwrap_or((&scene.name, "alone"));
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Elements(scene.times));
        if scene.slow {
            group.sample_size(20);
        }
        group.bench_function(name, |bencher| {
            let mut work = scene.ready();
            bencher.iter(&mut work);
        });
        group.finish();
    }
    criterion.final_summary();
}
