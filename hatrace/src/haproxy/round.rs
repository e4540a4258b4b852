//! A round of questions to one process: the streams in the short form, then what only some descriptors are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hatrace_core::ids::{Fd, SessionPtr};
use hatrace_core::stream::{Detail, FdLine, ServerAddress, Service, Stream};

use super::parse::{Names, fd_line, long_session, servers_conn, services, stream};
use super::reach::Reach;

/// What is to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// All streams, in the short form.
    pub streams: bool,
    /// Descriptors to be asked about if no stream has them, the most important first.
    pub sockets: Vec<Fd>,
    /// Descriptors of listeners whose frontend isn't known.
    pub listeners: Vec<Fd>,
    /// The servers' addresses.
    pub servers: bool,
    /// The figures of `show stat`.
    pub figures: bool,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The streams; `None`: not asked, or the answer didn't come to its end.
    pub streams: Option<Vec<Stream>>,
    /// Single streams at length.
    pub details: Vec<Detail>,
    /// The descriptors that were asked about one by one.
    pub asked: BTreeSet<Fd>,
    /// What was said of them.
    pub fds: Vec<FdLine>,
    /// The servers' addresses.
    pub servers: Option<Vec<ServerAddress>>,
    /// The figures.
    pub figures: Option<Vec<Service>>,
}

/// Descriptors in one question: as many as a line of HAProxy's input buffer holds with ease.
const AT_ONCE: usize = 64;
/// Streams asked about at length in one round: each walks all of HAProxy's lists.
const AT_LENGTH: usize = 10;
/// Descriptors asked about in one round, whatever the time allows.
const DESCRIPTORS: usize = 1024;

/// The streams of the sockets that are wanted most, once each.
fn oldest(sockets: &[Fd], streams: &[Stream]) -> Vec<SessionPtr> {
    let mut by_fd: BTreeMap<Fd, SessionPtr> = BTreeMap::new();
    for stream in streams.iter().filter(|stream| !stream.is_cli()) {
        for fd in [stream.front.fd, stream.back.fd].into_iter().flatten() {
            by_fd.entry(fd.fd).or_insert(stream.ptr);
        }
    }
    let mut found = Vec::new();
    for ptr in sockets.iter().filter_map(|fd| by_fd.get(fd)) {
        if !found.contains(ptr) {
            found.push(*ptr);
        }
        if found.len() == AT_LENGTH {
            break;
        }
    }
    found
}

impl Reach {
    /// Asks. What costs HAProxy's threads a stop is asked for no longer than `allowed`; the rest waits for the next round.
    pub async fn round(&mut self, questions: &Questions, allowed: Duration, names: &mut Names) -> Answers {
        let mut answers = Answers::default();
        let before = self.asking().took;
        if questions.streams {
            answers.streams = self.streams(names).await;
        }
        for ptr in oldest(&questions.sockets, answers.streams.as_deref().unwrap_or_default()) {
            if self.asking().took.saturating_sub(before) > allowed || !self.ready() {
                break;
            }
            answers.details.extend(self.at_length(ptr, names).await);
        }
        let has_stream: BTreeSet<Fd> = answers
            .streams
            .iter()
            .flatten()
            .flat_map(|stream| [stream.front.fd, stream.back.fd])
            .flatten()
            .map(|fd| fd.fd)
            .collect();
        let mut wanted: Vec<Fd> = questions.listeners.clone();
        if answers.streams.is_some() || !questions.streams {
            wanted.extend(questions.sockets.iter().filter(|fd| !has_stream.contains(fd)));
        }
        for some in wanted
            .iter()
            .take(DESCRIPTORS)
            .collect::<Vec<_>>()
            .chunks(AT_ONCE)
        {
            if self.asking().took.saturating_sub(before) > allowed || !self.ready() {
                break;
            }
            answers.asked.extend(some.iter().copied());
            answers.fds.extend(self.descriptors(some, names).await);
        }
        if questions.servers {
            answers.servers = self
                .text("show servers conn")
                .await
                .map(|text| servers_conn(&text, names));
        }
        if questions.figures {
            answers.figures = self.text("show stat").await.map(|text| services(&text, names));
        }
        answers
    }

    async fn streams(&mut self, names: &mut Names) -> Option<Vec<Stream>> {
        let mut found: Vec<Stream> = Vec::new();
        let mut take = |line: &str| {
            found.extend(stream(line, names));
            true
        };
        // Our own question is a stream as well: an answer without any was cut short.
        let whole = self.ask(&["show sess"], &mut take).await;
        (whole && !found.is_empty()).then_some(found)
    }

    async fn at_length(&mut self, ptr: SessionPtr, names: &mut Names) -> Option<Detail> {
        let mut text = String::new();
        let mut take = |line: &str| {
            text.push_str(line);
            text.push('\n');
            true
        };
        let whole = self.ask(&[&format!("show sess {ptr}")], &mut take).await;
        long_session(&text, names).filter(|detail| whole && detail.ptr == ptr)
    }

    async fn descriptors(&mut self, fds: &[&Fd], names: &mut Names) -> Vec<FdLine> {
        let commands: Vec<String> = fds.iter().map(|fd| format!("show fd {}", fd.0)).collect();
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        let mut found = BTreeMap::new();
        let mut take = |line: &str| {
            if let Some(line) = fd_line(line, names) {
                found.insert(line.fd, line);
            }
            true
        };
        self.ask(&commands, &mut take).await;
        found.into_values().collect()
    }

    /// An answer as text: what comes behind `show info`'s empty line.
    async fn text(&mut self, command: &str) -> Option<String> {
        let mut text = String::new();
        let mut heading = false;
        let mut take = |line: &str| {
            heading |= line.starts_with('#');
            if heading {
                text.push_str(line);
                text.push('\n');
            }
            true
        };
        self.ask(&[command], &mut take).await.then_some(text)
    }
}
