//! Known differences in the order of fields and in the letters of their names.

use std::collections::BTreeMap;

use crate::compare::Case;

/// The same name and value in other letters: Sluice's spelling is taken. What nobody touched keeps its letters.
pub fn letters(case: &mut Case<'_>) {
    let upstream = case.envoy.upstream.iter_mut().zip(&case.sluice.upstream).map(|p| (p, &case.sent));
    let client = case.envoy.client.iter_mut().zip(&case.sluice.client).map(|p| (p, &case.replied));
    for ((envoy, sluice), original) in upstream.chain(client) {
        let mut taken = vec![false; sluice.headers.len()];
        for (name, value) in &mut envoy.headers {
            let same = |(i, (n, v)): (usize, &(String, Vec<u8>))| {
                (!taken[i] && n.eq_ignore_ascii_case(name) && v == value).then_some(i)
            };
            if let Some(i) = sluice.headers.iter().enumerate().find_map(same) {
                let exact = format!("\r\n{}: {}\r\n", sluice.headers[i].0, String::from_utf8_lossy(value));
                if untouched(name, value, original) && !original.contains(&exact) {
                    continue;
                }
                taken[i] = true;
                name.clone_from(&sluice.headers[i].0);
            }
        }
    }
}

/// Whether a field was in the original message as it is now.
fn untouched(name: &str, value: &[u8], original: &str) -> bool {
    let line = format!("\r\n{name}: {}\r\n", String::from_utf8_lossy(value)).to_lowercase();
    original.to_lowercase().contains(&line)
}

/// Brings fields of one name to where the first of them stands.
fn grouped<T: Clone>(items: &[T], name: impl Fn(&T) -> String) -> Vec<T> {
    let mut out: Vec<T> = Vec::new();
    for item in items {
        let last = out.iter().rposition(|o| name(o) == name(item));
        out.insert(last.map_or(out.len(), |i| i + 1), item.clone());
    }
    out
}

type Field = (String, Vec<u8>);

pub fn order(case: &mut Case<'_>) {
    let name = |h: &Field| h.0.to_lowercase();
    let by_name = |headers: &[Field]| {
        let mut map: BTreeMap<String, Vec<Field>> = BTreeMap::new();
        headers.iter().for_each(|h| map.entry(name(h)).or_default().push(h.clone()));
        map
    };
    let upstream = case.envoy.upstream.iter_mut().zip(&case.sluice.upstream).map(|p| (p, &case.sent));
    let client = case.envoy.client.iter_mut().zip(&case.sluice.client).map(|p| (p, &case.replied));
    for ((envoy, sluice), original) in upstream.chain(client) {
        let still = |headers: &[Field]| {
            let kept = headers.iter().filter(|h| untouched(&h.0, &h.1, original)).cloned().collect::<Vec<_>>();
            grouped(&kept, name)
        };
        if by_name(&envoy.headers) == by_name(&sluice.headers) && still(&envoy.headers) == still(&sluice.headers) {
            envoy.headers.clone_from(&sluice.headers);
        }
    }
    // What the guests log about each field, in blocks of one filter and side.
    let block = |line: &String| line.splitn(4, ' ').take(3).collect::<Vec<_>>().join(" ");
    let field = |line: &String| line.split(' ').take(4).collect::<Vec<_>>().join(" ");
    let logged = |line: &String| line.contains(" info request ") || line.contains(" info response ");
    let settled = |lines: &[String]| {
        let mut out = lines.to_vec();
        for run in out.chunk_by_mut(|a, b| logged(a) && logged(b) && block(a) == block(b)) {
            run.sort_by_key(|line| field(line));
        }
        out
    };
    if settled(&case.envoy.guest) == settled(&case.sluice.guest) {
        case.envoy.guest.clone_from(&case.sluice.guest);
    }
}
