//! One session as it is followed: when, where, who, how it ended and what that means; and what the kernel saw of it.

use std::io::{self, Write};

use hatrace_core::ending::{self, Severity};
use hatrace_core::log::{Entry, Saw, Sockets, Told};
use serde_json::{Value, json};

use super::data::entry_json;
use super::moment;
use crate::view::out::Format;
use crate::view::page::Page;
use crate::view::paint::Ink;
use crate::view::{units, words};

/// A session, ready to be told.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// When, where, who, and the code.
    head: String,
    /// The same, explained, where it didn't end as it should.
    line: Option<String>,
    /// For programs.
    object: Option<Value>,
}

impl Prepared {
    /// As it is going to be told.
    #[must_use]
    pub fn of(entry: &Entry<'_>, page: &Page, format: Format) -> Self {
        match format {
            Format::Json => Self {
                head: String::new(),
                line: None,
                object: Some(entry_json(entry)),
            },
            Format::Text => Self {
                head: head(entry),
                line: line(entry, page),
                object: None,
            },
        }
    }
}

/// A session alone, as it comes: every one for programs, for people those that didn't end as they should.
///
/// # Errors
/// The writer's.
pub fn alone(out: &mut dyn Write, entry: &Entry<'_>, page: &Page, format: Format) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{}", entry_json(entry)),
        Format::Text => line(entry, page).map_or(Ok(()), |line| writeln!(out, "{line}")),
    }
}

/// A session, or what became of its sockets later.
///
/// # Errors
/// The writer's.
pub fn told(out: &mut dyn Write, told: &Told<Prepared>, page: &Page, format: Format) -> io::Result<()> {
    match (told, format) {
        (
            Told::Line {
                with,
                sockets,
                contradiction,
            },
            Format::Json,
        ) => {
            let mut object = with.object.clone().unwrap_or_default();
            if let Value::Object(object) = &mut object {
                object.insert(
                    "kernel".to_owned(),
                    sockets_json(*sockets, contradiction.as_deref()),
                );
            }
            writeln!(out, "{object}")
        }
        (
            Told::Line {
                with,
                sockets,
                contradiction,
            },
            Format::Text,
        ) => {
            let Some(line) = with.line.as_ref().or(contradiction.as_ref().map(|_| &with.head)) else {
                return Ok(());
            };
            writeln!(out, "{line}")?;
            if let Some(kernel) = beside(*sockets) {
                writeln!(
                    out,
                    "    {}",
                    page.paint.dab(Ink::Faint, &format!("the kernel: {kernel}"))
                )?;
            }
            match contradiction {
                Some(but) => writeln!(
                    out,
                    "    {}",
                    page.paint.dab(Ink::Bad, &format!("they disagree: {but}"))
                ),
                None => Ok(()),
            }
        }
        (
            Told::Outlived {
                with,
                side,
                after,
                open,
            },
            Format::Json,
        ) => {
            let mut object = with.object.clone().unwrap_or_default();
            if let Value::Object(object) = &mut object {
                object.insert("view".to_owned(), json!("log-line-outlived"));
                object.insert("side".to_owned(), json!(side.to_string()));
                object.insert("after_s".to_owned(), json!(units::seconds(*after)));
                object.insert("still_there".to_owned(), json!(open));
            }
            writeln!(out, "{object}")
        }
        (
            Told::Outlived {
                with,
                side,
                after,
                open,
            },
            Format::Text,
        ) => {
            let text = format!(
                "{}: its {side}'s socket {} {} after that line",
                with.head,
                if *open {
                    "is there still,"
                } else {
                    "was there until"
                },
                units::words(*after)
            );
            writeln!(out, "{}", page.paint.dab(Ink::Warn, &text))
        }
    }
}

/// Both sockets, in words; `None`: neither is known.
pub(super) fn beside(sockets: Sockets) -> Option<String> {
    let side = |name: &str, saw: Option<Saw>| Some(format!("{name}: {}", saw?.words()));
    let told: Vec<String> = [side("client's socket", sockets.0), side("server's", sockets.1)]
        .into_iter()
        .flatten()
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn sockets_json(sockets: Sockets, contradiction: Option<&str>) -> Value {
    json!({
        "client": sockets.0.map(Saw::words),
        "server": sockets.1.map(Saw::words),
        "contradiction": contradiction,
    })
}

/// `2026-11-20 09:49:15 fe be/s1 10.0.0.7:5000 sD`.
fn head(entry: &Entry<'_>) -> String {
    let code = entry.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
    format!("{} {code}", who(entry))
}

fn who(entry: &Entry<'_>) -> String {
    let text = |bytes: &[u8]| words::clean(&String::from_utf8_lossy(bytes));
    let at = entry.ended().map_or_else(|| "-".to_owned(), moment);
    let client = match (entry.client, entry.client_port) {
        (Some(ip), Some(port)) => std::net::SocketAddr::new(ip, port).to_string(),
        (Some(ip), None) => ip.to_string(),
        (None, _) => "-".to_owned(),
    };
    format!(
        "{at} {} {}/{} {client}",
        text(entry.frontend),
        text(entry.backend),
        text(entry.server)
    )
}

/// What didn't end as it should, explained.
#[must_use]
pub fn line(entry: &Entry<'_>, page: &Page) -> Option<String> {
    let code = entry.code.filter(|code| code.severity() >= Severity::Anomaly)?;
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
    Some(format!("{} {code}{told}", who(entry)))
}
