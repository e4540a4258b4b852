//! `sessions`: HAProxy's sessions now, each beside its sockets. Nothing is loaded.

use std::time::Duration;

use hatrace_core::snapshot::Snapshot;
use hatrace_core::stream::Access;

use super::asker::Settle;
use super::drive::{Signals, look_at};
use super::source::Watch;
use super::unless_gone;
use crate::cli::SessionsOptions;
use crate::clock;
use crate::error::Problem;
use crate::port::Depth;
use crate::view::out::Words;
use crate::view::{Format, Output, Page, json, sessions};

/// The time between the two readings of `--servers`, unless told otherwise.
const APART: Duration = Duration::from_secs(2);

pub(super) async fn run(options: &SessionsOptions, words: Words) -> Result<(), Problem> {
    let asked = &options.watch;
    let mut output = Output::open(&asked.output)?;
    let mut signals = Signals::new()?;
    let mut watch = Watch::polled(asked, words, true)?;
    look_at(&mut watch, Depth::Full)?;
    let what = Settle::Sessions {
        figures: options.servers,
    };
    watch.settle(what).await;
    if options.servers {
        signals.wait(Some(asked.duration.unwrap_or(APART))).await;
        look_at(&mut watch, Depth::Full)?;
        watch.settle(what).await;
    }
    let snapshot = watch.engine.snapshot(clock::now());
    somebody_answered(&snapshot)?;
    let page = Page::on(&output, asked.rows, asked.selection.clone());
    let context = &watch.context;
    unless_gone(match asked.output.format {
        Format::Json => output.draw(|out| json::sessions(out, &snapshot, context, &page)),
        Format::Text => output.draw(|out| sessions::write(out, &snapshot, context, &page, options.servers)),
    })
    .map(|_| ())
}

/// Without HAProxy's answer there is nothing to list.
fn somebody_answered(snapshot: &Snapshot) -> Result<(), Problem> {
    let answers = |access: &Option<Access>| matches!(access, Some(Access::Ready { .. }));
    if snapshot.asking.iter().any(|asking| answers(&asking.access)) {
        return Ok(());
    }
    let refused = snapshot.asking.iter().find_map(|asking| match &asking.access {
        Some(Access::Refused { why, remedy, .. }) => Some((why, remedy)),
        _ => None,
    });
    let (why, remedy) = match refused {
        Some((why, remedy)) => (why.clone(), remedy.clone()),
        None => ("HAProxy's command line did not answer in time".to_owned(), None),
    };
    let problem = Problem::cannot(format!("{why}: its sessions can't be listed"));
    Err(match remedy {
        Some(remedy) => problem.remedy(remedy),
        None => problem,
    }
    .remedy("hatrace stuck: what lingers, by the kernel alone"))
}
