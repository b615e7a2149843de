//! All chains, by what they are about.

mod bodies;
mod chained;
mod faults;
mod headers;
mod life;
mod local;
mod pause;
pub mod properties;

use crate::plan::Chain;

pub fn chains() -> Vec<Chain> {
    let groups = [
        headers::chains(),
        bodies::chains(),
        local::chains(),
        pause::chains(),
        properties::chains(),
        life::chains(),
        faults::chains(),
        chained::chains(),
    ];
    groups.into_iter().flatten().collect()
}
