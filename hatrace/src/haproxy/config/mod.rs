//! HAProxy's configuration as a process was started with it. Read, never executed; what isn't known is left alone.
//!
//! files -> lines in force (words, variables, conditional blocks) -> sections and what they inherit.

mod arguments;
mod condition;
mod files;
mod lines;
mod log_formats;
mod sections;
mod sockets;
mod supposed;
mod text;
mod values;
mod words;

use std::path::PathBuf;
use std::time::SystemTime;

use hatrace_core::advice::Text;
use hatrace_core::config::{Configuration, Doubt};
use hatrace_core::stream::Name;

pub use arguments::{Arguments, arguments};
pub use log_formats::log_formats;
pub use sockets::Sockets;
pub use supposed::supposed;
pub use words::Environment;

use crate::error::Problem;
use files::File;
use lines::{Line, Reader};

/// Whose configuration, and where its files may be found.
#[derive(Clone, Debug)]
pub struct Whose {
    /// Its command line.
    pub arguments: Arguments,
    /// Below which folders its paths may be found.
    pub roots: Vec<PathBuf>,
    /// What relative paths may be relative to.
    pub directories: Vec<PathBuf>,
    /// Its environment when it was started.
    pub environment: Environment,
    /// Its version, where known.
    pub version: Option<String>,
    /// When it was started, where known.
    pub started: Option<SystemTime>,
}

impl Whose {
    /// Of files by themselves, as they would be read here: nobody runs with them.
    ///
    /// # Errors
    /// One that isn't there.
    pub fn of_files(files: &[PathBuf]) -> Result<Self, Problem> {
        for file in files {
            std::fs::metadata(file)
                .map_err(|error| Problem::failed(format!("reading {}: {error}", file.display())))?;
        }
        let here = std::env::current_dir()
            .map_err(|error| Problem::failed(format!("finding this folder: {error}")))?;
        Ok(Self {
            arguments: Arguments {
                files: files.to_vec(),
                ..Arguments::default()
            },
            roots: vec![PathBuf::from("/")],
            directories: vec![here],
            environment: std::env::vars().collect(),
            version: None,
            started: None,
        })
    }

    /// What it was configured with, as far as that can be told.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        let files = files::read(&self.arguments, &self.roots, &self.directories);
        let (lines, mut doubts) = self.lines(&files);
        if files.is_empty() {
            doubts.push(Doubt::Unreadable {
                file: "its configuration".to_owned(),
                why: "the command line names none".to_owned(),
            });
        }
        for file in &files {
            match &file.found {
                Err(why) => doubts.push(Doubt::Unreadable {
                    file: file.path.clone(),
                    why: why.clone(),
                }),
                Ok((_, Some(written))) => {
                    let by = self.started.and_then(|started| files::newer(*written, started));
                    doubts.extend(by.map(|by| Doubt::Newer {
                        file: file.path.clone(),
                        by,
                    }));
                }
                Ok((_, None)) => {}
            }
        }
        let mut found = sections::configuration(&lines, doubts);
        found.files = names(&files);
        found
    }

    /// Its lines, section by section.
    #[must_use]
    pub fn text(&self) -> Text {
        let files = files::read(&self.arguments, &self.roots, &self.directories);
        text::text(&self.lines(&files).0)
    }

    /// Where its command line is, by its configuration.
    #[must_use]
    pub fn sockets(&self) -> Sockets {
        let files = files::read(&self.arguments, &self.roots, &self.directories);
        sockets::sockets(&self.lines(&files).0)
    }

    fn lines(&self, files: &[File]) -> (Vec<Line>, Vec<Doubt>) {
        let mut reader = Reader::new(&self.environment, self.version.as_deref());
        for (file, name) in files.iter().zip(names(files)) {
            if let Ok((text, _)) = &file.found {
                reader.file(&name, text);
            }
        }
        reader.done()
    }
}

/// As short as is unambiguous: the file's own name, unless another one has it too.
fn names(files: &[File]) -> Vec<Name> {
    let short = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let all: Vec<String> = files.iter().map(|file| short(&file.path)).collect();
    files
        .iter()
        .zip(&all)
        .map(|(file, own)| {
            let alone = all.iter().filter(|other| *other == own).count() == 1;
            Name::from(if alone { own.as_str() } else { file.path.as_str() })
        })
        .collect()
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod advice_tests;
