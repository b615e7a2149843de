//! The ABI versions a module can declare by exporting a marker function.

/// An ABI version, declared by the export `proxy_abi_version_X_Y_Z` (which is never called).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AbiVersion {
    /// 0.1.0 (2020-02).
    V0_1_0,
    /// 0.2.0 (2020-08): what the Go SDK declares.
    V0_2_0,
    /// 0.2.1 (2020-08): what the Rust and C++ SDKs declare.
    V0_2_1,
}

impl AbiVersion {
    /// Every version, oldest first.
    pub const ALL: &'static [Self] = &[Self::V0_1_0, Self::V0_2_0, Self::V0_2_1];
    /// How every marker's name begins, known or not.
    pub const MARKER_PREFIX: &'static str = "proxy_abi_version_";

    /// The name of the export that declares this version.
    pub const fn marker(self) -> &'static str {
        match self {
            Self::V0_1_0 => "proxy_abi_version_0_1_0",
            Self::V0_2_0 => "proxy_abi_version_0_2_0",
            Self::V0_2_1 => "proxy_abi_version_0_2_1",
        }
    }

    /// The version with this marker.
    pub fn from_marker(export: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|v| v.marker() == export)
    }

    /// The version as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
        }
    }
}

impl core::fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
