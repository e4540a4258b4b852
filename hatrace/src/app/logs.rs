//! `logs`: lines read, counted and explained; followed as they come.

mod count;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::count::{Count, Evidence, Workers};
use super::drive::Signals;
use super::replay::{Wanted, replay_for};
use super::unless_gone;
use crate::cli::LogsOptions;
use crate::error::Problem;
use crate::haproxy::log_formats;
use crate::logs::input::{From, Piece, Pieces};
use crate::logs::{Format, named};
use crate::view::logs as view;
use crate::view::out::Words;
use crate::view::{Format as As, Output, Page};

pub(super) async fn run(options: &LogsOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let sources = sources(options)?;
    let formats = formats(options, words)?;
    let evidence = evidence(options)?;
    let mut signals = Signals::new()?;
    let pieces = Pieces::open(&sources, options.follow)?;
    let page = Page::on(&output, options.seen.rows, crate::view::Selection::default());
    let counted = if options.follow {
        follow(
            Count::new(&formats, options, &evidence),
            pieces,
            &mut signals,
            &mut output,
            &page,
        )
        .await?
    } else {
        Some(
            all(
                Workers::start(&formats, options, &evidence),
                pieces,
                &mut signals,
                words,
            )
            .await,
        )
    };
    let Some(Count {
        mut tally,
        mut read,
        lines,
        ..
    }) = counted
    else {
        return Ok(());
    };
    read.kernel = evidence
        .iter()
        .zip(lines)
        .map(|(seen, lines)| seen.hold(lines))
        .collect();
    read.files = sources.iter().map(name).collect();
    let summary = tally.summary();
    unless_gone(match (options.output.format, options.csv) {
        (_, true) => output.draw(|out| view::write_csv(out, &summary)),
        (As::Json, _) => output.draw(|out| view::write_json(out, &read, &summary, &page)),
        (As::Text, _) => output.draw(|out| view::write(out, &read, &summary, &page)),
    })
    .map(|_| ())?;
    match read.failures.first() {
        Some(why) => Err(Problem::failed(why.clone())),
        None => Ok(()),
    }
}

/// What the kernel saw, by recordings.
fn evidence(options: &LogsOptions) -> Result<Arc<Vec<Evidence>>, Problem> {
    if options.seen.from.is_empty() {
        return Ok(Arc::new(Vec::new()));
    }
    let wanted = Wanted {
        stories: true,
        ..Wanted::default()
    };
    let stories = replay_for(&options.seen, wanted)?.stories.into_iter();
    Ok(Arc::new(
        stories
            .map(|(stories, context, end)| Evidence {
                stories,
                context,
                end,
            })
            .collect(),
    ))
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

/// Those that were given, and those of the configuration.
fn formats(options: &LogsOptions, words: Words) -> Result<Vec<Format>, Problem> {
    let mut formats = Vec::new();
    for text in &options.formats {
        let wrong = |why| {
            Problem::usage(format!("--log-format: {why}")).remedy("--log-format '%ci:%cp [%t] %ft %b/%s %ts'")
        };
        formats.push(Format::parse("--log-format", text).map_err(wrong)?);
    }
    for (place, text) in log_formats(&options.configuration, &named())? {
        match Format::parse(&place, &text) {
            Ok(format) => formats.push(format),
            Err(why) => words.say(format!("{place}: {why}: that format is not known")),
        }
    }
    Ok(formats)
}

/// Everything there is, counted by several at once.
async fn all(mut workers: Workers, mut pieces: Pieces, signals: &mut Signals, words: Words) -> Count {
    let mut progress = Progress::new(pieces.size);
    let (mut too_long, mut failures) = (0, Vec::new());
    loop {
        let piece = tokio::select! {
            biased;
            () = signals.wait(None) => break,
            piece = pieces.next() => piece,
        };
        match piece {
            Some(Piece::Block(block, at)) => {
                workers.give(block);
                progress.draw(at, words);
            }
            Some(Piece::TooLong) => too_long += 1,
            Some(Piece::Failed(problem)) => failures.push(problem.what),
            None => break,
        }
    }
    let mut count = workers.finish();
    progress.clear(words);
    count.read.failures = failures;
    count.read.too_long += too_long;
    count.read.lines += too_long;
    count
}

/// As it comes: what did not end as it should is told at once. `None`: nobody reads it any more.
async fn follow(
    mut count: Count,
    mut pieces: Pieces,
    signals: &mut Signals,
    output: &mut Output,
    page: &Page,
) -> Result<Option<Count>, Problem> {
    loop {
        let piece = tokio::select! {
            biased;
            () = signals.wait(None) => break,
            piece = pieces.next() => piece,
        };
        match piece {
            Some(Piece::Block(block, _)) => {
                let told = count.block_told(&block, page);
                if !told.is_empty() && unless_gone(output.draw(|out| out.write_all(&told)))?.is_break() {
                    return Ok(None);
                }
            }
            Some(Piece::TooLong) => {
                count.read.too_long += 1;
                count.read.lines += 1;
            }
            Some(Piece::Failed(problem)) => count.read.failures.push(problem.what),
            None => break,
        }
    }
    Ok(Some(count))
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
