//! How the contents of a file can change, and what only looks like it.

use std::{fs, io::Write, thread, time::Duration};

use super::{Bench, both, timed};

both!(
    overwritten,
    written_in_small_pieces,
    renamed_into_place,
    deleted_and_created,
    touched,
    time_set_back,
    written_by_an_editor,
    temporary_files_of_editors,
    vanished_and_back,
    several_at_once,
    changed_and_changed_back,
    not_to_be_read,
    again_and_again,
);

/// Overwrites without truncating first, so that no look can find an empty file.
fn overwrite(path: &std::path::Path, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_len(text.len() as u64).unwrap();
}

fn overwritten(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    overwrite(&path, "two");
    bench.told(&path, Some("one"), Some("two"));
    bench.nothing_else();
}

fn written_in_small_pieces(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    let whole = "0123456789".repeat(50_000);
    let mut longest = Duration::ZERO;
    let mut pieces = whole.as_bytes().chunks(10_000);
    let mut file = None;
    // The longest time in which the file stayed as it was, and the write before.
    while longest < super::LONG {
        let mut ended = false;
        longest = longest.max(timed(|| {
            let file = file.get_or_insert_with(|| fs::File::create(&path).unwrap());
            match pieces.next() {
                Some(piece) => file.write_all(piece).unwrap(),
                None => ended = true,
            }
            thread::sleep(Duration::from_millis(10));
        }));
        if ended {
            break;
        }
    }
    // Two of them follow on each other between two writes.
    bench.told_of(longest * 2, &[(&path, Some(&whole))]);
    bench.nothing_else();
}

fn renamed_into_place(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    fs::rename(bench.put("new", "two"), &path).unwrap();
    bench.told(&path, Some("one"), Some("two"));
    fs::rename(bench.put("new", "three"), &path).unwrap();
    bench.told(&path, Some("two"), Some("three"));
    bench.nothing_else();
}

fn deleted_and_created(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    let new = bench.put("new", "two");
    let took = timed(|| {
        fs::remove_file(&path).unwrap();
        fs::rename(&new, &path).unwrap();
    });
    bench.told_of(took, &[(&path, Some("two"))]);
    bench.nothing_else();
}

fn touched(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    bench.nothing_else();
    overwrite(&path, "one");
    bench.nothing_else();
    fs::rename(bench.put("new", "one"), &path).unwrap();
    bench.nothing_else();
}

fn time_set_back(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    let before = fs::metadata(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    (&file).write_all(b"two").unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    drop(file);
    let after = fs::metadata(&path).unwrap();
    assert_eq!((before.modified().unwrap(), before.len()), (after.modified().unwrap(), after.len()));
    bench.told(&path, Some("one"), Some("two"));
    bench.nothing_else();
}

fn written_by_an_editor(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    let probe = bench.put("4913", "");
    fs::remove_file(probe).unwrap();
    let took = timed(|| {
        fs::rename(&path, bench.at("file~")).unwrap();
        fs::rename(bench.put(".file.swp", "two"), &path).unwrap();
        fs::remove_file(bench.at("file~")).unwrap();
    });
    bench.told_of(took, &[(&path, Some("two"))]);
    bench.nothing_else();
}

fn temporary_files_of_editors(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    for name in ["4913", ".file.swp", "file~", "#file#", ".#file", "file.tmp"] {
        let temporary = bench.put(name, "something");
        fs::rename(&temporary, bench.at("other")).unwrap();
        fs::remove_file(bench.at("other")).unwrap();
    }
    bench.nothing_else();
}

fn vanished_and_back(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    fs::remove_file(&path).unwrap();
    bench.told(&path, Some("one"), None);
    bench.nothing_else();
    fs::rename(bench.put("new", "one"), &path).unwrap();
    bench.told(&path, None, Some("one"));
    bench.nothing_else();
}

fn several_at_once(mut bench: Bench) {
    let paths = ["a", "b", "c"].map(|name| bench.put(name, "one"));
    bench.watch(&paths.each_ref().map(std::path::PathBuf::as_path));
    let new = bench.put("new", "two");
    let took = timed(|| {
        overwrite(&paths[0], "two");
        // Long enough for looks at the first alone, which then has to wait for the others.
        thread::sleep(super::DEBOUNCE / 3);
        fs::rename(&new, &paths[1]).unwrap();
        thread::sleep(super::DEBOUNCE / 3);
        fs::remove_file(&paths[2]).unwrap();
    });
    bench.told_of(took, &[(&paths[0], Some("two")), (&paths[1], Some("two")), (&paths[2], None)]);
    bench.nothing_else();
}

fn changed_and_changed_back(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    let (new, old) = (bench.put("new", "two"), bench.put("old", "one"));
    let took = timed(|| {
        fs::rename(&new, &path).unwrap();
        fs::rename(&old, &path).unwrap();
    });
    if took < super::DEBOUNCE {
        bench.nothing_else();
    } else {
        bench.told_of(took, &[(&path, Some("one"))]);
    }
}

fn not_to_be_read(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    bench.told(&path, Some("one"), None);
    fs::remove_dir(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    bench.nothing_else();
    fs::rename(bench.put("new", "two"), &path).unwrap();
    bench.told(&path, None, Some("two"));
}

fn again_and_again(mut bench: Bench) {
    let path = bench.put("file", "0");
    bench.watch(&[&path]);
    for n in 1..6 {
        fs::rename(bench.put("new", &n.to_string()), &path).unwrap();
        bench.told(&path, Some(&(n - 1).to_string()), Some(&n.to_string()));
    }
    bench.nothing_else();
}
