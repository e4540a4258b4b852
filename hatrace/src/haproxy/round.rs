//! A round of questions to one process: the streams in the short form, then what only some descriptors are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hatrace_core::ids::Fd;
use hatrace_core::stream::{FdLine, ServerAddress, Service, Stream};

use super::parse::{Names, fd_line, servers_conn, services, stream};
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
    /// The descriptors.
    pub fds: Vec<FdLine>,
    /// The servers' addresses.
    pub servers: Option<Vec<ServerAddress>>,
    /// The figures.
    pub figures: Option<Vec<Service>>,
}

/// Descriptors in one question: as many as a line of HAProxy's input buffer holds with ease.
const AT_ONCE: usize = 64;
/// Descriptors asked about in one round, whatever the time allows.
const DESCRIPTORS: usize = 1024;

impl Reach {
    /// Asks. What costs HAProxy's threads a stop is asked for no longer than `allowed`; the rest waits for the next round.
    pub async fn round(&mut self, questions: &Questions, allowed: Duration, names: &mut Names) -> Answers {
        let mut answers = Answers::default();
        let before = self.asking().took;
        if questions.streams {
            answers.streams = self.streams(names).await;
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
