//! Network namespaces, by the paths that name them.

use hatrace_core::ids::Netns;

/// The namespace behind a path such as `/proc/self/ns/net`.
#[must_use]
pub fn netns_of(path: &str) -> Option<Netns> {
    let link = std::fs::read_link(path).ok()?;
    let text = link.to_str()?;
    text.strip_prefix("net:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
        .map(Netns)
}
