//! Names of WASI preview 1, which guests import although Proxy-Wasm needs only a few of them.

/// Both module names under which guests ask for WASI; the second is the one of before 2020.
pub const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// Every function of WASI preview 1. The host implements those that guests use and answers `NOTSUP` to the others.
pub const FUNCTIONS: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// Error numbers of WASI preview 1 that the host answers.
pub mod errno {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// No such descriptor.
    pub const BADF: i32 = 8;
    /// A pointer lies outside the guest's memory.
    pub const FAULT: i32 = 21;
    /// An argument has no meaning.
    pub const INVAL: i32 = 28;
    /// No such file.
    pub const NOENT: i32 = 44;
    /// This host does not do it.
    pub const NOTSUP: i32 = 58;
    /// A stream cannot be rewound.
    pub const SPIPE: i32 = 70;
    /// The capability was not granted.
    pub const NOTCAPABLE: i32 = 76;
}
