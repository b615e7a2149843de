//! Every scene runs, so that one that panics is found before somebody measures.

use sluice_bench_micro::scenes;

/// What a run leaves behind it fills a cap after so many: a hundred calls each, a thousand of which may be under way.
const OFTEN: usize = 20;

#[test]
fn every_scene_runs() {
    let all = scenes();
    let mut names: Vec<&str> = all.iter().map(|scene| scene.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|two| two[0] != two[1]), "a name twice: {names:?}");
    for scene in &all {
        println!("{}", scene.name);
        let mut work = scene.ready();
        (0..if scene.slow { 1 } else { OFTEN }).for_each(|_| work());
    }
}
