//! What a change is compared with, who else can wake the watch, and what never comes to rest.

use std::{
    fs,
    io::Write,
    sync::mpsc::{TryRecvError, channel},
    thread,
    time::Duration,
};

use sluice_host::Digest;

use super::{Baseline, Bench, Options, Wish, both, timed};

both!(
    differs_from_the_start,
    missing_when_it_was_wanted,
    told_once,
    taken_out_of_the_set,
    rolled_back,
    wakes_come_in_order,
    never_at_rest,
);

fn read(text: &str) -> Baseline {
    Baseline::Read(Digest::of(text.as_bytes()))
}

fn differs_from_the_start(mut bench: Bench) {
    // As when it changed between the reading and the watching.
    let path = bench.put("file", "two");
    bench.set(vec![(path.clone(), read("one"))]);
    bench.told(&path, Some("one"), Some("two"));
    bench.nothing_else();
}

fn missing_when_it_was_wanted(mut bench: Bench) {
    let (here, gone) = (bench.put("here", "one"), bench.at("gone"));
    bench.set(vec![(here.clone(), Baseline::Missing), (gone.clone(), read("one"))]);
    bench.told_of(Duration::ZERO, &[(&here, Some("one")), (&gone, None)]);
    bench.nothing_else();
}

fn told_once(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    fs::rename(bench.put("new", "broken"), &path).unwrap();
    bench.told(&path, Some("one"), Some("broken"));
    // The caller could not use it, and says nothing new of it.
    bench.set(vec![(path.clone(), Baseline::Known)]);
    bench.nothing_else();
    fs::rename(bench.put("new", "one"), &path).unwrap();
    bench.told(&path, Some("broken"), Some("one"));
    bench.nothing_else();
}

fn taken_out_of_the_set(mut bench: Bench) {
    let (a, b) = (bench.put("a", "one"), bench.put("b", "one"));
    bench.watch(&[&a, &b]);
    bench.watch(&[&b]);
    fs::write(&a, "two").unwrap();
    bench.nothing_else();
    fs::rename(bench.put("new", "two"), &b).unwrap();
    bench.told(&b, Some("one"), Some("two"));
    bench.nothing_else();
}

fn rolled_back(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    fs::rename(bench.put("new", "two"), &path).unwrap();
    bench.told(&path, Some("one"), Some("two"));
    // The caller's file is older than what lies there: that is told, since only it can know that it means to.
    bench.set(vec![(path.clone(), read("one"))]);
    bench.told(&path, Some("one"), Some("two"));
    bench.nothing_else();
}

fn wakes_come_in_order(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    let other = bench.waker.clone();
    other.wake(Wish::Word("one"));
    bench.waker.wake(Wish::Word("two"));
    bench.heard("one");
    bench.heard("two");
    bench.nothing_else();
}

/// A file that grows for ever does not keep the others, and is told when it ends.
fn never_at_rest(bench: Bench) {
    let force_poll = bench.is_polling;
    drop(bench);
    let poll = if force_poll { Duration::from_millis(40) } else { 10 * super::LONG };
    let patience = Duration::from_millis(600);
    let mut bench = Bench::with(Options { debounce: super::DEBOUNCE, poll, patience, force_poll });
    let (growing, other) = (bench.put("growing", ""), bench.put("other", "one"));
    bench.watch(&[&growing, &other]);
    let (stop, stopped) = channel::<()>();
    let (growing, other) = (&growing, &other);
    thread::scope(|scope| {
        let stop = stop;
        let grower = scope.spawn(move || {
            let mut file = fs::File::options().append(true).open(growing).unwrap();
            let mut longest = Duration::ZERO;
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                longest = longest.max(timed(|| {
                    file.write_all(b"more ").unwrap();
                    thread::sleep(Duration::from_millis(5));
                }));
            }
            longest
        });
        fs::rename(bench.put("new", "two"), other).unwrap();
        let mut found = bench.next();
        let mut stalled = false;
        while !found.iter().any(|changed| changed.path == *other) {
            stalled = true;
            found = bench.next();
        }
        stalled |= found.len() > 1;
        stop.send(()).unwrap();
        // Only when the machine held the writer up it can have looked as if it were at rest.
        let longest = grower.join().unwrap();
        assert!(!stalled || longest * 2 >= super::DEBOUNCE, "{found:?}");
    });
    fs::File::options().append(true).open(growing).unwrap().write_all(b"and the end").unwrap();
    let whole = fs::read_to_string(growing).unwrap();
    bench.told_of(super::LONG, &[(growing, Some(&whole))]);
    bench.nothing_else();
}
