//! Which requests are traced.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use opentelemetry::TraceId;
use sluice_config::plan;

/// Draws those that are traced.
#[derive(Debug)]
pub(super) struct Sampler {
    /// A trace is drawn when the low half of its id, without its highest bit, is below this.
    below: u64,
    limit: Option<Limit>,
    errors: bool,
    /// Whether the decision of whoever sent the request comes first.
    parent: bool,
}

impl Sampler {
    /// As the file says, or else the environment.
    pub(super) fn new(sampling: Option<plan::Sampling>) -> Self {
        Self::resolve(sampling, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn resolve(sampling: Option<plan::Sampling>, env: &dyn Fn(&str) -> Option<String>) -> Self {
        if let Some(plan::Sampling { ratio, per_second, errors }) = sampling {
            return Self { below: below(ratio), limit: per_second.map(Limit::new), errors, parent: true };
        }
        let ratio = || {
            let said = env("OTEL_TRACES_SAMPLER_ARG").map(|text| text.parse().ok().filter(|r| (0.0..=1.0).contains(r)));
            if said == Some(None) {
                tracing::warn!("OTEL_TRACES_SAMPLER_ARG is not a number from 0.0 to 1.0: everything is traced");
            }
            said.flatten().unwrap_or(1.0)
        };
        let of = |ratio, parent| Self { below: below(ratio), limit: None, errors: true, parent };
        match env("OTEL_TRACES_SAMPLER").as_deref() {
            None | Some("parentbased_always_on") => of(1.0, true),
            Some("always_on") => of(1.0, false),
            // Nothing is nothing: no errors either.
            Some("always_off") => Self { errors: false, ..of(0.0, false) },
            Some("parentbased_always_off") => Self { errors: false, ..of(0.0, true) },
            Some("traceidratio") => of(ratio(), false),
            Some("parentbased_traceidratio") => of(ratio(), true),
            Some(other) => {
                tracing::warn!("OTEL_TRACES_SAMPLER: `{other}` is not known here: everything is traced");
                of(1.0, true)
            }
        }
    }

    /// Whether this trace is drawn. Whoever knows the share comes to the same result.
    pub(super) fn draws(&self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace.to_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) & (u64::MAX >> 1) < self.below
    }

    /// Whether the limit of a second leaves room, if there is one; `now` is from any clock that never goes back.
    pub(super) fn has_room(&self, now: impl FnOnce() -> Duration) -> bool {
        self.limit.as_ref().is_none_or(|limit| limit.take(now()))
    }

    pub(super) fn keeps_errors(&self) -> bool {
        self.errors
    }

    pub(super) fn follows_parent(&self) -> bool {
        self.parent
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of 2^63 is neither too large nor negative"
)]
fn below(ratio: f64) -> u64 {
    // 2^63: 1.0 draws all.
    (ratio * 9_223_372_036_854_775_808.0) as u64
}

/// So many a second, spread by the generic cell rate algorithm: one number says when the next one is due.
#[derive(Debug)]
struct Limit {
    /// Nanoseconds between two.
    every: u64,
    due: AtomicU64,
}

impl Limit {
    fn new(per_second: u32) -> Self {
        Self { every: 1_000_000_000 / u64::from(per_second.max(1)), due: AtomicU64::new(0) }
    }

    fn take(&self, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        // What was not used in the last second may be used at once.
        let next = |due: u64| Some(due.max(now) + self.every).filter(|next| *next <= now + 1_000_000_000);
        self.due.fetch_update(Relaxed, Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(set: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_share_is_drawn_by_the_id() {
        let drawn = |ratio| {
            let sampler = Sampler::resolve(Some(plan::Sampling { ratio, per_second: None, errors: true }), &env(&[]));
            let ids = (0..1000u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            ids.filter(|id| sampler.draws(TraceId::from(*id))).count()
        };
        assert_eq!((drawn(0.0), drawn(1.0)), (0, 1000));
        assert!((200..=300).contains(&drawn(0.25)), "{}", drawn(0.25));
    }

    #[test]
    fn the_environment_speaks_where_the_file_is_silent() {
        let said = |set| {
            let Sampler { below, errors, parent, .. } = Sampler::resolve(None, &env(set));
            (below, errors, parent)
        };
        assert_eq!(said(&[]), (below(1.0), true, true));
        assert_eq!(said(&[("OTEL_TRACES_SAMPLER", "always_off")]), (0, false, false));
        let ratio = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")];
        assert_eq!(
            Sampler::resolve(None, &|name| ratio.iter().find(|r| r.0 == name).map(|r| r.1.into())).below,
            1 << 62
        );
        assert_eq!(said(&[("OTEL_TRACES_SAMPLER", "nonsense")]), (below(1.0), true, true));
        let file = Some(plan::Sampling { ratio: 0.0, per_second: None, errors: false });
        assert_eq!(Sampler::resolve(file, &env(&[("OTEL_TRACES_SAMPLER", "always_on")])).below, 0);
    }

    #[test]
    fn no_second_has_more_than_its_limit_after_the_first() {
        let limit = Limit::new(10);
        let at = Duration::from_millis;
        assert_eq!((0..100).filter(|_| limit.take(at(0))).count(), 10);
        assert_eq!((0..1000).filter(|ms| limit.take(at(*ms))).count(), 9);
        assert!(limit.take(at(5000)));
    }
}
