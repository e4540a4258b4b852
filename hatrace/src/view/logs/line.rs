//! One session as it is followed.

use hatrace_core::ending::{self, Severity};
use hatrace_core::log::Entry;

use super::moment;
use crate::view::page::Page;
use crate::view::paint::Ink;
use crate::view::words;

/// One session as it is followed: when, where, who, how it ended and what that means.
#[must_use]
pub fn line(entry: &Entry<'_>, page: &Page) -> Option<String> {
    let code = entry.code.filter(|code| code.severity() >= Severity::Anomaly)?;
    let text = |bytes: &[u8]| words::clean(&String::from_utf8_lossy(bytes));
    let at = entry.ended().map_or_else(|| "-".to_owned(), moment);
    let client = match (entry.client, entry.client_port) {
        (Some(ip), Some(port)) => std::net::SocketAddr::new(ip, port).to_string(),
        (Some(ip), None) => ip.to_string(),
        (None, _) => "-".to_owned(),
    };
    let ink = if code.severity() == Severity::Alarm {
        Ink::Bad
    } else {
        Ink::Warn
    };
    let code = page.paint.dab(ink, &code.to_string()).to_string() + "  " + &code.meaning();
    // What the layers saw, where the format has it: the sessions' own first.
    let seen = ending::events(entry.term_events).unwrap_or_default();
    let told: Vec<String> = seen
        .iter()
        .filter(|event| {
            event.kind != 1 && matches!(event.layer, ending::Layer::Session | ending::Layer::Socket)
        })
        .map(ToString::to_string)
        .collect();
    let told = if told.is_empty() {
        String::new()
    } else {
        format!(" ({})", told.join(", "))
    };
    Some(format!(
        "{at} {} {}/{} {client} {code}{told}",
        text(entry.frontend),
        text(entry.backend),
        text(entry.server)
    ))
}
