//! Where a command line of HAProxy's listens, as HAProxy's configuration writes it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// An address of a stats socket (configuration manual 3.1 `stats socket`, 11.1 address formats).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// A path.
    Unix(PathBuf),
    /// A name in Linux's abstract namespace (`abns@`, `abnsz@`).
    Abstract {
        /// The name.
        name: String,
        /// Padded with NUL to the full length, as `abns@` does; `abnsz@` (3.1) doesn't.
        padded: bool,
    },
    /// TCP; a wildcard is reached through loopback.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Abstract { name, padded: true } => write!(f, "abns@{name}"),
            Self::Abstract { name, padded: false } => write!(f, "abnsz@{name}"),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let abstract_name = |name: &str, padded| Self::Abstract {
            name: name.to_owned(),
            padded,
        };
        if text.is_empty() {
            return Err("want a path, abns@NAME, or ADDRESS:PORT".to_owned());
        }
        match text.split_once('@') {
            Some(("unix", path)) => return Ok(Self::Unix(PathBuf::from(path))),
            Some(("abns", name)) => return Ok(abstract_name(name, true)),
            Some(("abnsz", name)) => return Ok(abstract_name(name, false)),
            Some(("ipv4" | "ipv6" | "tcp" | "tcp4" | "tcp6", rest)) => {
                return tcp(rest)
                    .ok_or_else(|| format!("{rest} is no ADDRESS:PORT"))
                    .map(Self::Tcp);
            }
            _ => {}
        }
        match tcp(text) {
            Some(address) if !text.contains('/') => Ok(Self::Tcp(address)),
            _ => Ok(Self::Unix(PathBuf::from(text))),
        }
    }
}

/// `127.0.0.1:9999`, `:9999`, `*:9999`, `[::1]:9999`, `::1:9999`.
fn tcp(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let host = host.trim_matches(['[', ']']);
    let ip: IpAddr = match host {
        "" | "*" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        other => other.parse().ok()?,
    };
    let ip = match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_configuration_writes_them() {
        for (text, expected) in [
            ("/run/haproxy/admin.sock", "/run/haproxy/admin.sock"),
            ("unix@/run/x", "/run/x"),
            ("abns@stats", "abns@stats"),
            ("abnsz@stats", "abnsz@stats"),
            ("ipv4@127.0.0.1:9999", "127.0.0.1:9999"),
            ("*:9999", "127.0.0.1:9999"),
            (":9999", "127.0.0.1:9999"),
            ("0.0.0.0:9999", "127.0.0.1:9999"),
            (":::9999", "[::1]:9999"),
            ("[::1]:9999", "[::1]:9999"),
            ("relative.sock", "relative.sock"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), expected, "{text}");
        }
        assert!("".parse::<Address>().is_err());
        assert!("ipv4@nowhere".parse::<Address>().is_err());
    }
}
