//! `logs`: lines read, counted and explained; followed as they come.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use hatrace_core::log::Tally;

use super::drive::Signals;
use super::unless_gone;
use crate::cli::LogsOptions;
use crate::error::Problem;
use crate::haproxy::log_formats;
use crate::logs::input::{From, Lines, Piece, Pieces};
use crate::logs::{Format, Line, Reader, Scratch};
use crate::view::logs::{self as view, Read};
use crate::view::out::Words;
use crate::view::{Format as As, Output, Page};

/// Lines that were not understood and are shown, at most.
const EXAMPLES: usize = 20;
/// Of each of them.
const WIDTH: usize = 400;

/// What is under way.
struct Count<'a> {
    reader: Reader,
    tally: Tally,
    read: Read,
    options: &'a LogsOptions,
    page: Page,
}

pub(super) async fn run(options: &LogsOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let sources = sources(options)?;
    let mut formats = Vec::new();
    for text in &options.formats {
        let wrong = |why| {
            Problem::usage(format!("--log-format: {why}")).remedy("--log-format '%ci:%cp [%t] %ft %b/%s %ts'")
        };
        formats.push(Format::parse("--log-format", text).map_err(wrong)?);
    }
    for (place, text) in log_formats(&options.configuration)? {
        match Format::parse(&place, &text) {
            Ok(format) => formats.push(format),
            Err(why) => words.say(format!("{place}: {why}: that format is not known")),
        }
    }
    let page = Page::on(&output, options.rows, crate::view::Selection::default());
    let mut count = Count {
        reader: Reader::new(formats),
        tally: Tally::default(),
        read: Read {
            files: sources.iter().map(name).collect(),
            ..Read::default()
        },
        options,
        page,
    };
    let mut signals = Signals::new()?;
    let pieces = Pieces::open(&sources, options.follow)?;
    if count.all(pieces, &mut signals, &mut output, words).await? {
        return Ok(());
    }
    let summary = count.tally.summary();
    let (read, page) = (&count.read, &count.page);
    unless_gone(match (options.output.format, options.csv) {
        (_, true) => output.draw(|out| view::write_csv(out, &summary)),
        (As::Json, _) => output.draw(|out| view::write_json(out, read, &summary, page)),
        (As::Text, _) => output.draw(|out| view::write(out, read, &summary, page)),
    })
    .map(|_| ())?;
    match read.failures.first() {
        Some(why) => Err(Problem::failed(why.clone())),
        None => Ok(()),
    }
}

fn sources(options: &LogsOptions) -> Result<Vec<From>, Problem> {
    if !options.files.is_empty() {
        return Ok(options.files.iter().map(|file| From::word(file)).collect());
    }
    if std::io::stdin().is_terminal() {
        return Err(Problem::usage("there is no log to read")
            .remedy("hatrace logs /var/log/haproxy.log")
            .remedy("journalctl -u haproxy -o short-iso | hatrace logs"));
    }
    Ok(vec![From::Stdin])
}

fn name(source: &From) -> String {
    match source {
        From::Stdin => "standard input".to_owned(),
        From::File(path) => path.display().to_string(),
    }
}

impl Count<'_> {
    /// Reads to the end, or until it is enough; whether nobody is there any more to be told.
    async fn all(
        &mut self,
        mut pieces: Pieces,
        signals: &mut Signals,
        output: &mut Output,
        words: Words,
    ) -> Result<bool, Problem> {
        let mut lines = Lines::default();
        let mut progress = Progress::new(pieces.size);
        let mut gone = false;
        loop {
            let piece = tokio::select! {
                biased;
                () = signals.wait(None) => break,
                piece = pieces.next() => piece,
            };
            let Some(piece) = piece else { break };
            match piece {
                Piece::Bytes(bytes, at) => {
                    let mut told = Vec::new();
                    lines.take(&bytes, |line| self.line(line, &mut told));
                    gone = self.tell(output, &told)?;
                    progress.draw(at, words);
                }
                Piece::End => {
                    let mut told = Vec::new();
                    lines.end(|line| self.line(line, &mut told));
                    gone = self.tell(output, &told)?;
                }
                Piece::Failed(problem) => self.read.failures.push(problem.to_string()),
            }
            if gone {
                break;
            }
        }
        progress.clear(words);
        self.read.too_long = lines.too_long;
        self.read.lines += lines.too_long;
        Ok(gone)
    }

    fn line(&mut self, line: &[u8], told: &mut Vec<u8>) {
        let mut scratch = Scratch::default();
        self.read.lines += 1;
        match self.reader.read(line, &mut scratch) {
            Line::Session(entry) => {
                self.tally.session(&entry);
                if self.options.follow {
                    // A writer of memory doesn't fail.
                    let _ = match self.options.output.format {
                        As::Json => view::write_entry(told, &entry),
                        As::Text => match view::line(&entry, &self.page) {
                            Some(line) => std::io::Write::write_all(told, (line + "\n").as_bytes()),
                            None => Ok(()),
                        },
                    };
                }
            }
            Line::Connection(entry) => self.tally.connection(&entry),
            Line::Message(_) => self.read.messages += 1,
            Line::Blank => self.read.lines -= 1,
            Line::Unknown(line) => {
                self.read.unknown += 1;
                if self.options.unparsed && self.read.examples.len() < EXAMPLES {
                    let some = line.get(..line.len().min(WIDTH)).unwrap_or_default();
                    self.read
                        .examples
                        .push(String::from_utf8_lossy(some).into_owned());
                }
            }
        }
    }

    /// Whether nobody reads it any more.
    fn tell(&self, output: &mut Output, told: &[u8]) -> Result<bool, Problem> {
        if told.is_empty() || self.options.csv {
            return Ok(false);
        }
        unless_gone(output.draw(|out| out.write_all(told))).map(|flow| flow.is_break())
    }
}

/// A bar on stderr, where that is a terminal and the end is known.
struct Progress {
    size: Option<u64>,
    begun: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    fn new(size: Option<u64>) -> Self {
        Self {
            size: size.filter(|_| std::io::stderr().is_terminal()),
            begun: Instant::now(),
            drawn: None,
        }
    }

    fn draw(&mut self, at: u64, words: Words) {
        const PATIENCE: Duration = Duration::from_millis(300);
        let Some(size) = self.size.filter(|size| *size > 0) else {
            return;
        };
        let last = self.drawn.unwrap_or(self.begun);
        if last.elapsed() < PATIENCE {
            return;
        }
        self.drawn = Some(Instant::now());
        let percent = u128::from(at.min(size)) * 100 / u128::from(size);
        words.draw(|out| write!(out, "\rreading: {percent} % of {} MiB\x1b[K", size >> 20));
    }

    fn clear(&self, words: Words) {
        if self.drawn.is_some() {
            words.draw(|out| write!(out, "\r\x1b[K"));
        }
    }
}
