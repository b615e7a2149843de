//! The folder of compiled code: what is trusted, what is not, and what is left of crashes.

use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::{Code, EngineOptions};

const MODULE: &[u8] = b"(module (func (export \"f\") (result i32) i32.const 42))";

fn engine(folder: &Path) -> Engine {
    let options = EngineOptions { max_guests: 4, ..EngineOptions::default() };
    let cache = Cache::open(folder, None, 1 << 20).expect("a folder");
    Engine::new(options).expect("an engine").with_cache(Some(cache.into()))
}

fn module() -> Vec<u8> {
    wat::parse_bytes(MODULE).expect("it is right").into_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let mut code: Vec<_> = all.filter(|path| path.extension().is_some_and(|e| e == CODE)).collect();
    code.sort();
    code
}

#[test]
fn what_was_compiled_once_is_loaded() {
    let dir = TempDir::new().expect("a folder");
    let folder = dir.path().join("deep/er");
    let first = Code::compile(&engine(&folder), &module()).expect("it compiles");
    assert!(!first.was_cached());
    assert_eq!(fs::metadata(&folder).expect("there").mode() & 0o777, 0o700);
    // A new process: nothing is shared but the folder.
    let second = Code::compile(&engine(&folder), &module()).expect("it loads");
    assert!(second.was_cached());
    assert_eq!((second.digest(), files(&folder).len()), (first.digest(), 1));
    // Guests that snapshots are taken of run other code.
    assert!(!Code::compile_recording(&engine(&folder), &module()).expect("it compiles").was_cached());
    assert!(Code::compile_recording(&engine(&folder), &module()).expect("it loads").was_cached());
    assert_eq!(files(&folder).len(), 2);
}

#[test]
fn what_is_damaged_is_compiled_again() {
    let dir = TempDir::new().expect("a folder");
    Code::compile(&engine(dir.path()), &module()).expect("it compiles");
    let file = files(dir.path()).remove(0);
    let whole = fs::read(&file).expect("there");
    let damage: [&dyn Fn(); 4] = [
        &|| fs::write(&file, &whole[..whole.len() / 2]).expect("written"),
        &|| fs::write(&file, [&whole[..], b"more"].concat()).expect("written"),
        &|| fs::write(&file, b"").expect("written"),
        &|| fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("set"),
    ];
    for harm in damage {
        harm();
        let again = Code::compile(&engine(dir.path()), &module()).expect("it compiles");
        assert!(!again.was_cached());
        let [trouble] = again.cache_trouble() else { panic!("it is told once: {:?}", again.cache_trouble()) };
        assert!(trouble.to_string().starts_with(&file.display().to_string()), "{trouble}");
        let whole = Code::compile(&engine(dir.path()), &module()).expect("it loads");
        assert!(whole.was_cached() && whole.cache_trouble().is_empty(), "it is whole again");
    }
    // The code of one module under the name of another.
    let other = wat::parse_bytes(b"(module)").expect("it is right").into_owned();
    Code::compile(&engine(dir.path()), &other).expect("it compiles");
    for path in files(dir.path()) {
        fs::write(&path, &whole).expect("written");
    }
    assert!(!Code::compile(&engine(dir.path()), &other).expect("it compiles").was_cached());
}

#[test]
fn what_cannot_be_kept_is_told_and_runs() {
    let dir = TempDir::new().expect("a folder");
    let engine = engine(dir.path());
    let options = EngineOptions { max_guests: 4, ..EngineOptions::default() };
    let small = Cache::open(dir.path(), None, 1).expect("a folder");
    let small = Engine::new(options).expect("an engine").with_cache(Some(small.into()));
    let told = |code: &Code| code.cache_trouble().iter().map(ToString::to_string).collect::<Vec<_>>().concat();
    let large = Code::compile(&small, &module()).expect("it compiles");
    assert!(told(&large).contains("bytes of code, the cache keeps 1"), "{}", told(&large));
    fs::remove_dir_all(dir.path()).expect("removed");
    let code = Code::compile(&engine, &module()).expect("it compiles");
    assert!(told(&code).contains("No such file"), "{}", told(&code));
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let dir = TempDir::new().expect("a folder");
    let refused = |folder: &Path| Cache::open(folder, None, 1).expect_err("it is not trusted").to_string();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("set");
    assert!(refused(dir.path()).contains("others than its owner may write"));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("set");
    Cache::open(dir.path(), None, 1).expect("now it is");
    let key = dir.path().join("key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("set");
    assert!(refused(dir.path()).contains("may read it"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("set");
    fs::write(&key, "short").expect("written");
    assert!(refused(dir.path()).contains("is no key"));
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    assert!(Cache::open(&file, None, 1).is_err());
    let link = dir.path().join("link");
    symlink("/", &link).expect("a link");
    assert!(Cache::open(&link, None, 1).is_err(), "a link may lead anywhere");
}

#[test]
fn the_folder_stays_within_its_bounds_and_forgets_what_was_used_least() {
    let dir = TempDir::new().expect("a folder");
    let code =
        |n: u32| wat::parse_str(format!("(module (func (export \"f\") (result i32) i32.const {n}))")).expect("right");
    Code::compile(&engine(dir.path()), &code(0)).expect("it compiles");
    let size = fs::metadata(&files(dir.path())[0]).expect("there").len();
    let engine = || {
        let cache = Cache::open(dir.path(), None, 3 * size + size / 2).expect("a folder");
        let options = EngineOptions { max_guests: 4, ..EngineOptions::default() };
        Engine::new(options).expect("an engine").with_cache(Some(cache.into()))
    };
    for n in 1..6 {
        // Time stamps decide; they must differ.
        let old = SystemTime::now() - Duration::from_secs(100 - u64::from(n));
        for path in files(dir.path()) {
            let file = File::options().append(true).open(path).expect("there");
            if file.metadata().expect("there").modified().expect("a time") > old {
                file.set_modified(old).expect("set");
            }
        }
        assert!(n < 3 || Code::compile(&engine(), &code(1)).expect("it loads").was_cached(), "used again and again");
        Code::compile(&engine(), &code(n)).expect("it compiles");
        assert!(files(dir.path()).len() <= 3);
    }
    assert!(!Code::compile(&engine(), &code(2)).expect("it compiles").was_cached(), "not used for long");
}

#[test]
fn processes_that_die_leave_nothing_and_many_at_a_time_agree() {
    let dir = TempDir::new().expect("a folder");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("set");
    let left = dir.path().join(".tmp-1-0-0-abc");
    fs::write(&left, "half").expect("written");
    let old = File::options().append(true).open(&left).expect("there");
    old.set_modified(SystemTime::now() - 2 * STALE).expect("set");
    let fresh = dir.path().join(".tmp-2-0-0-abc");
    fs::write(&fresh, "half").expect("written");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let code = Code::compile(&engine(dir.path()), &module()).expect("it compiles");
                assert_eq!(code.module().exports().count(), 1);
            });
        }
    });
    assert!(!left.exists() && fresh.exists(), "somebody may still be writing the second");
    assert!(Code::compile(&engine(dir.path()), &module()).expect("it loads").was_cached());
    assert_eq!(files(dir.path()).len(), 1);
}
