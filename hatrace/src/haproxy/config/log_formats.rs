//! The log formats of a configuration, with the line each stands on.

use std::path::PathBuf;

use super::Whose;
use crate::error::Problem;

/// What stands behind `log-format` and `error-log-format`, in files or folders of them. `named`: formats that HAProxy gives to its configuration
/// by these names (from 2.7 on).
///
/// # Errors
/// A file that isn't there.
pub fn log_formats(files: &[PathBuf], named: &[(&str, &str)]) -> Result<Vec<(String, String)>, Problem> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let mut whose = Whose::of_files(files)?;
    for (name, text) in named {
        whose
            .environment
            .entry((*name).to_owned())
            .or_insert_with(|| (*text).to_owned());
    }
    let text = whose.text();
    let lines = text.sections.iter().flat_map(|section| &section.lines);
    let formats = lines.filter(|line| line.begins(&["log-format"]) || line.begins(&["error-log-format"]));
    Ok(formats
        .filter_map(|line| Some((line.place.to_string(), line.words.get(1)?.clone())))
        .collect())
}
