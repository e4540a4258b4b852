//! The kernels to test on: Debian's, unpacked below `target/vm`, nothing of them installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::setup::archive::Archive;

/// A kernel of Debian's.
pub(super) struct Kernel {
    /// How it is called here.
    pub(super) name: &'static str,
    suite: &'static str,
    package: Package,
    /// Whether hatrace traces there; where not, it polls.
    pub(super) traced: bool,
    /// Whether `cargo xtask test` boots it.
    pub(super) usual: bool,
}

/// How its package is found among the suite's: the newest that begins and ends so.
enum Package {
    Whole(&'static str, &'static str),
    /// Since 7.x the image and its modules are two.
    Split(&'static str, &'static str),
}

pub(super) const KERNELS: [Kernel; 5] = [
    Kernel {
        name: "5.10",
        suite: "bullseye",
        package: Package::Whole("linux-image-5.10.", "-cloud-amd64-unsigned"),
        traced: false,
        usual: false,
    },
    Kernel {
        name: "6.1",
        suite: "bookworm-security",
        package: Package::Whole("linux-image-6.1.", "-cloud-amd64-unsigned"),
        traced: true,
        usual: true,
    },
    Kernel {
        name: "6.12",
        suite: "bookworm-security",
        package: Package::Whole("linux-image-6.12.", "-cloud-amd64"),
        traced: true,
        usual: true,
    },
    Kernel {
        name: "6.18",
        suite: "trixie-backports",
        package: Package::Whole("linux-image-6.18.", "-cloud-amd64"),
        traced: true,
        usual: true,
    },
    Kernel {
        name: "newest",
        suite: "sid",
        package: Package::Split("linux-binary-", "-cloud-amd64"),
        traced: true,
        usual: false,
    },
];

/// The modules that are wanted, in the order in which they are loaded; those that a kernel has built in, or doesn't have, are passed over.
const MODULES: [&str; 4] = ["inet_diag", "tcp_diag", "tls", "veth"];

/// A kernel on disk.
pub(super) struct Unpacked {
    pub(super) image: PathBuf,
    /// Modules, in the order in which they are loaded.
    pub(super) modules: Vec<PathBuf>,
    /// The version of the package: a new one is fetched when its folder is thrown away.
    pub(super) version: String,
}

impl Kernel {
    /// From disk, or from Debian.
    pub(super) fn ensure(&self, below: &Path) -> Result<Unpacked> {
        let folder = below.join(self.name);
        if !folder.join("ready").exists() {
            eprintln!(
                "vm: Linux {}, from Debian {}: for the tests, unpacked in {} (about 10 s)",
                self.name,
                self.suite,
                folder.display()
            );
            self.fetch(&folder)
                .with_context(|| format!("fetching Linux {}", self.name))?;
        }
        let modules = MODULES
            .iter()
            .map(|name| folder.join(format!("{name}.ko")))
            .filter(|file| file.exists());
        Ok(Unpacked {
            image: folder.join("vmlinuz"),
            modules: modules.collect(),
            version: std::fs::read_to_string(folder.join("ready"))?.trim().to_owned(),
        })
    }

    fn fetch(&self, folder: &Path) -> Result<()> {
        // What an earlier try has left half done.
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder)?;
        let archive = Archive::open(folder, &[self.suite])?;
        let names = process::capture(archive.apt("apt-cache").args(["pkgnames", "linux-"]))?;
        let packages = self
            .package
            .newest(names.lines())
            .with_context(|| format!("Debian {} has no such package", self.suite))?;
        process::capture(
            archive
                .apt("apt-get")
                .arg("download")
                .args(&packages)
                .current_dir(folder),
        )?;
        for entry in std::fs::read_dir(folder)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                unpack(&file, folder)?;
                std::fs::remove_file(file)?;
            }
        }
        tidy(folder)?;
        archive.close()?;
        std::fs::write(folder.join("ready"), &packages[0])?;
        Ok(())
    }
}

impl Package {
    /// The names of the newest one's packages.
    fn newest<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
        let names: Vec<&str> = names.collect();
        let (start, end) = match self {
            Self::Whole(start, end) | Self::Split(start, end) => (*start, *end),
        };
        let fits = |name: &&&str| {
            let version = name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
            // `rt-` and the like are other kernels.
            version.is_some_and(|version| {
                !version.contains(|c: char| c.is_ascii_lowercase() && !"debrc~".contains(c))
            })
        };
        let partner = |name: &str| name.replacen("linux-binary-", "linux-modules-", 1);
        let whole = |name: &&&str| match self {
            Self::Whole(..) => true,
            // An archive that is being brought up to date can have one without the other.
            Self::Split(..) => names.contains(&partner(name).as_str()),
        };
        let newest = names
            .iter()
            .filter(fits)
            .filter(whole)
            .max_by_key(|name| numbers(name))?;
        Some(match self {
            Self::Whole(..) => vec![(*newest).to_owned()],
            Self::Split(..) => vec![(*newest).to_owned(), partner(newest)],
        })
    }
}

/// The numbers in a name: what versions are compared by.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// The image and the wanted modules, side by side.
fn unpack(package: &Path, folder: &Path) -> Result<()> {
    let mut open = Command::new("dpkg-deb");
    open.arg("--fsys-tarfile").arg(package).stdout(Stdio::piped());
    let mut open = open.spawn().context("starting dpkg-deb")?;
    let mut tar = Command::new("tar");
    tar.arg("-xf-")
        .arg("-C")
        .arg(folder)
        .args(["--wildcards", "--transform=s,.*/,,", "--no-anchored", "vmlinuz*"])
        .args(MODULES.map(|name| format!("{name}.ko*")))
        .stdin(open.stdout.take().context("dpkg-deb has no stdout")?)
        // One package has the image, the other one the modules: what isn't found is no error.
        .stderr(Stdio::null());
    process::status(&mut tar)?;
    if !open.wait()?.success() {
        bail!("{} can't be unpacked", package.display());
    }
    Ok(())
}

/// Their plain names, and modules uncompressed.
fn tidy(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.path();
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with("vmlinuz") {
            std::fs::rename(&file, folder.join("vmlinuz"))?;
        } else if name.ends_with(".ko.xz") {
            process::capture(Command::new("xz").arg("-d").arg(&file))?;
        }
    }
    if !folder.join("vmlinuz").exists() {
        bail!("its package has no kernel in it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_its_kind_is_taken() {
        let names = [
            "linux-image-6.12.9+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-rt-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64-unsigned",
            "linux-image-6.12.118+deb12-amd64",
            "linux-binary-7.2.13+deb14-cloud-amd64",
            "linux-binary-7.3.1+deb14-cloud-amd64",
            "linux-modules-7.2.13+deb14-cloud-amd64",
        ];
        let newest = |package: Package| package.newest(names.into_iter());
        assert_eq!(
            newest(Package::Whole("linux-image-6.12.", "-cloud-amd64")).unwrap(),
            ["linux-image-6.12.117+deb12-cloud-amd64"]
        );
        assert_eq!(
            newest(Package::Split("linux-binary-", "-cloud-amd64")).unwrap(),
            [
                "linux-binary-7.2.13+deb14-cloud-amd64",
                "linux-modules-7.2.13+deb14-cloud-amd64"
            ]
        );
        assert!(newest(Package::Whole("linux-image-5.10.", "-cloud-amd64-unsigned")).is_none());
    }
}
