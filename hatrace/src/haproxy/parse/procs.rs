//! `show proc` of the master's command line.

/// A process that the master tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its pid, in HAProxy's own pid namespace.
    pub pid: u32,
    /// `master`, `worker`, `program`.
    pub kind: String,
    /// Whether it belongs to an earlier configuration.
    pub old: bool,
    /// How many reloads it has seen.
    pub reloads: Option<u64>,
}

/// Reads the table.
#[must_use]
pub fn workers(text: &str) -> Vec<Worker> {
    let mut old = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(section) = line.strip_prefix('#') {
            old = section.trim_start().starts_with("old");
            continue;
        }
        let mut words = line.split_whitespace();
        if let (Some(Ok(pid)), Some(kind)) = (words.next().map(str::parse), words.next()) {
            found.push(Worker {
                pid,
                kind: kind.to_owned(),
                old,
                reloads: words.next().and_then(|word| word.parse().ok()),
            });
        }
    }
    found
}
