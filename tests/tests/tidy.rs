//! The architecture's own test: what the compiler does not check and a reviewer would forget.
//!
//! docs/ARCHITECTURE.md draws the house; this keeps it standing. Each rule says in its message what to do.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its own repository has nothing to add"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Where one starts to look for two ideas in one file, and where there surely are two.
const LOOK: usize = 400;
const SPLIT: usize = 600;

/// What each module of the agent may use of its siblings; everything may use `error` and `port`.
const ARROWS: [(&str, &[&str]); 12] = [
    ("main", &["cli"]),
    ("lib", &[]),
    ("app", ANY),
    ("cli", ANY),
    ("kernel", &["target", "sockdiag"]),
    ("polled", &["target", "sockdiag"]),
    ("haproxy", &["target"]),
    ("doctor", &["kernel", "target", "sockdiag"]),
    ("tape", &[]),
    ("demo", &["app", "cli", "target"]),
    ("port", &[]),
    ("error", &[]),
];
const ANY: &[&str] = &["*"];
const COMMON_GROUND: [&str; 5] = ["ability", "clock", "error", "netns", "port"];

/// The engine is pure: time is a parameter, and everything else is somebody else's.
const IMPURE: [&str; 12] = [
    "Instant",
    "SystemTime",
    "tokio",
    "aya",
    "libc",
    "rustix",
    "fs",
    "env",
    "process",
    "thread",
    "TcpStream",
    "UnixStream",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// What git tracks or would track; without git (a tarball), every file but the build's.
fn files() -> Vec<PathBuf> {
    let root = root();
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output();
    let mut files: Vec<PathBuf> = match listed {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .filter(|file| root.join(file).is_file())
            .collect(),
        _ => walk(&root, Path::new("")),
    };
    files.sort();
    assert!(
        files.len() > 10,
        "found only {} files in {}",
        files.len(),
        root.display()
    );
    files
}

fn walk(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join(folder))
        .into_iter()
        .flatten()
        .flatten()
    {
        let (name, path) = (entry.file_name(), folder.join(entry.file_name()));
        if entry.path().is_dir() {
            if name != "target" && name != ".git" {
                found.extend(walk(root, &path));
            }
        } else {
            found.push(path);
        }
    }
    found
}

fn rust_files(below: &str) -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|file| file.starts_with(below) && file.extension().is_some_and(|e| e == "rs"))
        .map(|file| (file.clone(), std::fs::read_to_string(root().join(&file)).unwrap()))
        .collect()
}

/// The source without what stands behind `//`. A string with `//` in it loses its end: harmless here.
fn code(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn fail_if_any(mut problems: Vec<String>, rule: &str) {
    problems.sort();
    problems.dedup();
    assert!(problems.is_empty(), "{rule}\n  {}\n", problems.join("\n  "));
}

#[test]
fn a_file_is_one_idea() {
    let mut long = Vec::new();
    let mut note = String::new();
    for (file, text) in rust_files("") {
        let lines = text.lines().count();
        if lines > SPLIT {
            long.push(format!("{}: {lines} lines", file.display()));
        } else if lines > LOOK {
            writeln!(
                note,
                "warning: {}: {lines} lines: one idea or two?",
                file.display()
            )
            .unwrap();
        }
    }
    eprint!("{note}");
    fail_if_any(
        long,
        &format!("files over {SPLIT} lines hold more than one idea: split them"),
    );
}

#[test]
fn the_engine_is_pure() {
    let mut problems = Vec::new();
    for (file, text) in rust_files("hatrace-core/src") {
        let code = code(&text);
        for (number, line) in code.lines().enumerate() {
            let words: Vec<&str> = line.split(|c| !is_word(c)).collect();
            for impure in IMPURE {
                // `fs`, `env`, … are names of std's modules only where `std::` or an import stands before.
                let module = impure.chars().all(char::is_lowercase);
                let imported = line.contains("std::") || line.contains("use ") || line.contains("extern ");
                if words.contains(&impure) && (!module || imported) {
                    problems.push(format!("{}:{}: {impure}", file.display(), number + 1));
                }
            }
        }
    }
    let manifest = std::fs::read_to_string(root().join("hatrace-core/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or("");
    let dependencies = dependencies.split("\n[").next().unwrap_or("");
    for foreign in ["tokio", "aya", "libc", "rustix", "procfs", "hatrace-common"] {
        if dependencies.lines().any(|line| line.starts_with(foreign)) {
            problems.push(format!("hatrace-core/Cargo.toml: {foreign}"));
        }
    }
    fail_if_any(
        problems,
        "the engine has no clock, no files, no network, no kernel: pass it in as an Input",
    );
}

#[test]
fn siblings_do_not_import_each_other() {
    let sources = rust_files("hatrace/src");
    let modules: BTreeMap<String, ()> = sources.iter().map(|(file, _)| (module_of(file), ())).collect();
    let mut problems = Vec::new();
    for (file, text) in &sources {
        let module = module_of(file);
        let allowed = ARROWS
            .iter()
            .find(|(name, _)| *name == module)
            .map_or(&[][..], |(_, allowed)| *allowed);
        for used in crate_uses(&code(text)) {
            let known = modules.contains_key(&used);
            let fine = used == module
                || COMMON_GROUND.contains(&used.as_str())
                || allowed.contains(&used.as_str())
                || allowed == ANY;
            if known && !fine {
                problems.push(format!("{}: crate::{used}", file.display()));
            }
        }
    }
    fail_if_any(
        problems,
        "modules of the agent meet in app and port, not in each other (ARROWS says who may)",
    );
}

/// `hatrace/src/kernel/load.rs` and `hatrace/src/kernel.rs` both belong to `kernel`.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix("hatrace/src").unwrap_or(file);
    let first = inside
        .components()
        .next()
        .map(|c| c.as_os_str().to_string_lossy().into_owned());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// The first names behind `crate::`, those of a `crate::{a, b::c}` too.
fn crate_uses(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        if code[..start].ends_with(is_word) {
            continue;
        }
        let rest = &code[start + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            used.push(rest.chars().take_while(|&c| is_word(c)).collect());
            continue;
        };
        let mut depth = 0usize;
        let mut word = String::new();
        let mut leading = true;
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    used.push(std::mem::take(&mut word));
                    leading = true;
                }
                ':' if depth == 0 => leading = false,
                c if depth == 0 && leading && is_word(c) => word.push(c),
                _ => {}
            }
        }
        used.push(word);
    }
    used.retain(|word| !word.is_empty());
    used
}

#[test]
fn every_probe_names_the_prototype_it_matches() {
    let problems = rust_files("hatrace-ebpf/src/probes")
        .into_iter()
        .filter(|(file, text)| !file.ends_with("mod.rs") && !text.contains("match-proto"))
        .map(|(file, _)| file.display().to_string())
        .collect();
    fail_if_any(
        problems,
        "a probe reads raw arguments: a `match-proto: KERNEL PROTOTYPE` line says which it was written for",
    );
}

#[test]
fn nothing_points_outside_of_the_clone() {
    let root = root();
    let mut problems = Vec::new();
    for file in files() {
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for path in climbing(line) {
                if !stays_inside(&root, &file, path) {
                    problems.push(format!("{}:{}: {path}", file.display(), number + 1));
                }
            }
            if let Some(parent) = neighbourhood(&root)
                && mentions(line, &parent)
            {
                problems.push(format!("{}:{}: {parent}", file.display(), number + 1));
            }
        }
    }
    fail_if_any(
        problems,
        "a user's clone has nothing beside it: copy in what is needed",
    );
}

/// The paths in a line that begin by climbing and then name something; never a bare `../..`.
fn climbing(line: &str) -> Vec<&str> {
    line.split(|c: char| !(is_word(c) || "./-".contains(c)))
        .filter(|path| path.starts_with("../") || path.starts_with("/../"))
        .map(|path| path.trim_start_matches('/').trim_end_matches(['.', '/']))
        .filter(|path| path.contains(is_word))
        .collect()
}

/// A relative path is meant from its file, or from its package's folder (`CARGO_MANIFEST_DIR`).
fn stays_inside(root: &Path, file: &Path, path: &str) -> bool {
    let package = file
        .components()
        .next()
        .map(|c| PathBuf::from(c.as_os_str()))
        .unwrap_or_default();
    let folder = file.parent().unwrap_or(Path::new(""));
    [folder, package.as_path()].into_iter().any(|from| {
        resolve(&from.join(path))
            .is_some_and(|inside| inside.starts_with("target") || root.join(inside).exists())
    })
}

/// Without the `..`; None where it leaves the root.
fn resolve(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => out.pop().then_some(())?,
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    Some(out)
}

/// The folder this clone lies in, unless it is one that text may well speak of.
fn neighbourhood(root: &Path) -> Option<String> {
    let parent = root.parent()?.to_str()?;
    let common = [
        "/", "/tmp", "/var/tmp", "/root", "/home", "/opt", "/srv", "/src", "/usr/src", "/mnt",
    ];
    (!common.contains(&parent)).then(|| format!("{parent}/"))
}

fn mentions(line: &str, path: &str) -> bool {
    line.match_indices(path)
        .any(|(at, _)| !line[..at].ends_with(|c: char| is_word(c) || "./-~*}".contains(c)))
}

#[test]
fn the_rules_see_what_they_should() {
    assert_eq!(crate_uses("use crate::kernel::load;"), ["kernel"]);
    assert_eq!(
        crate_uses("use crate::{\n  view::{table, json}, port,\n};"),
        ["view", "port"]
    );
    assert!(crate_uses("pub(crate) fn my_crate::x").is_empty());
    assert_eq!(climbing("`../tests` or \"/../xtask\""), ["../tests", "../xtask"]);
    assert!(climbing("(\"../..\") and a..b and ...").is_empty());
    let root = root();
    assert!(stays_inside(
        &root,
        Path::new("tests/tests/tidy.rs"),
        "../Cargo.toml"
    ));
    let outside = format!("../{}", "nowhere/x");
    assert!(!stays_inside(&root, Path::new("docs/X.md"), &outside));
    assert!(mentions("in /some/where/x", "/some/where/"));
    assert!(!mentions("in /not/some/where/x", "/some/where/"));
}
