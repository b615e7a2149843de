//! What is done for the endpoints of all upstreams beside their requests.

use std::{thread, time::Duration};

use quanta::Instant;

use crate::{endpoint::Endpoint, live::Live};

/// How often names are looked up again.
const RESOLVE: Duration = Duration::from_secs(10);
/// How often connections that rest are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Looks names up again.
pub(crate) fn resolve_for_ever(live: &Live) {
    for_ever(live, RESOLVE, Endpoint::resolve_again);
}

/// Closes connections whose time is over, or that the other side has closed.
pub(crate) fn sweep_for_ever(live: &Live) {
    for_ever(live, SWEEP, |endpoint| endpoint.resting.sweep(Instant::now()));
}

fn for_ever(live: &Live, each: Duration, what: impl Fn(&Endpoint)) {
    loop {
        thread::sleep(each);
        for servers in live.get().upstreams.iter().filter_map(|upstream| upstream.servers()) {
            servers.endpoints().iter().for_each(|endpoint| what(endpoint));
        }
    }
}
