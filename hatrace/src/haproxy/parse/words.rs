//! The words that HAProxy's outputs are made of: keys and values, durations, pointers, addresses.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hatrace_core::ids::{Fd, FdTable, SessionPtr};
use hatrace_core::sock::fold;
use hatrace_core::stream::{Expiry, Name, StreamFd};

/// Names out of HAProxy's configuration, each kept once however many lines refer to it.
#[derive(Debug, Default)]
pub struct Names(HashSet<Name>);

impl Names {
    /// A name; `None` for HAProxy's words for none.
    pub fn name(&mut self, text: &str) -> Option<Name> {
        if matches!(text, "" | "?" | "-" | "<none>" | "<NONE>") {
            return None;
        }
        if let Some(known) = self.0.get(text) {
            return Some(known.clone());
        }
        let name: Name = Arc::from(text);
        self.0.insert(name.clone());
        Some(name)
    }
}

/// The value behind `key=`, up to the next blank, comma or bracket. Keys begin a word: `exp=` isn't found in `c_exp=`.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find(key) {
        let start = from + at;
        let end = start + key.len();
        let begins = text[..start]
            .chars()
            .next_back()
            .is_none_or(|before| !before.is_alphanumeric() && !matches!(before, '_' | '.'));
        if begins && text[end..].starts_with('=') {
            let rest = &text[end + 1..];
            let length = rest
                .find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '('))
                .unwrap_or(rest.len());
            return rest.get(..length);
        }
        from = end;
    }
    None
}

/// What stands between `NAME[` and `]`.
pub(super) fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find(name) {
        let start = from + at;
        let end = start + name.len();
        let begins = text[..start].chars().next_back().is_none_or(char::is_whitespace);
        if begins && text[end..].starts_with('[') {
            let rest = &text[end + 1..];
            return rest.split_once(']').map(|(inside, _)| inside);
        }
        from = end;
    }
    None
}

/// `3s`, `59m57s`, `2d4h` (`src/tools.c: human_time()`): two units at most, whole.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = &rest[digits..];
        if let Some(after) = rest.strip_prefix("ms") {
            return after
                .is_empty()
                .then(|| Duration::from_secs(seconds).saturating_add(Duration::from_millis(number)));
        }
        let unit = match rest.as_bytes().first()? {
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[1..];
    }
    Some(Duration::from_secs(seconds))
}

/// A timer: empty and `<NEVER>` mean that none is set.
pub(super) fn expiry(text: Option<&str>) -> Expiry {
    match text {
        None | Some("?") => Expiry::Unknown,
        Some("" | "<NEVER>") => Expiry::Never,
        Some("<PAST>") => Expiry::Past,
        Some(text) => duration(text).map_or(Expiry::Unknown, Expiry::In),
    }
}

/// `0x55c6903a6df0`.
pub(super) fn pointer(text: &str) -> Option<SessionPtr> {
    let digits = text.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16)
        .ok()
        .filter(|&at| at != 0)
        .map(SessionPtr)
}

/// Hexadecimal flags, with or without `0x` before and `h` behind.
pub(super) fn flags(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits.strip_suffix('h').unwrap_or(digits), 16).ok()
}

/// `17`, or `2/17` from 3.5 on; a negative one is no descriptor.
pub(super) fn fd(text: &str) -> Option<StreamFd> {
    let (group, number) = match text.split_once('/') {
        Some((group, number)) => (Some(FdTable(group.parse().ok()?)), number),
        None => (None, text),
    };
    let number: u32 = number.parse().ok()?;
    i32::try_from(number).ok()?;
    Some(StreamFd {
        group,
        fd: Fd(number),
    })
}

/// `127.0.0.1:37974`, `::ffff:127.0.0.1:39108`, `::1:39114`: the last colon parts the port off. v4-mapped is folded.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.rsplit_once(':')?;
    let ip: IpAddr = ip.trim_matches(['[', ']']).parse().ok()?;
    Some(fold(SocketAddr::new(ip, port.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_two_units() {
        for (text, seconds) in [
            ("0s", 0),
            ("3s", 3),
            ("59m57s", 3597),
            ("23h59m", 86_340),
            ("2d4h", 187_200),
            ("1d", 86_400),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        for text in [
            "",
            "?",
            "<PAST>",
            "s",
            "3",
            "3x",
            "-3s",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(expiry(Some("")), Expiry::Never);
        assert_eq!(expiry(Some("<PAST>")), Expiry::Past);
        assert_eq!(expiry(Some("?")), Expiry::Unknown);
    }

    #[test]
    fn keys_begin_a_word() {
        let line = "scf=[8,0h,fd=14] exp=4s rc=0 c_exp=1s h1c.flg=0x8000 .exp=<NEVER>";
        assert_eq!(value(line, "exp"), Some("4s"));
        assert_eq!(value(line, "c_exp"), Some("1s"));
        assert_eq!(value(line, "h1c.flg"), Some("0x8000"));
        assert_eq!(value(line, ".exp"), Some("<NEVER>"));
        assert_eq!(value(line, "flg"), None);
        assert_eq!(
            block(line.replace("scf=[", "scf[").as_str(), "scf"),
            Some("8,0h,fd=14")
        );
    }

    #[test]
    fn descriptors_and_addresses() {
        assert_eq!(fd("-1"), None);
        assert_eq!(fd("-35762691"), None);
        assert_eq!(fd("17").map(|fd| (fd.group, fd.fd)), Some((None, Fd(17))));
        assert_eq!(
            fd("2/17").map(|fd| (fd.group, fd.fd)),
            Some((Some(FdTable(2)), Fd(17)))
        );
        let text = |text| address(text).map(|address| address.to_string());
        assert_eq!(text("::ffff:127.0.0.1:39108").as_deref(), Some("127.0.0.1:39108"));
        assert_eq!(text("::1:39114").as_deref(), Some("[::1]:39114"));
        assert_eq!(text("unix:1"), None);
        assert_eq!(text("1d2f3a:80"), None);
    }
}
