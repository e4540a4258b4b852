//! `culprits`: watches, then ranks whom sockets wait for.

use hatrace_core::snapshot::Snapshot;

use super::drive::{Signals, look_at};
use super::report::watched;
use super::source::Watch;
use super::unless_gone;
use crate::cli::WatchOptions;
use crate::error::Problem;
use crate::port::Depth;
use crate::resolver;
use crate::view::out::Words;
use crate::view::{Format, Output, Page, culprits, json};

pub(super) async fn run(options: &WatchOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
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
    }
    unless_gone(match options.output.format {
        Format::Json => output.draw(|out| json::write(out, "culprits", &snapshot, &watch.context, &page)),
        Format::Text => output.draw(|out| culprits::write(out, &snapshot, &watch.context, &page)),
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
