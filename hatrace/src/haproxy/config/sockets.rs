//! What of the configuration tells where HAProxy's command line is.

use super::lines::Line;
use super::sections::is_section;

/// The lines that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// `stats socket ADDRESS ...` of `global`.
    pub stats: Vec<String>,
    /// Unix addresses of `bind` lines: frontends, not to be spoken to.
    pub binds: Vec<String>,
}

/// Out of the lines in force.
#[must_use]
pub fn sockets(lines: &[Line]) -> Sockets {
    let mut found = Sockets::default();
    let mut global = false;
    for line in lines {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [first, ..] if is_section(first) => global = *first == "global",
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
