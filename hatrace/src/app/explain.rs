//! `explain`: what a word means, and what of it there is in recordings. Needs no HAProxy, no root and no network.

use super::replay::{Replayed, replay};
use super::unless_gone;
use crate::cli::ExplainOptions;
use crate::error::Problem;
use crate::view::explain::endings::{self, Found};
use crate::view::explain::{self, Entry, seen};
use crate::view::{Format, Output, OutputError, Page};

pub(super) fn run(options: &ExplainOptions) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let what = options.what.join(" ");
    let entry = match what.trim() {
        "" => None,
        what => match (explain::find(what), endings::find(what)) {
            (Some(entry), _) => Some(entry),
            (None, Some(Found::Ending(ending))) => {
                return unless_gone(output.draw(|out| match options.output.format {
                    Format::Json => endings::write_json(out, &ending),
                    Format::Text => endings::write(out, &ending),
                }))
                .map(|_| ());
            }
            (None, Some(Found::Events(name, all))) => {
                return unless_gone(output.draw(|out| match options.output.format {
                    Format::Json => endings::events_json(out, &name, &all),
                    Format::Text => endings::write_events(out, &name, &all),
                }))
                .map(|_| ());
            }
            (None, Some(Found::Unknown(why))) => {
                return Err(unknown(what).remedy(format!("a termination code: {why}")));
            }
            (None, None) => return Err(unknown(what)),
        },
    };
    let seen = match options.seen.from.is_empty() {
        true => None,
        false => Some(replay(&options.seen)?),
    };
    unless_gone(draw(&mut output, options, entry, seen.as_ref())).map(|_| ())
}

fn draw(
    output: &mut Output,
    options: &ExplainOptions,
    entry: Option<&Entry>,
    told: Option<&Replayed>,
) -> Result<(), OutputError> {
    let page = Page::on(output, options.seen.rows, options.seen.selection.clone());
    let seen = told.map(|told| (&told.snapshot, &told.context));
    output.draw(|out| match (options.output.format, entry, seen) {
        (Format::Json, None, seen) => explain::list_json(out, seen),
        (Format::Json, Some(entry), seen) => explain::write_json(out, entry, seen),
        (Format::Text, None, None) => explain::list(out),
        (Format::Text, None, Some((snapshot, context))) => seen::list(out, snapshot, context),
        (Format::Text, Some(entry), seen) => {
            explain::write(out, entry)?;
            match seen {
                Some((snapshot, context)) => seen::write(out, entry, snapshot, context, &page),
                None => Ok(()),
            }
        }
    })
}

fn unknown(what: &str) -> Problem {
    let mut problem = Problem::usage(format!("there is no `{what}` to explain"));
    for like in explain::like(what) {
        problem = problem.remedy(format!("hatrace explain {like}"));
    }
    problem.remedy("hatrace explain: lists every word")
}
