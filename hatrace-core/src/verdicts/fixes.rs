//! What would free sockets: the line of the configuration that decides, and where it belongs.

use std::time::Duration;

use super::finding::Fix;
use super::scene::Scene;
use crate::config::{Limit, Proxy, ProxyMode, TimeoutKind};
use crate::snapshot::Lingering;
use crate::sock::Side;

/// How long a half-closed connection needs at most: the guides' value.
pub const FIN: Duration = Duration::from_secs(30);
/// A `-fin` timeout up to this is short enough.
const SHORT: Duration = Duration::from_secs(120);

/// The timeout that ends a half-closed connection, where it isn't set to something short already.
#[must_use]
pub fn close_sooner(row: &Lingering, scene: &Scene<'_>) -> Option<Fix> {
    let kind = match row.side {
        Side::Client => TimeoutKind::ClientFin,
        Side::Server => TimeoutKind::ServerFin,
        Side::Control | Side::Unknown => return None,
    };
    // What ends it soon anyway needs no line.
    if row.clock.certain && row.clock.length.is_some_and(|length| length <= FIN) {
        return None;
    }
    let Some(proxy) = scene.proxy(row) else {
        let section = if row.side == Side::Client {
            "frontend"
        } else {
            "backend"
        };
        let name = row.naming.proxy.as_deref();
        return Some(Fix::Do(match name {
            Some(name) => format!("set {} 30s in {section} {name}", kind.name()),
            None => format!("set {} 30s in the {section} of these connections", kind.name()),
        }));
    };
    match proxy.timeout(kind).map(|set| set.value) {
        // Held in HTTP mode: upgraded. Measured: 2.6 ends it by the `-fin` timeout, 3.0 and later don't.
        _ if proxy.mode.value == ProxyMode::Http => Some(Fix::Do(format!(
            "shorten `timeout tunnel` in the backend of these connections: they were upgraded from HTTP, and from HAProxy 3.0 on {} doesn't end such ones (2.6: {} 30s in {})",
            kind.name(),
            kind.name(),
            proxy.section()
        ))),
        Some(Limit::After(length)) if length <= SHORT => None,
        _ => Some(timeout(proxy, kind, "30s")),
    }
}

/// A timeout to write into a section, or to replace the line that sets it with.
#[must_use]
pub fn timeout(proxy: &Proxy, kind: TimeoutKind, value: &str) -> Fix {
    let own = proxy.timeout(kind).filter(|set| !set.inherited);
    Fix::Write {
        line: format!("{} {value}", kind.name()),
        section: proxy.section(),
        place: own.map_or_else(|| proxy.place.clone(), |set| set.place.clone()),
    }
}

/// An option to switch on.
#[must_use]
pub fn option(proxy: &Proxy, option: &str) -> Fix {
    Fix::Write {
        line: format!("option {option}"),
        section: proxy.section(),
        place: proxy.place.clone(),
    }
}
