//! Any order of deeds, at any pace: in the end the truth was told, and the next change is seen as well.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::PathBuf, thread, time::Duration};

use sluice_host::Digest;

use super::{Bench, both};

both!(any_order_ends_in_the_truth, in_a_row_without_a_pause);

fn any_order_ends_in_the_truth(bench: Bench) {
    Deeds::laid(bench, 0x5eed).play(12, 60);
}

fn in_a_row_without_a_pause(bench: Bench) {
    Deeds::laid(bench, 0xace).play(25, 1);
}

/// Three folders, of which a link leads to one, and one that holds a link to what that link leads to.
struct Deeds {
    bench: Bench,
    random: u64,
    files: Vec<PathBuf>,
    told: BTreeMap<PathBuf, Option<Digest>>,
}

impl Deeds {
    fn laid(mut bench: Bench, seed: u64) -> Self {
        for folder in ["d0", "d1", "d2", "a/b"] {
            fs::create_dir_all(bench.at(folder)).unwrap();
            bench.put(&format!("{folder}/file"), folder);
        }
        symlink("d0", bench.at("link")).unwrap();
        symlink("../link/file", bench.at("a/link")).unwrap();
        let files: Vec<_> = ["a/b/file", "a/link", "link/file", "d1/file"].map(|name| bench.at(name)).into();
        bench.watch(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        let mut deeds = Self { bench, random: seed, files, told: BTreeMap::new() };
        deeds.told = deeds.truth();
        deeds
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    fn truth(&self) -> BTreeMap<PathBuf, Option<Digest>> {
        self.files.iter().map(|path| (path.clone(), fs::read(path).ok().map(|bytes| Digest::of(&bytes)))).collect()
    }

    fn play(mut self, rounds: u32, pause_ms: u64) {
        for round in 0..rounds {
            let mut done = Vec::new();
            for _ in 0..=self.below(8) {
                done.push(self.deed());
                if self.below(3) == 0 {
                    thread::sleep(Duration::from_millis(self.below(pause_ms + 1)));
                }
            }
            // Each file is there in the end and new, in a folder that may be the old one or not.
            for (n, folder) in ["d0", "d1", "d2", "a/b"].into_iter().enumerate() {
                fs::write(self.bench.at(folder).join("file"), format!("round {round} {n}")).unwrap();
            }
            let truth = self.truth();
            while self.told != truth {
                let next = self.bench.changes.recv_timeout(super::LONG);
                let Ok(super::Change::Files(changes)) = next else {
                    panic!("after {done:?} of round {round}: told {:?}, true is {truth:?}", self.told)
                };
                for changed in changes {
                    assert_eq!(self.told.insert(changed.path.clone(), changed.after), Some(changed.before));
                }
            }
        }
        self.bench.nothing_else();
    }

    /// One of them; some can fail, as after another one.
    fn deed(&mut self) -> &'static str {
        let (one, other, which) = (self.below(3), self.below(3), self.below(9));
        let at = |name: &str| self.bench.at(name);
        let (one, other) = (format!("d{one}"), format!("d{other}"));
        let text = self.random.to_string();
        let lay = |name: &str| {
            let _ = fs::create_dir_all(at(name));
            let _ = fs::write(at(name).join("file"), &text);
        };
        let swap = |a: PathBuf, b: PathBuf| {
            let _ = fs::rename(&a, at("aside"));
            let _ = fs::rename(&b, &a);
            let _ = fs::rename(at("aside"), &b);
        };
        let deeds: [(&str, &dyn Fn()); 9] = [
            ("write", &|| lay(&one)),
            ("rename into place", &|| {
                let _ = fs::rename(self.bench.put("new", &text), at(&one).join("file"));
            }),
            ("rename a link into place", &|| {
                let _ = symlink(&one, at("new link"));
                let _ = fs::rename(at("new link"), at("link"));
            }),
            ("make a link again", &|| {
                let _ = fs::remove_file(at("link"));
                let _ = symlink(&one, at("link"));
            }),
            ("replace a folder", &|| {
                let _ = fs::rename(at(&one), at(&format!("old {text}")));
                lay(&one);
            }),
            ("remove and create a folder", &|| {
                let _ = fs::remove_dir_all(at("a/b"));
                lay("a/b");
            }),
            ("rename there and back", &|| {
                let _ = fs::rename(at("a"), at("x"));
                let _ = fs::rename(at("x"), at("a"));
            }),
            ("swap folders", &|| swap(at(&one), at(&other))),
            ("remove", &|| {
                let _ = fs::remove_file(at(&one).join("file"));
            }),
        ];
        let (name, deed) = deeds[usize::try_from(which).unwrap()];
        deed();
        name
    }
}
