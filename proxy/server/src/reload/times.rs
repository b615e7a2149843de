//! How long the steps to a swap take: counts by length, for whoever draws them.

use super::Stages;

/// Lengths up to which times are counted together, seconds.
pub(crate) const BOUNDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, f64::INFINITY];

/// Times of one step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spread {
    /// How many were longer than the bound before and at most this one.
    pub(crate) counts: [u64; BOUNDS.len()],
    /// All together, seconds.
    pub(crate) sum: f64,
}

/// Times of every step.
#[derive(Debug, Default)]
pub(crate) struct Times([Spread; 5]);

impl Times {
    pub(super) fn add(&mut self, stages: &Stages) {
        let Stages { read_ms, compile_ms, start_ms, probe_ms, total_ms } = stages;
        for (spread, ms) in self.0.iter_mut().zip([read_ms, compile_ms, start_ms, probe_ms, total_ms]) {
            let seconds = ms / 1000.0;
            spread.sum += seconds;
            let at = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len() - 1);
            if let Some(count) = spread.counts.get_mut(at) {
                *count += 1;
            }
        }
    }

    /// Each step by its name.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&'static str, &Spread)> {
        ["read", "compile", "start", "probe", "total"].into_iter().zip(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_once_and_at_its_bound() {
        let mut times = Times::default();
        times.add(&Stages { read_ms: 1.0, compile_ms: 1.01, start_ms: 0.0, probe_ms: 0.02, total_ms: 1e9 });
        let places: Vec<_> = times.steps().map(|(_, spread)| spread.counts.iter().position(|n| *n == 1)).collect();
        assert_eq!(places, [Some(0), Some(1), Some(0), Some(0), Some(BOUNDS.len() - 1)]);
    }
}
