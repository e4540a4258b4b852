//! The loop: pulls from the source, pushes into the engine, until something says that it is enough.

use std::ops::ControlFlow;
use std::time::Duration;

use hatrace_core::event::Event;
use hatrace_core::input::{Gap, Input};
use hatrace_core::time::Mono;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior};

use super::source::Watch;
use super::tap::Tap;
use crate::clock;
use crate::error::Problem;
use crate::port::{Context, Depth, Source, Stamped};

/// How often the source is asked for what has come by itself. The ring is written without wake-ups, so this is
/// also how late a line of the stream can be.
const BEAT: Duration = Duration::from_millis(100);

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time asked for is over.
    Elapsed,
    /// Ctrl-C, SIGTERM or SIGHUP.
    Signalled,
    /// Every HAProxy process that was followed has ended.
    HaproxyGone,
    /// Nobody reads what is printed any more.
    OutputGone,
}

/// The signals that end a watch; made before anything is attached, so that none is missed.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the three signals over.
    ///
    /// # Errors
    /// As the runtime says.
    pub fn new() -> Result<Self, Problem> {
        let take =
            |kind| signal(kind).map_err(|error| Problem::failed(format!("taking a signal over: {error}")));
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    /// Waits for one of them, or for `length` to be over.
    pub async fn wait(&mut self, length: Option<Duration>) {
        tokio::select! {
            () = self.any() => {}
            () = tokio::time::sleep(length.unwrap_or(Duration::MAX)) => {}
        }
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// One look: what the source has, into the engine.
///
/// # Errors
/// What ends the watch.
pub fn look(source: &mut dyn Source, engine: &mut Tap, depth: Depth) -> Result<(), Problem> {
    let mut inputs: Vec<Stamped> = Vec::new();
    source.look(clock::now(), depth, &mut inputs)?;
    for (at, input) in inputs {
        engine.handle(at, input);
    }
    engine.handle(clock::now(), Input::Tick);
    Ok(())
}

/// The same for a watch.
///
/// # Errors
/// What ends the watch.
pub fn look_at(watch: &mut Watch, depth: Depth) -> Result<(), Problem> {
    look(watch.source.as_mut(), &mut watch.engine, depth)
}

/// The surveys of a watch: one at its beginning, one now and then, one at its end.
struct Surveys {
    next: Mono,
    apart: Duration,
}

impl Surveys {
    /// What is wrong without closing lasts: it need not be looked for often. But more than once.
    const APART: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(10);
    /// After one that took a millisecond, this many of silence at least.
    const SILENCE: u32 = 200;

    fn of(length: Option<Duration>) -> Self {
        let apart = length.map_or(*Self::APART.end(), |length| length / 4);
        Self {
            next: clock::now(),
            apart: apart.clamp(*Self::APART.start(), *Self::APART.end()),
        }
    }

    fn due(&mut self, now: Mono, watch: &mut Watch) {
        if now >= self.next {
            survey(watch, false);
            let took = clock::now().since(now);
            self.next = now.plus(self.apart.max(took * Self::SILENCE));
        }
    }
}

/// One look at everything HAProxy has open, into the engine.
pub fn survey(watch: &mut Watch, thorough: bool) {
    let now = clock::now();
    let input = match watch.source.survey(thorough) {
        Ok(survey) => Input::Survey(Box::new(survey)),
        Err(why) => Input::Gap(Gap::SweepFailed { why }),
    };
    watch.engine.handle(now, input);
}

/// Runs until `length` is over, a signal comes, HAProxy is gone, or `on_beat` has enough; it is called after
/// each look with what has happened since the last. A last, full look is taken before it returns.
///
/// # Errors
/// What the source or `on_beat` can't go on after.
pub async fn drive(
    watch: &mut Watch,
    signals: &mut Signals,
    length: Option<Duration>,
    mut on_beat: impl FnMut(&Tap, &Context, Vec<Event>) -> Result<ControlFlow<()>, Problem>,
) -> Result<Stop, Problem> {
    let end = length.map(|length| Instant::now() + length);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut surveys = Surveys::of(length);
    let stop = loop {
        let elapsed = async {
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = signals.any() => break Stop::Signalled,
            () = elapsed => break Stop::Elapsed,
            _ = beat.tick() => {}
        }
        look_at(watch, Depth::Routine)?;
        surveys.due(clock::now(), watch);
        watch
            .asker
            .step(clock::now(), watch.source.as_mut(), &mut watch.engine);
        let events = watch.engine.events();
        if on_beat(&watch.engine, &watch.context, events)?.is_break() {
            break Stop::OutputGone;
        }
        if watch.source.pids().is_empty() {
            break Stop::HaproxyGone;
        }
    };
    look_at(watch, Depth::Full)?;
    if stop != Stop::OutputGone {
        // Names as they are now; a second signal doesn't wait for them.
        tokio::select! {
            () = watch.asker.settle(watch.last_word, watch.source.as_mut(), &mut watch.engine) => {}
            () = signals.any() => {}
        }
        survey(watch, true);
        let events = watch.engine.events();
        let _ = on_beat(&watch.engine, &watch.context, events)?;
        watch.refresh();
    }
    Ok(stop)
}
