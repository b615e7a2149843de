//! Licences of everything that is built in: each is on the list, or is offered with an alternative that is.

use spdx::{Expression, ParseMode};

use crate::repo::graph;

/// What may go into a program under Apache-2.0 without asking anybody.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "NCSA",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression leaves a way that is allowed; `Err` says why it cannot be read.
fn allowed(expression: &str) -> Result<bool, String> {
    // Old manifests write `MIT/Apache-2.0`, which the lax mode reads as OR.
    let parsed = Expression::parse_mode(expression, ParseMode::LAX).map_err(|error| error.to_string())?;
    Ok(parsed.evaluate(|wanted| ALLOWED.contains(&wanted.to_string().as_str())))
}

#[test]
fn every_licence_is_on_the_list() {
    let mut broken = Vec::new();
    for package in graph().packages.values() {
        let named = format!("{} {}", package.name, package.version);
        match package.licence.as_deref().map(allowed) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => broken.push(format!("{named}: {:?} is not on the list", package.licence)),
            Some(Err(error)) => broken.push(format!("{named}: {:?} cannot be read: {error}", package.licence)),
            None => broken.push(format!("{named}: names no licence")),
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn expressions_are_read_as_written() {
    assert_eq!(allowed("MIT OR GPL-3.0-only"), Ok(true));
    assert_eq!(allowed("MIT AND GPL-3.0-only"), Ok(false));
    assert_eq!(allowed("MIT/Apache-2.0"), Ok(true));
    assert_eq!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"), Ok(true));
    assert_eq!(allowed("Apache-2.0 WITH LLVM-exception"), Ok(true));
    assert_eq!(allowed("GPL-2.0-only WITH Classpath-exception-2.0"), Ok(false));
    assert!(allowed("My own licence").is_err());
}
