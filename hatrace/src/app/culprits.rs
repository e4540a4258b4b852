//! `culprits`: watches, then ranks whom sockets wait for.

use hatrace_core::snapshot::Snapshot;

use super::drive::{Signals, look_at};
use super::record::close;
use super::replay::replay;
use super::report::watched;
use super::source::Watch;
use super::unless_gone;
use crate::cli::WatchOptions;
use crate::clock;
use crate::error::Problem;
use crate::port::{Context, Depth};
use crate::resolver;
use crate::tape::What;
use crate::view::out::Words;
use crate::view::{Format, Output, Page, culprits, json};

pub(super) async fn run(options: &WatchOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    if !options.from.is_empty() {
        let replayed = replay(options)?;
        let mut page = Page::on(&output, options.rows, options.selection.clone());
        page.hosts = replayed.hosts;
        return draw(&mut output, options, &replayed.snapshot, &replayed.context, &page);
    }
    let mut signals = Signals::new()?;
    let mut watch = Watch::begin(options, words)?;
    watch.open().await;
    look_at(&mut watch, Depth::Full)?;
    words.say(match options.duration {
        Some(_) => "attached; Ctrl-C ranks at once",
        None => "attached; Ctrl-C ranks",
    });
    let snapshot = watched(&mut watch, &mut signals, options.duration, words, "watching").await?;
    let mut page = Page::on(&output, options.rows, options.selection.clone());
    if options.resolve {
        page.hosts = resolver::names(addresses(&snapshot)).await;
        watch.engine.note(clock::now(), &What::Names(page.hosts.clone()));
    }
    let recorded = close(&mut watch, words);
    draw(&mut output, options, &snapshot, &watch.context, &page)?;
    recorded
}

fn draw(
    output: &mut Output,
    options: &WatchOptions,
    snapshot: &Snapshot,
    context: &Context,
    page: &Page,
) -> Result<(), Problem> {
    unless_gone(match options.output.format {
        Format::Json => output.draw(|out| json::write(out, "culprits", snapshot, context, page)),
        Format::Text => output.draw(|out| culprits::write(out, snapshot, context, page)),
    })
    .map(|_| ())
}

fn addresses(snapshot: &Snapshot) -> Vec<std::net::IpAddr> {
    use hatrace_core::verdicts::Whom;
    let all = snapshot.findings.iter();
    all.filter_map(|finding| match finding.whom {
        Whom::Address(address) => Some(address),
        _ => None,
    })
    .collect()
}
