//! All chains, by what they are about.

mod alive;
mod bodies;
mod callouts;
mod chained;
mod faults;
mod headers;
mod http2;
mod life;
mod local;
mod pause;
pub mod properties;
mod store;

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
        callouts::chains(),
        store::chains(),
        alive::chains(),
        http2::chains(),
    ];
    groups.into_iter().flatten().collect()
}
