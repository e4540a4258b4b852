//! Network namespaces, by the paths that name them.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

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

/// Runs `inside` on a thread of its own in the namespace at `path`: entering one concerns a thread, and ours has others to see to.
///
/// # Errors
/// The namespace can't be entered (CAP_SYS_ADMIN), or what `inside` says.
pub fn within<T: Send + 'static>(
    path: &Path,
    inside: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let file = std::fs::File::open(path)?;
    let thread = std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(
            file.as_fd(),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )?;
        inside()
    });
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread that entered the namespace failed")))
}
