//! `explain`: what a word means. Needs no HAProxy, no root and no network.

use super::unless_gone;
use crate::cli::ExplainOptions;
use crate::error::Problem;
use crate::view::{Format, Output, explain};

pub(super) fn run(options: &ExplainOptions) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let what = options.what.join(" ");
    if what.trim().is_empty() {
        return unless_gone(match options.output.format {
            Format::Json => output.draw(explain::list_json),
            Format::Text => output.draw(explain::list),
        })
        .map(|_| ());
    }
    let Some(entry) = explain::find(&what) else {
        let mut problem = Problem::usage(format!("there is no `{what}` to explain"));
        for like in explain::like(&what) {
            problem = problem.remedy(format!("hatrace explain {like}"));
        }
        return Err(problem.remedy("hatrace explain: lists every word"));
    };
    unless_gone(match options.output.format {
        Format::Json => output.draw(|out| explain::write_json(out, entry)),
        Format::Text => output.draw(|out| explain::write(out, entry)),
    })
    .map(|_| ())
}
