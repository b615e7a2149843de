//! The way to a file through directories and symbolic links: where something can happen that leads it elsewhere.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

/// Most symbolic links on the way; the system follows no more either.
const MOST_LINKS: usize = 40;
/// The bit of directories where everybody may create files and nobody may rename another's.
const STICKY: u32 = 0o1000;

/// Which directory it is, whatever its name: device and inode.
pub(super) type DirId = (u64, u64);

/// Every directory that is passed on the way to one file, or to the place where the way breaks off.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// In the order in which they are passed; the paths are free of links.
    pub(super) dirs: Vec<Dir>,
    /// What is looked up in them: links, and the file itself; whatever is not there ends it.
    pub(super) entries: Vec<PathBuf>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dir {
    pub(super) path: PathBuf,
    pub(super) id: DirId,
    /// It holds the file, or a link on the way, or is where the way breaks off. Of the others only the removal counts.
    pub(super) needed: bool,
    sticky: bool,
}

impl Way {
    /// Follows the path as it is now.
    pub(super) fn to(path: &Path) -> Self {
        let mut way = Self::default();
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut rest = parts(&path);
        let mut here = PathBuf::from("/");
        let mut links = 0;
        way.pass(&here);
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                here.pop();
                way.pass(&here);
                continue;
            }
            let next = here.join(&part);
            match fs::symlink_metadata(&next) {
                Ok(found) if found.is_symlink() && links < MOST_LINKS => {
                    way.need(&here);
                    way.entries.push(next.clone());
                    links += 1;
                    let Ok(target) = fs::read_link(&next) else { break };
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    way.pass(&here);
                    let mut longer = parts(&target);
                    longer.append(&mut rest);
                    rest = longer;
                }
                Ok(found) if found.is_dir() => {
                    here = next;
                    way.passed(&here, &found);
                }
                _ => {
                    way.entries.push(next);
                    break;
                }
            }
        }
        way.need(&here);
        way
    }

    /// Those without which a change goes unnoticed.
    pub(super) fn needed(&self) -> impl Iterator<Item = &PathBuf> {
        self.dirs.iter().filter(|dir| dir.needed).map(|dir| &dir.path)
    }

    /// Those to watch. Not the likes of `/tmp` when they are only passed: too much happens there that is not ours.
    pub(super) fn watched(&self) -> impl Iterator<Item = &Dir> {
        self.dirs.iter().filter(|dir| dir.needed || !dir.sticky)
    }

    fn pass(&mut self, path: &Path) {
        if let Ok(found) = fs::symlink_metadata(path) {
            self.passed(path, &found);
        }
    }

    fn passed(&mut self, path: &Path, found: &Metadata) {
        if self.dirs.iter().all(|dir| dir.path != path) {
            let (id, sticky) = ((found.dev(), found.ino()), found.mode() & STICKY != 0);
            self.dirs.push(Dir { path: path.to_owned(), id, needed: false, sticky });
        }
    }

    fn need(&mut self, path: &Path) {
        self.dirs.iter_mut().filter(|dir| dir.path == path).for_each(|dir| dir.needed = true);
    }
}

/// The names of a path, and `..`; neither the root nor `.`.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The needed ones of a way, relative to a folder.
    fn needed(folder: &Path, file: &str) -> Vec<String> {
        let way = Way::to(&folder.join(file));
        way.needed().map(|dir| dir.strip_prefix(folder).unwrap().display().to_string()).collect()
    }

    #[test]
    fn every_directory_that_holds_a_link_or_the_file_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::create_dir_all(folder.join("c/d")).unwrap();
        fs::write(folder.join("c/d/file"), "").unwrap();
        symlink(folder.join("c"), folder.join("a/b/link")).unwrap();
        assert_eq!(needed(&folder, "a/b/link/d/file"), ["a/b", "c/d"]);
        assert_eq!(needed(&folder, "a/b/link/gone/file"), ["a/b", "c"]);
        assert_eq!(needed(&folder, "a/../c/./d/file"), ["c/d"]);
        let passed = Way::to(&folder.join("a/b/link/d/file"));
        assert_eq!(passed.entries, [folder.join("a/b/link"), folder.join("c/d/file")]);
        assert!(["a", "c"].iter().all(|dir| passed.dirs.iter().any(|found| found.path == folder.join(dir))));
    }

    #[test]
    fn links_in_a_circle_end() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        symlink("two", folder.join("one")).unwrap();
        symlink("one", folder.join("two")).unwrap();
        assert_eq!(needed(&folder, "one"), [""]);
    }
}
