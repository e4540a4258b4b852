//! Pseudonyms for addresses and names, the same for the same throughout a recording, so that it can be shown to strangers.
//!
//! Addresses that share a prefix go on sharing one of the same length (Crypto-PAn's idea: each bit is flipped or not by what stands before
//! it), under a key that nobody keeps. Every other string is a name, unless it is a word of the format's own: what isn't known to be
//! harmless is replaced.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::{Map, Value};

/// Strings that say nothing of anybody: the names of states, sides, kinds, and of what is or isn't.
const WORDS: &[&str] = &[
    "CLOSE",
    "CLOSE_WAIT",
    "CLOSING",
    "ESTABLISHED",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "LAST_ACK",
    "LISTEN",
    "NEW_SYN_RECV",
    "SYN_RECV",
    "SYN_SENT",
    "TIME_WAIT",
    "assigned",
    "backend",
    "check",
    "cli",
    "client",
    "client_fin",
    "client_hs",
    "closed",
    "connect",
    "connect_failed",
    "connecting",
    "control",
    "cut",
    "denied",
    "disconnected",
    "draining",
    "established",
    "frontend",
    "garbage",
    "handshake",
    "http",
    "http_keep_alive",
    "http_request",
    "initial",
    "keep_alive",
    "level_user",
    "listen",
    "listener",
    "never",
    "no_answer",
    "no_request",
    "no_socket",
    "none",
    "off",
    "old_worker",
    "other",
    "other_process",
    "past",
    "peer",
    "pool",
    "prefix",
    "proxy",
    "proxy_header",
    "queue",
    "queued",
    "ready",
    "requested",
    "scanned",
    "server",
    "server_fin",
    "slots_taken",
    "stream",
    "stream_or_check",
    "tarpit",
    "tcp",
    "tick",
    "try_again",
    "tunnel",
    "unknown",
    "unspecified",
];
/// Keys under which there is nothing but hatrace's own, HAProxy's or the kernel's version, a moment, or a service's state.
const HARMLESS: &[&str] = &[
    "hatrace",
    "kernel",
    "haproxy_version",
    "started_at",
    "status",
    "accepted",
];
/// Keys by which recordings are told apart: pseudonyms that are numbered would be the same in each, and two hosts would be taken for one.
const TELLING: &[&str] = &["host", "boot", "recording"];
/// Keys whose maps have names as keys.
const NAMED: &[&str] = &["sections"];

/// Keys of HAProxy's own words (`show sess`, `show fd`) behind which there are names.
const NAMING: &[&str] = &[
    "fe", "be", "sv", "srv", "px", "l.fe", "frontend", "backend", "server", "listener", "proxy", "name",
    "Name", "Node", "node", "hostname",
];

/// Who is called what.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    key: RandomState,
    names: HashMap<String, String>,
}

impl Redactor {
    /// The same with pseudonyms.
    pub fn redact(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(values) => {
                Value::Array(values.into_iter().map(|value| self.redact(value)).collect())
            }
            Value::Object(map) => Value::Object(self.map(map)),
            other => other,
        }
    }

    /// HAProxy's own words with pseudonyms: for addresses, for what stands behind a key that names something, for every name that is known.
    pub fn prose(&mut self, text: &str) -> String {
        text.split_inclusive(|c: char| c.is_whitespace() || "(),<>|;".contains(c))
            .map(|word| {
                let end = word.trim_end_matches(|c: char| c.is_whitespace() || "(),<>|;".contains(c));
                format!("{}{}", self.word(end), &word[end.len()..])
            })
            .collect()
    }

    fn word(&mut self, word: &str) -> String {
        match word.split_once('=') {
            Some((key, value)) if NAMING.contains(&key) => {
                let names: Vec<String> = value.split('/').map(|name| self.name_in_prose(name)).collect();
                format!("{key}={}", names.join("/"))
            }
            Some((key, value)) => format!("{key}={}", self.word(value)),
            None if self.names.contains_key(word) => self.name(word),
            None => self.address_in_prose(word),
        }
    }

    fn name_in_prose(&mut self, name: &str) -> String {
        match name {
            "" | "?" | "NONE" => name.to_owned(),
            name => self.name(name),
        }
    }

    fn address_in_prose(&self, word: &str) -> String {
        // `ipv4@10.0.0.1:80`
        let (family, address) = word
            .rsplit_once('@')
            .map_or(("", word), |(family, address)| (family, address));
        let told = if let Ok(socket) = address.parse::<SocketAddr>() {
            SocketAddr::new(self.address(socket.ip()), socket.port()).to_string()
        } else if let Ok(ip) = address.parse::<IpAddr>() {
            self.address(ip).to_string()
        } else {
            return word.to_owned();
        };
        if family.is_empty() {
            told
        } else {
            format!("{family}@{told}")
        }
    }

    fn map(&mut self, map: Map<String, Value>) -> Map<String, Value> {
        map.into_iter()
            .map(|(key, value)| {
                let value = match value {
                    value if HARMLESS.contains(&key.as_str()) => value,
                    Value::String(text) if TELLING.contains(&key.as_str()) => {
                        Value::String(self.identity(&key, &text))
                    }
                    Value::Object(named) if NAMED.contains(&key.as_str()) => {
                        let entry = |(section, value): (String, Value)| (self.section(&section), value);
                        Value::Object(named.into_iter().map(entry).collect())
                    }
                    value => self.redact(value),
                };
                let key = key
                    .parse::<IpAddr>()
                    .map_or(key, |address| self.address(address).to_string());
                (key, value)
            })
            .collect()
    }

    /// `frontend fe`: the keyword stays.
    fn section(&mut self, section: &str) -> String {
        match section.split_once(' ') {
            Some((kind, name)) => format!("{kind} {}", self.name(name)),
            None => self.name(section),
        }
    }

    fn text(&mut self, text: &str) -> String {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            SocketAddr::new(self.address(socket.ip()), socket.port()).to_string()
        } else if let Ok(address) = text.parse::<IpAddr>() {
            self.address(address).to_string()
        } else if WORDS.contains(&text) || text.is_empty() {
            text.to_owned()
        } else {
            self.name(text)
        }
    }

    fn name(&mut self, name: &str) -> String {
        // HAProxy's own frontend, by which its command line is known.
        if name == "GLOBAL" {
            return name.to_owned();
        }
        let next = self.names.len() + 1;
        let pseudonym = self
            .names
            .entry(name.to_owned())
            .or_insert_with(|| format!("name-{next}"));
        pseudonym.clone()
    }

    /// Another one under each key: `host-5c0f7a12`.
    fn identity(&mut self, kind: &str, name: &str) -> String {
        let hash = self.key.hash_one(name);
        let pseudonym = self.names.entry(name.to_owned());
        pseudonym.or_insert_with(|| format!("{kind}-{hash:016x}")).clone()
    }

    /// Loopback and the unspecified address are everybody's.
    fn address(&self, address: IpAddr) -> IpAddr {
        match address {
            address if address.is_loopback() || address.is_unspecified() => address,
            IpAddr::V4(v4) => {
                let bits = self.flipped(u128::from(v4.to_bits()), 32);
                IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)))
            }
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(self.flipped(v6.to_bits(), 128))),
        }
    }

    /// Each bit is flipped, or not, by the key and the bits before it.
    fn flipped(&self, bits: u128, length: u32) -> u128 {
        let mut flipped = 0;
        for place in 0..length {
            let before = bits.checked_shr(length - place).unwrap_or(0);
            let bit = bits >> (length - 1 - place) & 1;
            let flip = u128::from(self.key.hash_one((length, place, before)) & 1);
            flipped = flipped << 1 | (bit ^ flip);
        }
        flipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_shares_a_prefix_goes_on_sharing_one_of_the_same_length() {
        let redactor = Redactor::default();
        let bits = |text: &str| match redactor.address(text.parse().expect("an address")) {
            IpAddr::V4(v4) => v4.to_bits(),
            IpAddr::V6(_) => panic!("another family"),
        };
        let shared = |one: &str, other: &str| (bits(one) ^ bits(other)).leading_zeros();
        assert_eq!(shared("10.0.0.7", "10.0.0.7"), 32);
        assert_eq!(shared("10.0.0.7", "10.0.0.6"), 31);
        assert_eq!(shared("10.0.0.7", "10.0.1.7"), 23);
        assert_eq!(shared("10.0.0.7", "192.168.0.7"), 0);
        for kept in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
            let address: IpAddr = kept.parse().expect("an address");
            assert_eq!(redactor.address(address), address);
        }
    }

    /// The words that a type's variants without data are written as: serde names all of them when it is given another one. Variants with
    /// data are keys, and keys stay.
    fn variants<T: serde::de::DeserializeOwned>() -> Vec<String> {
        let error = serde_json::from_str::<T>("\"~\"").err().expect("no such variant");
        let text = error.to_string();
        let words: Vec<String> = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(words.first().map(String::as_str), Some("~"), "{text}");
        let alone = |word: &&String| serde_json::from_value::<T>(json!(word)).is_ok();
        words[1..].iter().filter(alone).cloned().collect()
    }

    #[test]
    fn every_word_of_the_format_s_own_stays() {
        use hatrace_core::{config, input, sock, stream, tcp, time, verdicts};
        let words = [
            variants::<stream::Access>(),
            variants::<stream::EndState>(),
            variants::<stream::Expiry>(),
            variants::<stream::FdUse>(),
            variants::<stream::ServiceKind>(),
            variants::<stream::Streamless>(),
            variants::<stream::Unreachable>(),
            variants::<sock::Claim>(),
            variants::<sock::Side>(),
            variants::<sock::Timer>(),
            variants::<config::Doubt>(),
            variants::<config::Limit>(),
            variants::<config::ProxyKind>(),
            variants::<config::ProxyMode>(),
            variants::<config::TimeoutKind>(),
            variants::<verdicts::By>(),
            variants::<input::ProcessChange>(),
            variants::<input::Gap>(),
            variants::<input::Input>(),
            variants::<time::Since>(),
            tcp::TcpState::ALL.map(|state| state.name().to_owned()).to_vec(),
        ];
        assert!(words.iter().flatten().count() > 60, "{words:?}");
        let missing: Vec<&String> = words
            .iter()
            .flatten()
            .filter(|word| !WORDS.contains(&word.as_str()))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn haproxy_s_own_words_keep_everything_but_who_is_meant() {
        let mut redactor = Redactor::default();
        let _ = redactor.redact(json!({ "server": "gandalf" }));
        let told = redactor.prose(
            "0x55d1: [12/Nov:03:12:00.1] id=7 proto=tcpv4 source=10.9.8.7:51234\n  frontend=shop (id=2 mode=http), listener=? (id=1) addr=10.0.0.1:443\n  server=gandalf (id=1) addr=ipv4@10.0.0.9:80 be=<NONE> sv=vault/gandalf gandalf flags=0x40",
        );
        for gone in ["shop", "gandalf", "vault", "10.9.8.7", "10.0.0.1", "10.0.0.9"] {
            assert!(!told.contains(gone), "{told}");
        }
        for kept in [
            "0x55d1:",
            "id=7",
            "proto=tcpv4",
            ":51234",
            "(id=2 mode=http), listener=? (id=1)",
            "flags=0x40",
            "be=<NONE>",
            "sv=name-",
        ] {
            assert!(told.contains(kept), "{kept}: {told}");
        }
    }

    #[test]
    fn two_recordings_are_told_apart_under_their_pseudonyms() {
        let header =
            json!({ "host": "lb1", "boot": "b1", "recording": "lb1-7", "context": { "host": "lb1" } });
        let (mut one, mut other) = (Redactor::default(), Redactor::default());
        let (first, second) = (one.redact(header.clone()), other.redact(header.clone()));
        for key in ["host", "boot", "recording"] {
            assert_ne!(first[key], header[key]);
            assert_ne!(first[key], second[key], "{key}");
        }
        assert_eq!(first["host"], first["context"]["host"]);
        assert_eq!(first, one.redact(header));
    }

    #[test]
    fn names_are_the_same_throughout_and_the_format_s_own_words_stay() {
        let mut redactor = Redactor::default();
        let redacted = redactor.redact(json!({
            "host": "lb1.example.org", "kernel": "6.18", "state": "FIN_WAIT2", "frontend": "shop", "backend": "secret",
            "sections": { "frontend shop": { "maxconn": 10 } }, "peer": "[2001:db8::7]:443", "why": "10.0.0.7 refused",
        }));
        let text = redacted.to_string();
        for gone in ["example", "shop", "secret", "2001:db8::7", "10.0.0.7"] {
            assert!(!text.contains(gone), "{text}");
        }
        assert_eq!(
            (&redacted["state"], &redacted["kernel"]),
            (&json!("FIN_WAIT2"), &json!("6.18"))
        );
        let shop = redacted["frontend"].as_str().expect("a name");
        assert!(
            redacted["sections"][format!("frontend {shop}")].is_object(),
            "{text}"
        );
        assert!(
            redacted["peer"]
                .as_str()
                .is_some_and(|peer| peer.ends_with("]:443")),
            "{text}"
        );
    }
}
