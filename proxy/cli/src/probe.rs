//! The server's probes, played by the replay.

use sluice_host::{FilterSpec, Host};
use sluice_replay::{Player, compare, parse};
use sluice_server::{Differs, Probe};

/// Plays exchanges as `docs/probes.md` describes them.
pub(crate) struct Rehearsal;

impl Probe for Rehearsal {
    fn play(&self, host: &Host, text: &str, filters: &[FilterSpec]) -> Vec<Differs> {
        let cases = match parse(text) {
            Ok(cases) => cases,
            Err(error) => return vec![Differs { name: String::new(), how: vec![error] }],
        };
        let played = cases.into_iter().map(|case| {
            let how = match Player::beside(host).rehearse(&case, filters) {
                Ok(report) => compare(&case, &report),
                Err(error) => vec![error],
            };
            Differs { name: case.name, how }
        });
        played.filter(|differs| !differs.how.is_empty()).collect()
    }
}
