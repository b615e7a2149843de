//! The bars of the design, and how far this run is from each.

use sluice_benches::{Report, ratio};

use crate::{
    contender::{
        Contender::{self, Envoy, Nginx, Sluice},
        Extra::{Fresh, Plain},
    },
    rounds::Score,
    work::Work::{Go, Noop, Nothing, Tag},
};

const EMPTY: Contender = Sluice(Nothing, Plain);

/// What one contender may cost of another's.
const RATIOS: [(Contender, Contender, f64); 6] = [
    (Sluice(Tag(1), Plain), EMPTY, 1.06),
    (Sluice(Noop(5), Plain), EMPTY, 1.12),
    (Sluice(Tag(1), Plain), Envoy(Tag(1)), 0.65),
    (Sluice(Tag(5), Plain), Envoy(Tag(5)), 0.65),
    (Sluice(Go, Plain), Envoy(Go), 0.65),
    (EMPTY, Nginx, 1.5),
];

/// How many microseconds one may cost more than another.
const MARGINS: [(Contender, Contender, f64); 3] = [
    (Sluice(Tag(1), Plain), EMPTY, 2.0),
    (Sluice(Tag(1), Fresh), Sluice(Tag(1), Plain), 10.0),
    (Sluice(Go, Fresh), Sluice(Go, Plain), 40.0),
];

/// One line for each bar that this run can speak of.
pub(crate) fn table(report: &mut Report, scores: &[Score]) {
    let cpu = |who: Contender| scores.iter().find(|score| score.who == who).map(|score| &score.cpu);
    report.table(&["bar", "allowed", "measured", "holds"]);
    for (these, others, bar) in RATIOS {
        if let (Some(a), Some(b)) = (cpu(these), cpu(others)) {
            let measured = ratio(a, b);
            let holds = if measured.median() <= bar { "yes" } else { "no" };
            report.row(&[format!("{these} / {others}"), format!("{bar:.2}"), measured.to_string(), holds.to_owned()]);
        }
    }
    for (these, others, bar) in MARGINS {
        if let (Some(a), Some(b)) = (cpu(these), cpu(others)) {
            let mut more = sluice_benches::Figures::default();
            a.0.iter().zip(&b.0).for_each(|(a, b)| more.push(a - b));
            let holds = if more.median() <= bar { "yes" } else { "no" };
            report.row(&[
                format!("{these} − {others}"),
                format!("{bar:.0} us"),
                format!("{more} us"),
                holds.to_owned(),
            ]);
        }
    }
}
