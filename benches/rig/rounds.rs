//! Runs that take turns: each contender once in every round, in an order that changes, so that neighbours disturb all alike.

use std::{
    thread,
    time::{Duration, Instant},
};

use sluice_benches::{Figures, Report, ratio};

use crate::{contender::Contender, load::Shape, world::World};

/// How long a contender is loaded before it counts, and while it counts.
const WARM_UP: Duration = Duration::from_millis(500);
pub(crate) const TIME: Duration = Duration::from_secs(2);

/// All runs of one contender.
pub(crate) struct Score {
    pub(crate) who: Contender,
    pub(crate) cpu: Figures,
    pub(crate) rate: Figures,
    pub(crate) latency: [Figures; 3],
}

/// Plays some rounds of a shape; every contender runs during all of them and idles while another is loaded.
pub(crate) fn play(world: &World, shape: &Shape, contenders: &[Contender], rounds: usize) -> Vec<Score> {
    let daemons: Vec<_> = contenders.iter().map(|who| who.start(world, shape.front)).collect();
    let fresh = |who: &Contender| Score {
        who: *who,
        cpu: Figures::default(),
        rate: Figures::default(),
        latency: Default::default(),
    };
    let mut scores: Vec<Score> = contenders.iter().map(fresh).collect();
    for (who, daemon) in contenders.iter().zip(&daemons) {
        Shape { rate: None, ..*shape }.run(*who, daemon, WARM_UP);
    }
    let began = Instant::now();
    for round in 0..rounds {
        for index in order(contenders.len(), round) {
            let run = shape.run(contenders[index], &daemons[index], TIME);
            let score = &mut scores[index];
            score.cpu.push(run.cpu);
            score.rate.push(run.rate);
            score.latency.iter_mut().zip(run.latency).for_each(|(figures, one)| figures.push(one));
        }
        eprintln!("{}: round {} of {rounds} after {} s", shape.name, round + 1, began.elapsed().as_secs());
        // What closing the connections left to do is not the next one's.
        thread::sleep(Duration::from_millis(100));
    }
    scores
}

/// Forward, backward, and from the middle: nobody always comes after the same one.
fn order(count: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.rotate_left((round / 2) * 7 % count.max(1));
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// One line for each contender; the ratios are to the first of them.
pub(crate) fn table(report: &mut Report, scores: &[Score]) {
    let Some(first) = scores.first() else { return };
    let columns = [
        "contender",
        "CPU us/request",
        &format!("ratio to {}", first.who),
        "requests/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
    ];
    report.table(&columns);
    for score in scores {
        report.row(&[
            score.who.to_string(),
            score.cpu.to_string(),
            format!("{:.2}", ratio(&score.cpu, &first.cpu).median()),
            format!("{:.0}", score.rate.median()),
            score.latency[0].to_string(),
            score.latency[1].to_string(),
            score.latency[2].to_string(),
        ]);
    }
}
