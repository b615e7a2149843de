//! The ways in which files change: each is one swap.

use std::{fs, io::Write, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use super::{
    serving_version_1,
    version::{Version, put, version_of},
};
use crate::harness::{Client, Proxy, chain_yaml};

/// Asks until this version answers; a version that nobody wrote fails.
fn becomes(client: &mut Client, before: &str, after: &str) {
    loop {
        let version = version_of(client);
        if version == after {
            return;
        }
        assert_eq!(version, before);
    }
}

#[test]
fn a_module_is_overwritten_renamed_and_written_in_small_pieces() {
    let proxy = serving_version_1("", "");
    let (mut client, path) = (proxy.client(), proxy.dir.path().join("v.wasm"));
    fs::write(&path, Version::new("2").module()).unwrap();
    becomes(&mut client, "1", "2");
    put(proxy.dir.path(), &Version::new("3"));
    becomes(&mut client, "2", "3");
    let mut file = fs::File::create(&path).unwrap();
    for byte in Version::new("4").module() {
        file.write_all(&[byte]).unwrap();
    }
    drop(file);
    becomes(&mut client, "3", "4");
    fs::remove_file(&path).unwrap();
    fs::write(&path, Version::new("5").module()).unwrap();
    becomes(&mut client, "4", "5");
}

/// What a kubelet does: a new folder, a link that is renamed over the old one, the old folder removed.
fn publish(mount: &Path, name: &str, version: &str) {
    let (folder, link) = (mount.join(name), mount.join("..data"));
    fs::create_dir_all(&folder).unwrap();
    put(&folder, &Version::new(version));
    let old = fs::read_link(&link);
    symlink(name, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), link).unwrap();
    if let Ok(old) = old {
        fs::remove_dir_all(mount.join(old)).unwrap();
    }
}

#[test]
fn a_mounted_config_map_is_exchanged_as_a_whole() {
    let dir = TempDir::new().unwrap();
    let mount = dir.path().join("mount");
    publish(&mount, "..1", "1");
    symlink("..data/v.wasm", mount.join("v.wasm")).unwrap();
    let proxy = Proxy::start_in(dir, &chain_yaml(&[("v", "DIR/mount/v.wasm", "")], None, ""));
    let mut client = proxy.client();
    let mount = proxy.dir.path().join("mount");
    publish(&mount, "..2", "2");
    becomes(&mut client, "1", "2");
    publish(&mount, "..3", "3");
    becomes(&mut client, "2", "3");
}

#[test]
fn a_secret_is_part_of_the_configuration() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("secret"), "one").unwrap();
    let tag = crate::harness::fixture("tag");
    let more = "config: { file: \"DIR/secret\" }";
    let mut proxy = Proxy::start_in(dir, &chain_yaml(&[("t", &tag, more)], None, ""));
    let mut client = proxy.client();
    assert_eq!(client.request("GET /", &[], "").header("x-chain"), "one");
    fs::write(proxy.dir.path().join("secret"), "two").unwrap();
    proxy.wait_for("the new configuration serves");
    assert_eq!(client.request("GET /", &[], "").header("x-chain"), "two");
    assert!(!proxy.log().contains("two\""), "no log shows it");
}

#[test]
fn nothing_is_watched_when_that_is_off_and_sighup_still_works() {
    let mut proxy = serving_version_1("", "reload: { watch: false }\n");
    let mut client = proxy.client();
    put(proxy.dir.path(), &Version::new("2"));
    proxy.signal("HUP");
    proxy.wait_for("the new configuration serves");
    assert_eq!(version_of(&mut client), "2");
    put(proxy.dir.path(), &Version::new("3"));
    // What would be seen is seen in the order in which it happened: the signal is the next thing that counts.
    proxy.signal("HUP");
    let log = proxy.wait_count("the new configuration serves", 2);
    assert!(!log.contains("cause=\"files\""), "{log}");
    assert_eq!(version_of(&mut client), "3");
}
