//! File systems that change without the kernel of this machine knowing, so that it cannot tell.

use std::path::Path;

use rustix::fs::statfs;

/// What is wrong with a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Blind {
    /// As people call it.
    pub(super) name: &'static str,
    /// Changes from outside are what it is for. Otherwise it is looked at from time to time, to be sure.
    pub(super) certain: bool,
}

/// Whether events of this file or directory cannot be relied on. One that cannot be asked counts as fine.
pub(super) fn blind(path: &Path) -> Option<Blind> {
    let kind = statfs(path).ok()?.f_type;
    // It is signed or not, and of 32 or 64 bits, depending on the machine; the numbers have 32.
    named(kind as u32)
}

fn named(kind: u32) -> Option<Blind> {
    let name = match kind {
        0x0000_6969 => "NFS",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x786f_4256 => "vboxsf",
        0xbacb_acbc => "vmhgfs",
        0x0000_9fa0 => "proc",
        0x6265_6572 => "sysfs",
        // What is changed in a layer below, and not through it, goes unnoticed.
        0x794c_7630 => return Some(Blind { name: "overlay", certain: false }),
        _ => return None,
    };
    Some(Blind { name, certain: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_events_is_known() {
        assert_eq!(blind(Path::new("/proc/self")).map(|b| b.name), Some("proc"));
        assert_eq!(blind(Path::new("/no/such/place")), None);
    }

    #[test]
    fn network_shares_are_blind_and_disks_are_not() {
        assert_eq!(named(0x6969), Some(Blind { name: "NFS", certain: true }));
        assert_eq!(named(0xff53_4d42), Some(Blind { name: "SMB", certain: true }));
        assert_eq!(named(0x794c_7630), Some(Blind { name: "overlay", certain: false }));
        // ext4, tmpfs, xfs, btrfs.
        assert!([0xef53, 0x0102_1994, 0x5846_5342, 0x9123_683e].into_iter().all(|kind| named(kind).is_none()));
    }
}
