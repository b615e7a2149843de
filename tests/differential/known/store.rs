//! Known differences in metrics.

use crate::compare::Case;

/// The value of a step in both records, where it is this one in Envoy and that one in Sluice.
fn step(case: &mut Case<'_>, steps: &[usize], theirs: &str, ours: &str) {
    for (envoy, sluice) in case.envoy.client.iter_mut().zip(&case.sluice.client) {
        for name in steps.iter().map(|n| format!("x-store-{n}")) {
            if envoy.header(&name).as_deref() == Some(theirs) && sluice.header(&name).as_deref() == Some(ours) {
                let field = envoy.headers.iter_mut().find(|(n, _)| *n == name);
                field.into_iter().for_each(|(_, value)| *value = ours.as_bytes().to_vec());
            }
        }
    }
}

pub fn unknown(case: &mut Case<'_>) {
    if case.name == "store: metrics: unknown" {
        step(case, &[0, 1], "BadArgument", "NotFound");
    }
}

pub fn again(case: &mut Case<'_>) {
    if case.name == "store: metrics: counter, later" {
        step(case, &[0], "ok", "the same");
    }
}
