//! Known differences in properties.

use crate::{compare::Case, groups::properties::paths};

/// The value of a property in both records: by header name or by line of the log.
fn each(case: &mut Case<'_>, level: impl Fn(&str, &str, &mut String, &mut String, &dyn Fn(&str) -> Option<String>)) {
    let Some(chain) = case.name.strip_prefix("properties: ") else { return };
    let paths = paths(chain);
    for (envoy, sluice) in case.envoy.client.iter_mut().zip(&mut case.sluice.client) {
        let theirs = sluice.clone();
        let find = |name: &str| theirs.header(name);
        for (index, path) in paths.iter().enumerate() {
            for phase in ["x-prop", "x-late-prop"] {
                let name = format!("{phase}-{index}");
                let (Some(mut e), Some(mut s)) = (envoy.header(&name), sluice.header(&name)) else { continue };
                if e != s {
                    level(path, &name, &mut e, &mut s, &find);
                    set(envoy, &name, e);
                    set(sluice, &name, s);
                }
            }
        }
    }
    for (e, s) in case.envoy.guest.iter_mut().zip(&mut case.sluice.guest) {
        let value = |line: &str| {
            let (path, value) = line.strip_prefix("p info log ")?.split_once(' ')?;
            Some((path.to_owned(), value.to_owned()))
        };
        let (Some((path, mut ev)), Some((same, mut sv))) = (value(e), value(s)) else { continue };
        if path == same && ev != sv {
            level(&path, "log", &mut ev, &mut sv, &|_| None);
            *e = format!("p info log {path} {ev}");
            *s = format!("p info log {path} {sv}");
        }
    }
}

fn set(message: &mut crate::seen::Seen, name: &str, value: String) {
    if let Some(field) = message.headers.iter_mut().find(|(n, _)| n == name) {
        field.1 = value.into_bytes();
    }
}

/// What was readable in the request is so, with the same value, in the response.
pub fn late_request(case: &mut Case<'_>) {
    each(case, |path, name, envoy, sluice, find| {
        let gone = ["absent", "00000000", "0000000000000000"].contains(&envoy.as_str());
        let early = name.strip_prefix("x-late-prop-").and_then(|n| find(&format!("x-prop-{n}")));
        let kept = early.as_deref() == Some(sluice) || path == "request.total_size";
        if path.starts_with("request") && gone && kept {
            envoy.clone_from(sluice);
        }
    });
}

/// A map as pairs; sizes and then bytes, little-endian, in hex.
fn pairs(hex: &str) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let bytes: Vec<u8> =
        (0..hex.len() / 2).map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()).collect::<Option<_>>()?;
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let count = word(0)?;
    let mut at = 4 + 8 * count;
    let mut out = Vec::new();
    for i in 0..count {
        let (key, value) = (word(4 + 8 * i)?, word(8 + 8 * i)?);
        let middle = at + key + 1;
        out.push((bytes.get(at..at + key)?.to_vec(), bytes.get(middle..middle + value)?.to_vec()));
        at = middle + value + 1;
    }
    Some(out)
}

pub fn map_order(case: &mut Case<'_>) {
    each(case, |path, _, envoy, sluice, _| {
        let sorted = |hex: &str| {
            let mut pairs = pairs(hex)?;
            pairs.sort();
            Some(pairs)
        };
        if path.ends_with(".headers") && sorted(envoy).is_some() && sorted(envoy) == sorted(sluice) {
            envoy.clone_from(sluice);
        }
    });
}

pub fn total_size(case: &mut Case<'_>) {
    each(case, |path, name, envoy, sluice, _| {
        let number = |hex: &str| hex.len() == 16 && hex != "0000000000000000";
        let late = name == "log" || name.starts_with("x-late");
        let counted = path == "response.total_size" && late || path == "request.total_size";
        if counted && number(envoy) && number(sluice) {
            envoy.clone_from(sluice);
        }
    });
}

/// The second property that the chain `plugin` sets is `a.b`.
pub fn nested(case: &mut Case<'_>) {
    if !case.name.starts_with("properties: plugin") {
        return;
    }
    for (envoy, sluice) in case.envoy.client.iter_mut().zip(&case.sluice.client) {
        let name = "x-set-prop-1";
        if envoy.header(name).as_deref() == Some("absent") && sluice.header(name).as_deref() == Some("63") {
            set(envoy, name, "63".to_owned());
        }
    }
}

/// A status that has a number in gRPC, though nobody spoke gRPC.
pub fn grpc_status(case: &mut Case<'_>) {
    each(case, |path, _, envoy, sluice, _| {
        if path == "response.grpc_status" && envoy.len() == 16 && sluice == "absent" {
            envoy.clone_from(sluice);
        }
    });
}

/// `request` and `response` by themselves.
pub fn whole_groups(case: &mut Case<'_>) {
    each(case, |path, _, envoy, sluice, _| {
        let refused = envoy == "error 3" || envoy == "error unknown status code: 3";
        if ["request", "response"].contains(&path) && refused && sluice == "absent" {
            envoy.clone_from(sluice);
        }
    });
}
