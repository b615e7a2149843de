//! Plays a written exchange through a chain with no socket and no clock: the second embedder of the host.
//!
//! A [`Case`] says which filters, what the client sends, what the upstream answers and what is expected. A [`Player`]
//! plays it and gives a [`Report`]; [`compare`] says in which ways the two differ. Time is virtual, randomness is
//! seeded: the same case gives the same report.

mod calls;
mod case;
mod exchange;
mod expect;
mod limits;
mod line;
mod play;
mod report;
mod script;
mod stage;

pub use calls::{Answered, Came, Scripted, Sent};
pub use case::{Case, Connection, Isolated, Message, Pair, Talk, Upstream, Use, parse};
pub use expect::{Expect, Values, Wanted, WantedCall};
pub use limits::Limits;
pub use play::Player;
pub use report::{Exchanged, Report, Seen, compare};
pub use stage::{Line, Stage};
