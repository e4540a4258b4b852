//! `record`: watches, and puts away what it sees; and what every recording begins with.

use std::ops::ControlFlow;
use std::process::{Child, Command};

use hatrace_core::Settings;

use super::drive::{Signals, Stop, drive, look_at};
use super::source::Watch;
use crate::cli::RecordOptions;
use crate::error::Problem;
use crate::port::{Context, Depth};
use crate::tape::{FORMAT, Header, Recorded};
use crate::view::out::Words;
use crate::view::units;

/// The header of a recording that begins now.
pub(super) fn header(settings: Settings, context: &Context) -> Header {
    let read = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.trim().to_owned()
    };
    let boot = read("/proc/sys/kernel/random/boot_id");
    Header {
        hatrace_tape: FORMAT,
        member: 0,
        hatrace: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: read("/proc/sys/kernel/osrelease"),
        recording: format!(
            "{}-{}-{:x}",
            context.host,
            std::process::id(),
            context.started_at.as_nanosecond()
        ),
        host: context.host.clone(),
        boot: (!boot.is_empty()).then_some(boot),
        began: None,
        settings,
        context: context.clone(),
        limits: Vec::new(),
        sysctls: Vec::new(),
    }
}

/// A command beside which is recorded.
struct Beside(Option<Child>);

impl Beside {
    fn start(words: &[String]) -> Result<Self, Problem> {
        let Some((program, args)) = words.split_first() else {
            return Ok(Self(None));
        };
        let child = Command::new(program).args(args).spawn();
        child
            .map(|child| Self(Some(child)))
            .map_err(|error| Problem::failed(format!("starting {program}: {error}")))
    }

    /// Whether it has ended; `false` where there is none.
    fn ended(&mut self) -> bool {
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        self.0.as_mut().is_some_and(ended)
    }
}

pub(super) async fn run(options: &RecordOptions, words: Words) -> Result<(), Problem> {
    let asked = &options.watch;
    let mut signals = Signals::new()?;
    let mut watch = Watch::begin(asked, words)?;
    watch.open().await;
    look_at(&mut watch, Depth::Full)?;
    let mut beside = Beside::start(&options.command)?;
    words.say(match (asked.duration, options.command.is_empty()) {
        (_, false) => "attached; recording until the command has ended, Ctrl-C ends at once",
        (Some(_), true) => "attached; recording; Ctrl-C ends at once",
        (None, true) => "attached; recording; Ctrl-C ends",
    });
    let stop = drive(&mut watch, &mut signals, asked.duration, |engine, _, _| {
        let enough = beside.ended() || engine.is_over();
        Ok(if enough {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })
    .await?;
    if stop == Stop::HaproxyGone {
        words.say("every HAProxy process that was followed has ended");
    }
    let snapshot = watch.snapshot();
    close(&mut watch, words)?;
    words.say(format!(
        "{} watched, {} lingering at the end",
        units::round(snapshot.watched),
        snapshot.lingering.len()
    ));
    Ok(())
}

/// Ends the recording, if there is one, and says how large it is.
pub(super) fn close(watch: &mut Watch, words: Words) -> Result<(), Problem> {
    for recorded in watch.engine.finish()? {
        say(&recorded, words);
    }
    Ok(())
}

/// Where it is, and how large.
pub(super) fn say(recorded: &Recorded, words: Words) {
    let size = recorded.bytes.div_ceil(1024);
    let more = match (recorded.full, recorded.turned) {
        (true, _) => "; --max-size was reached before the end".to_owned(),
        (false, 0) => String::new(),
        (false, 1) => " with the file before it".to_owned(),
        (false, turned) => format!(" with the {turned} files before it, of which the last are kept"),
    };
    words.say(format!(
        "recorded in {}, {size} KiB{more}",
        recorded.path.display()
    ));
}
