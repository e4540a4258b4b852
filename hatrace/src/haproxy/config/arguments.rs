//! What the command line of a HAProxy process says (management guide, section 3).

use std::path::PathBuf;

/// The arguments that tell where its configuration and its master's command line are.
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
}
