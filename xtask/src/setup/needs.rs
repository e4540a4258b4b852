//! The programs hatrace's commands call, and why.

use super::Purpose;

/// A program, the package that brings it, and what for.
pub(super) struct Need {
    pub(super) tool: &'static str,
    pub(super) purposes: &'static [Purpose],
    /// The package's name: on Debian and Ubuntu, Fedora, Arch, openSUSE, Alpine. None: not packaged there.
    pub(super) packages: Packages,
    pub(super) why: &'static str,
    /// About how long installing takes.
    pub(super) takes: &'static str,
    /// A comparison only: its absence is said, and is no failure.
    pub(super) optional: bool,
}

/// One program's package per family of distributions.
pub(super) struct Packages {
    pub(super) debian: &'static str,
    pub(super) fedora: &'static str,
    pub(super) arch: &'static str,
    pub(super) suse: &'static str,
    pub(super) alpine: &'static str,
}

impl Packages {
    const fn same(name: &'static str) -> Self {
        Self {
            debian: name,
            fedora: name,
            arch: name,
            suse: name,
            alpine: name,
        }
    }
}

use Purpose::{Bench, Demo, Test};

pub(super) static TOOLS: [Need; 9] = [
    Need {
        tool: "haproxy",
        purposes: &[Demo, Test, Bench],
        packages: Packages::same("haproxy"),
        why: "what is traced",
        takes: "5 s",
        optional: false,
    },
    Need {
        tool: "ip",
        purposes: &[Demo, Test, Bench],
        packages: Packages {
            debian: "iproute2",
            fedora: "iproute",
            arch: "iproute2",
            suse: "iproute2",
            alpine: "iproute2",
        },
        why: "private network namespaces, and `ss` as the second opinion of the tests",
        takes: "3 s",
        optional: false,
    },
    Need {
        tool: "openssl",
        purposes: &[Test],
        packages: Packages::same("openssl"),
        why: "a TLS client that misbehaves, and its certificate",
        takes: "3 s",
        optional: false,
    },
    Need {
        tool: "qemu-system-x86_64",
        purposes: &[Test],
        packages: Packages {
            debian: "qemu-system-x86",
            fedora: "qemu-system-x86-core",
            arch: "qemu-system-x86",
            suse: "qemu-x86",
            alpine: "qemu-system-x86_64",
        },
        why: "other kernels than this machine's to test on, emulated",
        takes: "15 s",
        optional: true,
    },
    Need {
        tool: "busybox",
        purposes: &[Test],
        packages: Packages {
            debian: "busybox-static",
            fedora: "busybox",
            arch: "busybox",
            suse: "busybox-static",
            alpine: "busybox-static",
        },
        why: "the first program of those virtual machines",
        takes: "2 s",
        optional: true,
    },
    Need {
        tool: "xz",
        purposes: &[Test],
        packages: Packages {
            debian: "xz-utils",
            fedora: "xz",
            arch: "xz",
            suse: "xz",
            alpine: "xz",
        },
        why: "unpacks those kernels' modules",
        takes: "2 s",
        optional: true,
    },
    Need {
        tool: "wrk",
        purposes: &[Bench],
        packages: Packages::same("wrk"),
        why: "the load of the bench",
        takes: "5 s",
        optional: false,
    },
    Need {
        tool: "bpftool",
        purposes: &[Test, Bench],
        packages: Packages {
            debian: "bpftool",
            fedora: "bpftool",
            arch: "bpf",
            suse: "bpftool",
            alpine: "bpftool",
        },
        why: "sees that hatrace leaves no program behind, and reads the time the kernel spends in each",
        takes: "3 s",
        optional: false,
    },
    Need {
        tool: "tcpstates",
        purposes: &[Bench],
        packages: Packages {
            debian: "libbpf-tools",
            fedora: "libbpf-tools",
            arch: "libbpf-tools",
            suse: "libbpf-tools",
            alpine: "bcc-tools",
        },
        why: "the tool most people would use instead, measured beside hatrace",
        takes: "5 s",
        optional: true,
    },
];
