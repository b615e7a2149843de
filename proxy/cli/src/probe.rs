//! The server's probes, played by the replay.

use sluice_host::{FilterSpec, Host};
use sluice_replay::{Case, Player, compare, parse};
use sluice_server::{Played, Probe};

/// Plays exchanges as `docs/probes.md` describes them.
pub(crate) struct Rehearsal;

impl Probe for Rehearsal {
    fn play(&self, host: &Host, text: &str, filters: &[FilterSpec]) -> Vec<Played> {
        let cases = match parse(text) {
            Ok(cases) => cases,
            Err(error) => return vec![Played { differs: vec![error], ..Played::default() }],
        };
        let play = |case: Case| match Player::beside(host).rehearse(&case, filters) {
            Ok(report) => {
                let lines = report.exchanges.iter().flat_map(|exchange| &exchange.lines);
                let logged = lines.map(ToString::to_string).collect();
                Played { differs: compare(&case, &report), logged, name: case.name }
            }
            Err(error) => Played { name: case.name, differs: vec![error], ..Played::default() },
        };
        cases.into_iter().map(play).collect()
    }
}
