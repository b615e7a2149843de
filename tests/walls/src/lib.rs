//! The walls of this repository as tests: who may depend on whom, under which licences, and how a file begins.
//!
//! A wall that only stands in a document falls within a year. Each test names what broke it and where the rule is written.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod files;
#[cfg(test)]
mod licences;
#[cfg(test)]
mod repo;
#[cfg(test)]
mod sans_io;
#[cfg(test)]
mod versions;
