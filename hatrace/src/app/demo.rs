//! `demo`: sets the stage, traces it, reports.

use std::collections::BTreeSet;
use std::time::Duration;

use super::drive::{Signals, look_at};
use super::report::{draw, watched};
use super::source::Watch;
use crate::cli::{ApiOptions, DemoOptions, ModeChoice, Target as Wanted, WatchOptions};
use crate::demo::{Stage, closing_words};
use hatrace_core::verdicts::By;

use crate::error::Problem;
use crate::port::Depth;
use crate::target::Target;
use crate::view::out::Words;
use crate::view::{Format, Output, Selection};

pub(super) async fn run(options: &DemoOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let mut signals = Signals::new()?;
    let mut stage = Stage::start(options.duration)?;
    words.say(stage.narration());
    let watch_options = WatchOptions {
        target: Wanted { pids: None },
        mode: ModeChoice::Auto,
        min: Duration::from_secs(1),
        duration: Some(options.duration),
        interval: Duration::from_secs(1),
        all: false,
        rows: 10,
        selection: Selection::default(),
        by: By::Peer,
        resolve: false,
        without: BTreeSet::new(),
        api: ApiOptions::default(),
        record: Vec::new(),
        from: Vec::new(),
        compare: None,
        hlog: None,
        bundle: None,
        at: None,
        min_given: None,
        output: options.output.clone(),
    };
    let target = Target::resolve(&[stage.pid().to_string()], true)?;
    let mut watch = Watch::of(target, &watch_options, words)?;
    watch.open().await;
    look_at(&mut watch, Depth::Full)?;
    words.say(format!(
        "attached to HAProxy {}; {} s of it:",
        stage.pid(),
        options.duration.as_secs()
    ));
    let snapshot = watched(&mut watch, &mut signals, Some(options.duration), words, "tracing").await?;
    draw(&mut output, &watch_options, &snapshot, &watch.context)?;
    stage.stop();
    if options.output.format == Format::Text {
        words.say(format!("\n{}", closing_words(stage.pid())));
    }
    Ok(())
}
