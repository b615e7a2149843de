//! Versions that come back.

use super::{
    serving_version_1,
    version::{Version, put, version_of},
};

#[test]
fn a_version_that_crashes_goes_back_by_itself() {
    let mut proxy = serving_version_1("", "reload: { rollback: { crashes: 3, percent: 5, window: 1h } }\n");
    let mut client = proxy.client();
    put(proxy.dir.path(), &Version::new("2").trapping_every(10));
    let (mut suffered, mut met) = (0, 0);
    loop {
        let answer = client.request("GET /", &[], "");
        met += usize::from(answer.header("x-version") == "2");
        suffered += usize::from(answer.status() != 200);
        if met > 0 && answer.header("x-version") == "1" {
            break;
        }
        assert!(suffered < 1000, "it does not go back: {met} met it");
    }
    assert!(suffered >= 3, "{suffered}");
    proxy.wait_for("the new version crashes too often: the one before it comes back");
    proxy.wait_for("cause=\"crashes\"");
    // It stays so while its files say the same, and a new version of them counts again.
    proxy.signal("HUP");
    proxy.wait_for("cause=\"signal\"");
    assert_eq!(version_of(&mut client), "1");
    // Nor does a file that is broken for a while make what it said before count again.
    std::fs::write(proxy.dir.path().join("v.wasm"), "no module").unwrap();
    proxy.wait_for("the new configuration is refused");
    put(proxy.dir.path(), &Version::new("2").trapping_every(10));
    proxy.wait_for("cause=\"files\" filters=\"\"");
    assert_eq!(version_of(&mut client), "1");
    put(proxy.dir.path(), &Version::new("3"));
    proxy.wait_for("its files changed: the version that was brought back gives way");
    while version_of(&mut client) != "3" {}
}

#[test]
fn a_version_that_crashes_now_and_then_is_lived_with_when_that_is_off() {
    let mut proxy = serving_version_1("", "");
    let mut client = proxy.client();
    put(proxy.dir.path(), &Version::new("2").trapping_every(2));
    proxy.wait_for("the new configuration serves");
    let answers: Vec<_> = (0..20).map(|_| client.request("GET /", &[], "").status()).collect();
    assert!(answers.contains(&503) && answers.contains(&200), "{answers:?}");
    assert!(!proxy.log().contains("comes back"));
}
