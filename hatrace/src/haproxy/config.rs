//! What of HAProxy's configuration tells where its command line is. No more of it is read here.

use std::path::{Path, PathBuf};

/// The lines that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// `stats socket ADDRESS ...` of `global`.
    pub stats: Vec<String>,
    /// Unix addresses of `bind` lines: frontends, not to be spoken to.
    pub binds: Vec<String>,
}

/// What the command line of a HAProxy process says (management guide, section 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `-f`, each; what follows `--` as well.
    pub files: Vec<PathBuf>,
    /// `-S`: the master's command line.
    pub master: Option<String>,
    /// `-C`: what relative paths are relative to.
    pub directory: Option<PathBuf>,
}

/// Reads a command line, the program's name first.
#[must_use]
pub fn arguments(line: &[String]) -> Arguments {
    let mut found = Arguments::default();
    let mut words = line.iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--" => found.files.extend(words.by_ref().map(PathBuf::from)),
            "-f" => found.files.extend(words.next().map(PathBuf::from)),
            "-C" => found.directory = words.next().map(PathBuf::from),
            // Its options come behind a comma: `-S /run/master.sock,mode,600`. The address is optional.
            "-S" => {
                found.master = words
                    .next()
                    .and_then(|value| value.split(',').next())
                    .map(str::to_owned);
            }
            _ => {}
        }
    }
    found
}

/// Reads a configuration.
#[must_use]
pub fn sockets(text: &str) -> Sockets {
    let mut found = Sockets::default();
    let mut global = false;
    for line in text.lines() {
        let words: Vec<&str> = line
            .split_whitespace()
            .take_while(|word| !word.starts_with('#'))
            .map(|word| word.trim_matches(['"', '\'']))
            .collect();
        match words.as_slice() {
            ["global", ..] => global = true,
            [
                "defaults" | "frontend" | "backend" | "listen" | "peers" | "resolvers" | "cache",
                ..,
            ] => {
                global = false;
            }
            ["stats", "socket", address, ..] if global => found.stats.push((*address).to_owned()),
            ["bind", addresses, ..] => found.binds.extend(
                addresses
                    .split(',')
                    .filter(|address| {
                        address.starts_with('/')
                            || address.starts_with("unix@")
                            || address.starts_with("abns")
                    })
                    .map(str::to_owned),
            ),
            _ => {}
        }
    }
    found
}

/// The text of every file, where all of them can be read: each tried below each of `roots`, relative ones below `directories`.
#[must_use]
pub fn read(arguments: &Arguments, roots: &[PathBuf], directories: &[PathBuf]) -> Option<String> {
    let mut text = String::new();
    for file in &arguments.files {
        let places: Vec<PathBuf> = if file.is_absolute() {
            let below = file.strip_prefix("/").unwrap_or(file);
            roots.iter().map(|root| root.join(below)).collect()
        } else {
            let base = arguments.directory.clone().unwrap_or_default();
            directories
                .iter()
                .map(|directory| directory.join(&base).join(file))
                .collect()
        };
        text.push_str(&places.iter().find_map(|place| whole(place))?);
        text.push('\n');
    }
    (!arguments.files.is_empty()).then_some(text)
}

/// A file, or every `*.cfg` of a folder in the order of their names.
fn whole(path: &Path) -> Option<String> {
    if !path.is_dir() {
        return std::fs::read_to_string(path).ok();
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "cfg"))
        .collect();
    files.sort();
    let texts: Option<Vec<String>> = files
        .iter()
        .map(|file| std::fs::read_to_string(file).ok())
        .collect();
    Some(texts?.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line() {
        let line = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let found = arguments(&line(
            "/usr/sbin/haproxy -sf 12 -x sockpair@3 -Ws -S /run/master.sock,mode,600 -C /etc/haproxy -f haproxy.cfg -f conf.d -- more.cfg",
        ));
        assert_eq!(found.master.as_deref(), Some("/run/master.sock"));
        assert_eq!(found.directory, Some(PathBuf::from("/etc/haproxy")));
        assert_eq!(
            found.files,
            ["haproxy.cfg", "conf.d", "more.cfg"].map(PathBuf::from)
        );
    }

    #[test]
    fn stats_sockets_and_the_frontends_that_look_like_them() {
        let found = sockets(
            "global\n  stats socket /run/a.sock mode 660 level admin # stats socket /run/no.sock\n\tstats socket ipv4@127.0.0.1:9999\n\
             frontend f\n  bind unix@/run/f.sock,:80\n  bind abns@g accept-proxy\n  stats socket /run/not-here.sock\n",
        );
        assert_eq!(found.stats, ["/run/a.sock", "ipv4@127.0.0.1:9999"]);
        assert_eq!(found.binds, ["unix@/run/f.sock", "abns@g"]);
    }
}
