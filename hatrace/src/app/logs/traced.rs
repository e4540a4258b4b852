//! Lines as they come, each held against what the kernel sees of its sockets meanwhile.

use std::ops::ControlFlow;
use std::task::Poll;
use std::time::{Duration, Instant};

use hatrace_core::config::Configuration;
use hatrace_core::log::{Following, Stories};
use hatrace_core::time::Mono;

use super::count::Count;
use crate::app::drive::{Signals, Stop, drive, look_at};
use crate::app::record::close;
use crate::app::source::Watch;
use crate::app::tap::Tap;
use crate::app::unless_gone;
use crate::cli::LogsOptions;
use crate::clock;
use crate::error::Problem;
use crate::logs::input::{Piece, Pieces};
use crate::port::{Context, Depth};
use crate::view::logs::{self as view, Kernel, Prepared};
use crate::view::out::Words;
use crate::view::{Output, OutputError, Page};

/// For how long the story of a connection that is over is remembered: its line may be late.
const HORIZON: Duration = Duration::from_secs(120);
/// Lines are read for so long at most, then the kernel is looked at again.
const TURN: Duration = Duration::from_millis(50);

/// Follows to the end; `None`: nobody reads what is told any more.
#[expect(clippy::too_many_arguments, reason = "what is read, and where it goes")]
pub(super) async fn run(
    options: &LogsOptions,
    count: Count,
    pieces: Pieces,
    signals: &mut Signals,
    output: &mut Output,
    page: &Page,
    configured: Option<Configuration>,
    words: Words,
) -> Result<Option<Count>, Problem> {
    let mut watch = Watch::begin(&options.seen, words)?;
    watch.engine.watch_stories(Some(HORIZON), configured.as_ref());
    watch.open().await;
    look_at(&mut watch, Depth::Full)?;
    words.say("attached; each line is held against the kernel; Ctrl-C ends with a summary");
    let mut held = Against {
        following: Following::new(clock::now()),
        count,
        pieces,
        over: false,
        csv: options.csv,
    };
    let stop = drive(
        &mut watch,
        signals,
        options.seen.duration,
        |engine, context, _| {
            held.lines(engine, page);
            let wrote = unless_gone(held.tell(output, engine, context, page, false))?;
            Ok(if held.over { ControlFlow::Break(()) } else { wrote })
        },
    )
    .await?;
    if stop == Stop::OutputGone && !held.over {
        close(&mut watch, words)?;
        return Ok(None);
    }
    if stop == Stop::HaproxyGone {
        words.say("every HAProxy process that was followed has ended");
    }
    held.last(&mut watch, output, page).await?;
    close(&mut watch, words)?;
    Ok(Some(held.finish(&watch)))
}

/// Lines, and what they are held against.
struct Against {
    following: Following<Prepared>,
    count: Count,
    pieces: Pieces,
    /// No more lines will come.
    over: bool,
    csv: bool,
}

impl Against {
    /// Takes in the lines that have come.
    fn lines(&mut self, engine: &Tap, page: &Page) {
        let (now, begun) = (clock::now(), Instant::now());
        let none = Stories::default();
        let stories = engine.stories().unwrap_or(&none);
        while begun.elapsed() < TURN {
            match self.pieces.ready() {
                Poll::Ready(Some(Piece::Block(block, _))) => {
                    let following = &mut self.following;
                    let format = self.count.format();
                    self.count.block(&block, |entry| {
                        following.take(now, entry, stories, Prepared::of(entry, page, format));
                    });
                }
                Poll::Ready(Some(piece)) => self.count.without_lines(piece),
                Poll::Ready(None) => {
                    self.over = true;
                    return;
                }
                Poll::Pending => return,
            }
        }
    }

    /// Tells what can be told by now.
    fn tell(
        &mut self,
        output: &mut Output,
        engine: &Tap,
        context: &Context,
        page: &Page,
        end: bool,
    ) -> Result<(), OutputError> {
        let Some(stories) = engine.stories() else {
            return Ok(());
        };
        let wall = |at: Mono| context.wall(at).as_millisecond();
        let told = self.following.step(clock::now(), stories, wall, end);
        if told.is_empty() || self.csv {
            return Ok(());
        }
        let format = self.count.format();
        output.draw(|out| told.iter().try_for_each(|one| view::told(out, one, page, format)))
    }

    /// What was written or seen last has its time to come, and is told.
    async fn last(&mut self, watch: &mut Watch, output: &mut Output, page: &Page) -> Result<(), Problem> {
        tokio::time::sleep(2 * TURN).await;
        if !watch.source.pids().is_empty() {
            look_at(watch, Depth::Full)?;
        }
        self.lines(&watch.engine, page);
        unless_gone(self.tell(output, &watch.engine, &watch.context, page, true)).map(|_| ())
    }

    fn finish(mut self, watch: &Watch) -> Count {
        let stories = watch.engine.stories();
        self.count.read.kernel.push(Kernel {
            host: watch.context.host.clone(),
            stories: stories.map_or(0, Stories::seen),
            whole: stories.is_some_and(|stories| stories.whole),
            lost: stories.map_or(0, |stories| stories.lost),
            held: self.following.held,
        });
        self.count
    }
}
