//! Compiled code on disk, so that a module is compiled once and not at every start.
//!
//! Only its owner can use the folder. Each file is sealed with a key that lies beside them; whatever else is wrong with
//! one, it is compiled again. Files are written beside their place and renamed into it, so a process that dies leaves
//! nothing half, and several processes can share a folder.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::{
    process::geteuid,
    rand::{GetRandomFlags, getrandom},
};
use wasmtime::Module;

use crate::{
    Digest, Engine, HAS_COMPILER,
    artifact::{KEY, Key},
};

/// Ends of file names.
const CODE: &str = "code";
/// Files that a process left half written are removed after this.
const STALE: Duration = Duration::from_secs(3600);
/// Most bytes of one file.
const MOST: u64 = 1 << 30;

/// Why a folder cannot be used. The text begins with its path.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path}: {what}")]
pub struct CacheError {
    path: String,
    what: String,
}

impl CacheError {
    fn new(path: &Path, what: impl ToString) -> Self {
        Self { path: path.display().to_string(), what: what.to_string() }
    }
}

/// A folder with compiled code.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    key: Key,
    most: u64,
}

/// Which code of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// Rewritten so that snapshots can be taken of its guests.
    Recording,
}

impl Cache {
    /// Opens a folder, or makes it, for at most so many bytes; what was used least is removed first. The key lies beside the
    /// code, or in a file of its own. A build without a compiler makes neither.
    ///
    /// # Errors
    /// [`CacheError`] when it cannot be made, or when others than its owner, who has to be root or the one who runs this,
    /// may write into it or read the key.
    pub fn open(folder: &Path, key: Option<&Path>, most: u64) -> Result<Self, CacheError> {
        let fail = |what: io::Error| CacheError::new(folder, what);
        if HAS_COMPILER {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
        }
        private(folder, &fs::symlink_metadata(folder).map_err(fail)?)?;
        let key = Key::new(&self::key(&key.map_or_else(|| folder.join("key"), Path::to_owned))?);
        let cache = Self { folder: folder.to_owned(), key, most };
        cache.remove(|name, age| !name.ends_with(CODE) && name.starts_with(".tmp") && age > STALE, 0);
        Ok(cache)
    }

    /// The code of a module, if it is here and fits this engine.
    ///
    /// # Errors
    /// [`CacheError`] when something is here and cannot be used; it is written anew once the module is compiled.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest, form: Form) -> Result<Option<Module>, CacheError> {
        if HAS_COMPILER {
            return self.load_file(engine, &name(engine, digest, form));
        }
        // What it fits is known only to those who compiled it: Wasmtime says which of them it is.
        let begins = beginning(digest, form);
        let folder = fs::read_dir(&self.folder).map_err(|e| CacheError::new(&self.folder, e))?;
        let names = folder.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut last = Ok(None);
        for name in names.filter(|name| name.starts_with(&begins)) {
            last = self.load_file(engine, &name);
            if let Ok(Some(_)) = last {
                break;
            }
        }
        last
    }

    fn load_file(&self, engine: &Engine, name: &str) -> Result<Option<Module>, CacheError> {
        let path = self.folder.join(name);
        let fail = |what: io::Error| CacheError::new(&path, what);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(fail)?,
        };
        private(&path, &file.metadata().map_err(fail)?)?;
        let mut bytes = Vec::new();
        (&mut file).take(MOST).read_to_end(&mut bytes).map_err(fail)?;
        let module = self.key.open(engine.wasmtime(), name, &bytes).map_err(|what| CacheError::new(&path, what))?;
        // For the order in which files are removed; a file that cannot be touched is only removed earlier.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(module))
    }

    /// Keeps the code of a module.
    ///
    /// # Errors
    /// [`CacheError`] when it cannot be kept, which harms nobody: it is compiled again next time.
    #[cfg(feature = "compiler")]
    pub(crate) fn store(&self, engine: &Engine, digest: Digest, form: Form, module: &Module) -> Result<(), CacheError> {
        let name = name(engine, digest, form);
        let fail = |what: &dyn std::fmt::Display| CacheError::new(&self.folder.join(&name), what);
        let sealed = self.key.seal(&name, module).map_err(|e| fail(&e))?;
        let (size, most) = (sealed.len() as u64, self.most.min(MOST));
        if size > most {
            return Err(fail(&format!("{size} bytes of code, the cache keeps {most}")));
        }
        // Before, so that the folder is never above what it may hold, but for what another process writes now.
        self.remove(|_, _| false, size);
        write(&self.folder, &name, &sealed).map_err(|e| fail(&e))
    }

    /// Nothing is compiled.
    #[cfg(not(feature = "compiler"))]
    pub(crate) fn store(&self, _: &Engine, _: Digest, _: Form, _: &Module) -> Result<(), CacheError> {
        Ok(())
    }

    /// Removes files that are to go, and then those that were used least, until there is room for so many bytes more.
    fn remove(&self, goes: impl Fn(&str, Duration) -> bool, room: u64) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let (Ok(used), Some(name)) = (metadata.modified(), entry.file_name().to_str().map(str::to_owned)) else {
                continue;
            };
            if goes(&name, used.elapsed().unwrap_or_default()) {
                let _ = fs::remove_file(entry.path());
            } else if name.ends_with(CODE) {
                kept.push((used, metadata.len(), entry.path()));
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in kept {
            if total + room <= self.most {
                return;
            }
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }
}

/// Version of Wasmtime, its configuration and features of the CPU are in the fingerprint.
fn name(engine: &Engine, digest: Digest, form: Form) -> String {
    format!("{}{}.{CODE}", beginning(digest, form), engine.fingerprint())
}

fn beginning(digest: Digest, form: Form) -> String {
    let form = match form {
        Form::Plain => "plain",
        Form::Recording => "recording",
    };
    format!("{digest}-{form}-")
}

/// Whether only the running user, or root, can change this.
fn private(path: &Path, metadata: &fs::Metadata) -> Result<(), CacheError> {
    let owner = metadata.uid();
    if owner != geteuid().as_raw() && owner != 0 {
        return Err(CacheError::new(path, format!("belongs to user {owner}, not to the one who runs this")));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(CacheError::new(path, "others than its owner may write to it: `chmod go-w` it"));
    }
    Ok(())
}

/// The key in this file, made now if there is none. Of several processes that make one at the same time, one wins.
fn key(path: &Path) -> Result<[u8; KEY], CacheError> {
    let fail = |what: io::Error| CacheError::new(path, what);
    if HAS_COMPILER && !path.exists() {
        let mut fresh = [0; KEY];
        let mut filled = 0;
        while let Some(rest) = fresh.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += getrandom(rest, GetRandomFlags::empty()).map_err(|e| fail(e.into()))?;
        }
        let temporary = temporary(path.parent().unwrap_or(Path::new(".")), "key");
        let written = create(&temporary).and_then(|mut file| file.write_all(&fresh).and_then(|()| file.sync_all()));
        // A link, and not a rename: it fails when somebody else was first.
        let linked = written.and_then(|()| fs::hard_link(&temporary, path));
        let _ = fs::remove_file(&temporary);
        match linked {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(fail(e)),
            _ => {}
        }
    }
    let metadata = fs::symlink_metadata(path).map_err(fail)?;
    private(path, &metadata)?;
    if metadata.mode() & 0o044 != 0 {
        return Err(CacheError::new(path, "others than its owner may read it: remove it and the code that it sealed"));
    }
    let bytes = fs::read(path).map_err(fail)?;
    bytes.try_into().map_err(|_| CacheError::new(path, "is no key: remove it and the code that it sealed"))
}

/// Writes a file beside its place and renames it.
#[cfg(feature = "compiler")]
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(folder, name);
    let written = create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, folder.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A name that no other process and no other call of this one has.
fn temporary(folder: &Path, name: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    folder.join(format!(".tmp-{}-{number}-{since}-{}", std::process::id(), name.get(..12).unwrap_or(name)))
}

#[cfg(test)]
mod tests;
