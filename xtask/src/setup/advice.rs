//! What to type, for machines that `setup` does not change: other systems, or no root.

use super::{Missing, debian, needs::Packages, toolchain};

/// A family of distributions: how it installs, and which name of a package it uses.
struct Family {
    install: &'static str,
    name: fn(&Packages) -> &'static str,
}

pub(super) fn print(missing: &Missing) {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    eprint!("{}", text(missing, &release, debian::is_debian()));
}

fn text(missing: &Missing, release: &str, debian: bool) -> String {
    let mut out = String::new();
    if debian {
        out += "setup installs what is missing when it is root:\n\n  sudo -E env PATH=\"$PATH\" cargo xtask setup\n\nor by hand:\n\n";
    } else {
        out += "setup installs by itself only on Debian. Type:\n\n";
    }
    if missing.toolchain {
        let lack = toolchain::find().err().unwrap_or_default();
        if lack.rustc {
            out += "  rustup toolchain install nightly --component rust-src     # compiles the kernel half\n";
        }
        if lack.linker {
            out += "  cargo binstall bpf-linker                                 # links it; or: cargo install bpf-linker\n";
        }
    }
    if !missing.tools.is_empty() {
        let family = family(release);
        let mut packages: Vec<&str> = missing
            .tools
            .iter()
            .map(|need| (family.name)(&need.packages))
            .collect();
        packages.dedup();
        out += &format!("  {} {}\n", family.install, packages.join(" "));
        for need in &missing.tools {
            let optional = if need.optional { " (optional)" } else { "" };
            out += &format!("      # {}: {}{optional}\n", need.tool, need.why);
        }
    }
    out
}

/// From `ID` and `ID_LIKE` of /etc/os-release.
fn family(release: &str) -> Family {
    let ids: Vec<&str> = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .collect();
    let is = |names: &[&str]| ids.iter().any(|id| names.contains(id));
    if is(&["fedora", "rhel", "centos"]) {
        Family {
            install: "sudo dnf install",
            name: |p| p.fedora,
        }
    } else if is(&["arch"]) {
        Family {
            install: "sudo pacman -S --needed",
            name: |p| p.arch,
        }
    } else if is(&["suse", "opensuse"]) {
        Family {
            install: "sudo zypper install",
            name: |p| p.suse,
        }
    } else if is(&["alpine"]) {
        Family {
            install: "sudo apk add",
            name: |p| p.alpine,
        }
    } else if is(&["debian", "ubuntu"]) {
        Family {
            install: "sudo apt-get install --no-install-recommends",
            name: |p| p.debian,
        }
    } else {
        Family {
            install: "install with your package manager:",
            name: |p| p.debian,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::needs::TOOLS;
    use super::*;

    #[test]
    fn each_family_is_told_its_own_names() {
        let missing = Missing {
            toolchain: false,
            tools: TOOLS.iter().collect(),
        };
        let fedora = text(
            &missing,
            "NAME=Rocky\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
            false,
        );
        assert!(
            fedora.contains("sudo dnf install haproxy iproute openssl qemu-system-x86-core busybox xz wrk bpftool libbpf-tools"),
            "{fedora}"
        );
        let ubuntu = text(&missing, "ID=ubuntu\nID_LIKE=debian\n", false);
        assert!(
            ubuntu.contains("apt-get install --no-install-recommends haproxy iproute2"),
            "{ubuntu}"
        );
        let unknown = text(&missing, "", false);
        assert!(
            unknown.contains("with your package manager: haproxy"),
            "{unknown}"
        );
    }
}
