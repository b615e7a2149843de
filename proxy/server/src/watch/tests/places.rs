//! Links and directories on the way to a file that are swapped, replaced, removed or not there yet.

use std::{fs, os::unix::fs::symlink};

use super::{Bench, both, timed};

both!(
    link_swapped,
    target_of_a_link_overwritten,
    config_map,
    directory_replaced,
    directory_above_replaced,
    directory_removed_and_created,
    parent_not_there_yet,
    link_to_nothing_yet,
    busy_directory_left_alone,
    way_through_dots_and_links,
);

fn link_swapped(mut bench: Bench) {
    fs::create_dir(bench.at("elsewhere")).unwrap();
    let (one, two) = (bench.put("elsewhere/one", "one"), bench.put("two", "two"));
    let path = bench.at("link");
    symlink(&one, &path).unwrap();
    bench.watch(&[&path]);
    symlink(&two, bench.at("new")).unwrap();
    fs::rename(bench.at("new"), &path).unwrap();
    bench.told(&path, Some("one"), Some("two"));
    // The file it leads to now is the one that counts.
    fs::rename(bench.put("elsewhere/new", "other"), &one).unwrap();
    bench.nothing_else();
    fs::rename(bench.put("new", "three"), &two).unwrap();
    bench.told(&path, Some("two"), Some("three"));
    bench.nothing_else();
}

fn target_of_a_link_overwritten(mut bench: Bench) {
    fs::create_dir_all(bench.at("a/b")).unwrap();
    let target = bench.put("a/b/target", "one");
    symlink("a/b/target", bench.at("inner")).unwrap();
    let path = bench.at("outer");
    symlink("inner", &path).unwrap();
    bench.watch(&[&path]);
    fs::rename(bench.put("a/b/new", "two"), &target).unwrap();
    bench.told(&path, Some("one"), Some("two"));
    bench.nothing_else();
}

/// What kubelet does: a new folder, a link to it renamed over `..data`, the old folder removed.
fn config_map(mut bench: Bench) {
    fs::create_dir(bench.at("mount")).unwrap();
    let mount = bench.at("mount");
    let version = |n: u32| mount.join(format!("..2026_{n}"));
    let lay = |n: u32| {
        fs::create_dir(version(n)).unwrap();
        fs::write(version(n).join("file"), n.to_string()).unwrap();
        fs::write(version(n).join("same"), "same").unwrap();
    };
    let swap = |n: u32| {
        lay(n);
        symlink(format!("..2026_{n}"), mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        fs::remove_dir_all(version(n - 1)).unwrap();
    };
    lay(0);
    symlink("..2026_0", mount.join("..data")).unwrap();
    let (file, same) = (mount.join("file"), mount.join("same"));
    symlink("..data/file", &file).unwrap();
    symlink("..data/same", &same).unwrap();
    bench.watch(&[&file, &same]);
    for n in 1..4 {
        swap(n);
        bench.told(&file, Some(&(n - 1).to_string()), Some(&n.to_string()));
    }
    let took = timed(|| {
        swap(4);
        swap(5);
    });
    bench.told_of(took, &[(&file, Some("5"))]);
    bench.nothing_else();
}

fn directory_replaced(mut bench: Bench) {
    fs::create_dir_all(bench.at("dir")).unwrap();
    fs::create_dir_all(bench.at("new")).unwrap();
    let path = bench.put("dir/file", "one");
    bench.put("new/file", "two");
    bench.watch(&[&path]);
    let took = timed(|| {
        fs::rename(bench.at("dir"), bench.at("old")).unwrap();
        fs::rename(bench.at("new"), bench.at("dir")).unwrap();
    });
    bench.told_of(took, &[(&path, Some("two"))]);
    // The directory that was moved away is not ours any more, the new one is.
    bench.put("old/file", "other");
    bench.nothing_else();
    fs::rename(bench.put("dir/new", "three"), &path).unwrap();
    bench.told(&path, Some("two"), Some("three"));
    bench.nothing_else();
}

fn directory_above_replaced(mut bench: Bench) {
    for top in ["top", "new"] {
        fs::create_dir_all(bench.at(top).join("a/b")).unwrap();
    }
    let path = bench.put("top/a/b/file", "one");
    bench.put("new/a/b/file", "two");
    bench.watch(&[&path]);
    let took = timed(|| {
        fs::rename(bench.at("top"), bench.at("old")).unwrap();
        fs::rename(bench.at("new"), bench.at("top")).unwrap();
    });
    bench.told_of(took, &[(&path, Some("two"))]);
    fs::rename(bench.put("top/a/b/new", "three"), &path).unwrap();
    bench.told(&path, Some("two"), Some("three"));
    // And back: the same inodes under the names that were watched before.
    let took = timed(|| {
        fs::rename(bench.at("top"), bench.at("new")).unwrap();
        fs::rename(bench.at("old"), bench.at("top")).unwrap();
    });
    bench.told_of(took, &[(&path, Some("one"))]);
    fs::rename(bench.put("top/a/b/new", "four"), &path).unwrap();
    bench.told(&path, Some("one"), Some("four"));
    bench.nothing_else();
}

fn directory_removed_and_created(mut bench: Bench) {
    fs::create_dir_all(bench.at("a/b")).unwrap();
    let path = bench.put("a/b/file", "one");
    bench.watch(&[&path]);
    let took = timed(|| {
        // File systems give the same inode again.
        fs::remove_dir_all(bench.at("a/b")).unwrap();
        fs::create_dir(bench.at("a/b")).unwrap();
        fs::rename(bench.put("new", "two"), &path).unwrap();
    });
    bench.told_of(took, &[(&path, Some("two"))]);
    fs::rename(bench.put("a/b/new", "three"), &path).unwrap();
    bench.told(&path, Some("two"), Some("three"));
    fs::remove_dir_all(bench.at("a")).unwrap();
    bench.told(&path, Some("three"), None);
    bench.nothing_else();
    fs::create_dir_all(bench.at("a/b")).unwrap();
    bench.nothing_else();
    fs::rename(bench.put("new", "four"), &path).unwrap();
    bench.told(&path, None, Some("four"));
    bench.nothing_else();
}

fn parent_not_there_yet(mut bench: Bench) {
    let path = bench.at("a/b/c/file");
    bench.watch(&[&path]);
    fs::create_dir_all(bench.at("a")).unwrap();
    bench.nothing_else();
    fs::create_dir_all(bench.at("a/b/c")).unwrap();
    fs::rename(bench.put("new", "one"), &path).unwrap();
    bench.told(&path, None, Some("one"));
    bench.nothing_else();
}

fn link_to_nothing_yet(mut bench: Bench) {
    let path = bench.at("link");
    symlink("a/../b/target", &path).unwrap();
    bench.watch(&[&path]);
    fs::create_dir_all(bench.at("b")).unwrap();
    fs::rename(bench.put("new", "one"), bench.at("b/target")).unwrap();
    // Still no way: the system wants `a` to be there, although the way leads out of it again.
    bench.nothing_else();
    fs::create_dir_all(bench.at("a")).unwrap();
    bench.told(&path, None, Some("one"));
    bench.nothing_else();
}

fn busy_directory_left_alone(mut bench: Bench) {
    let path = bench.put("file", "one");
    bench.watch(&[&path]);
    for n in 0..2_000 {
        fs::rename(bench.put("busy", &n.to_string()), bench.at("log")).unwrap();
    }
    bench.nothing_else();
    fs::rename(bench.put("busy", "two"), &path).unwrap();
    bench.told(&path, Some("one"), Some("two"));
}

fn way_through_dots_and_links(mut bench: Bench) {
    fs::create_dir_all(bench.at("real/deep")).unwrap();
    fs::create_dir_all(bench.at("other/deep")).unwrap();
    let (real, other) = (bench.put("real/file", "one"), bench.put("other/file", "two"));
    symlink("real/deep", bench.at("link")).unwrap();
    // `..` leads out of where the link leads to.
    let path = bench.at("link/./../file");
    bench.watch(&[&path]);
    fs::rename(bench.put("real/new", "more"), &real).unwrap();
    bench.told(&path, Some("one"), Some("more"));
    symlink("other/deep", bench.at("new")).unwrap();
    fs::rename(bench.at("new"), bench.at("link")).unwrap();
    bench.told(&path, Some("more"), Some("two"));
    fs::rename(bench.put("other/new", "three"), &other).unwrap();
    bench.told(&path, Some("two"), Some("three"));
    bench.nothing_else();
}
