//! `doctor`: probes, then says.

use super::unless_gone;
use crate::cli::DoctorOptions;
use crate::doctor::{Probes, checks};
use crate::error::Problem;
use crate::kernel::{LoadError, btf_path, probe};
use crate::port::Check;
use crate::view::{Format, Output, Page, Selection, doctor};

pub(super) fn run(options: &DoctorOptions) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let found = look();
    let page = Page::on(&output, usize::MAX, Selection::default());
    unless_gone(output.draw(|out| match options.output.format {
        Format::Json => doctor::json(out, &found),
        Format::Text => doctor::text(out, &found, &page),
    }))
    .map(|_| ())
}

fn look() -> Vec<Check> {
    let probed = probe();
    let no_btf = match &probed.core {
        Err(LoadError::NoBtf { .. }) => Some(btf_path().display().to_string()),
        _ => None,
    };
    let words = |result: Result<(), LoadError>| {
        result.map_err(|error| {
            // The verifier's log is for -vv, not for a line.
            tracing::debug!("{error}");
            let text = error.to_string();
            text.lines().next().unwrap_or_default().to_owned()
        })
    };
    checks(&Probes {
        core: words(probed.core),
        fentry: words(probed.fentry),
        no_btf,
    })
}
