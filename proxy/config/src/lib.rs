//! From the text of a configuration file to a [`Plan`], or to every error of it at once with line and column.
//!
//! Nothing here opens a file, reads the environment or starts anything: what a configuration needs from outside comes
//! through a [`World`].
//!
//! ```
//! use std::path::Path;
//! use sluice_config::{Memory, Source, parse};
//!
//! let text = "listeners: [{ address: \":8080\" }]\nroutes: [{ upstraem: app }]\n";
//! let source = Source { text, name: "sluice.yaml", dir: Path::new("/etc/sluice") };
//! let errors = parse(source, &Memory::new()).unwrap_err();
//! assert!(errors.to_string().contains("did you mean `upstream`?"));
//! ```

mod access_format;
mod access_log;
mod declare;
mod error;
mod expand;
mod file;
mod filter;
mod grant;
mod limits;
mod listener;
mod log;
mod matcher;
mod net;
mod node;
mod origins;
mod payload;
pub mod plan;
mod quarantine;
mod reader;
mod redact;
mod reload;
mod route;
mod scalar;
mod schema;
mod settings;
mod shape;
mod telemetry;
mod traces;
mod units;
mod upstream;
mod world;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::{Error, Errors};
pub use origins::Origins;
pub use plan::{Plan, Position};
pub use schema::schema;
pub use world::{Memory, World};

/// The text of a configuration and where it comes from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// At most 4 MiB of YAML 1.2.
    pub text: &'a str,
    /// Name of the file, for messages.
    pub name: &'a str,
    /// Relative paths of the file begin here.
    pub dir: &'a Path,
}

/// The plan that a text describes.
///
/// # Errors
/// Everything that is wrong with the text, in its order.
pub fn parse(source: Source<'_>, world: &dyn World) -> Result<Plan, Errors> {
    file::parse(source, world)
}
