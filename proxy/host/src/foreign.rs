//! What foreign functions do: bytes in, bytes out, with no guest and no state in sight.

pub(crate) mod compression;
pub(crate) mod crypto;
pub(crate) mod jwt;

use sluice_abi::Status;

/// Why a function did not do it: for the guest, and for the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) why: String,
}

impl Failure {
    /// The arguments mean nothing.
    fn argument(why: impl Into<String>) -> Self {
        Self { status: Status::BadArgument, why: why.into() }
    }

    /// The data cannot be treated.
    fn data(why: impl Into<String>) -> Self {
        Self { status: Status::SerializationFailure, why: why.into() }
    }
}

/// What a function answers.
type Answer = Result<Vec<u8>, Failure>;
