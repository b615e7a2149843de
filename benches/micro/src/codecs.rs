//! Header maps in their wire form.

use std::hint::black_box;

use sluice_abi::pairs::{Pairs, encode_slice};

use crate::Scene;

pub(crate) fn scenes() -> Vec<Scene> {
    vec![
        Scene::new("pairs/encode-10", || {
            let (pairs, mut out) = (pairs(), Vec::new());
            Box::new(move || {
                out.clear();
                encode_slice(&mut out, black_box(&pairs));
            })
        }),
        Scene::new("pairs/decode-10", || {
            let mut wire = Vec::new();
            encode_slice(&mut wire, &pairs());
            Box::new(move || {
                let decoded = Pairs::decode(black_box(&wire)).expect("what was encoded");
                decoded.iter().for_each(|pair| _ = black_box(pair));
            })
        }),
    ]
}

fn pairs() -> Vec<(String, String)> {
    (0..10).map(|n| (format!("x-field-{n}"), "a value of some length".to_owned())).collect()
}
