//! Members understood line by line, on a thread of their own: unpacking and parsing take most of what a long recording takes.

use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};

use hatrace_core::input::Input;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::lines::{Header, Line, What};
use super::members::Members;
use super::migrate::Migration;

/// Lines that are handed over at once, and how often that may be ahead of the reader: little enough to stay in the cache.
const SOME: usize = 256;
const AHEAD: usize = 4;

/// A line of a member.
#[derive(Debug)]
pub(super) enum Understood {
    /// Something told.
    Line(Box<Line>),
    /// A member's header: its number.
    Header(u64),
    /// Nothing that can be understood.
    Nothing,
}

/// What comes from the thread.
pub(super) enum Batch {
    /// Lines of a member.
    Lines {
        /// Those.
        lines: Vec<Understood>,
        /// With them it begins.
        first: bool,
    },
    /// That was all; so many bytes were in no whole member.
    End {
        /// Those.
        lost: u64,
    },
}

/// One line; `migration`: the way from its format to today's.
pub(super) fn understand(line: &[u8], migration: Option<&Migration>) -> Understood {
    if let Some(line) = modern::<Line>(line, migration, Migration::line) {
        return match &line.what {
            What::Input(Input::Counts(counts)) | What::Again(Input::Counts(counts))
                if !counts.is_plausible() =>
            {
                Understood::Nothing
            }
            _ => Understood::Line(Box::new(line)),
        };
    }
    match modern::<Header>(line, migration, Migration::header) {
        Some(header) => Understood::Header(header.member),
        None => Understood::Nothing,
    }
}

fn modern<T: DeserializeOwned>(
    line: &[u8],
    migration: Option<&Migration>,
    step: impl Fn(&Migration, Value) -> Value,
) -> Option<T> {
    match migration {
        None => serde_json::from_slice(line).ok(),
        Some(migration) => serde_json::from_value(step(migration, serde_json::from_slice(line).ok()?)).ok(),
    }
}

/// Goes through the members behind `first`. Ends by itself when nobody listens any more.
pub(super) fn start(members: Members, first: Vec<u8>, migration: Option<Migration>) -> Receiver<Batch> {
    let (send, receive) = sync_channel(AHEAD);
    std::thread::spawn(move || run(members, first, migration.as_ref(), &send));
    receive
}

fn run(mut members: Members, mut member: Vec<u8>, migration: Option<&Migration>, send: &SyncSender<Batch>) {
    loop {
        if tell(&member, migration, send).is_err() {
            return;
        }
        match members.next_into(&mut member) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => {
                members.lost += 1;
                break;
            }
        }
    }
    let _ = send.send(Batch::End { lost: members.lost });
}

/// A member, some lines at a time.
fn tell(
    member: &[u8],
    migration: Option<&Migration>,
    send: &SyncSender<Batch>,
) -> Result<(), SendError<Batch>> {
    let mut lines = member
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| understand(line, migration));
    let mut first = true;
    loop {
        let some: Vec<Understood> = lines.by_ref().take(SOME).collect();
        if some.is_empty() {
            return Ok(());
        }
        send.send(Batch::Lines { lines: some, first })?;
        first = false;
    }
}
