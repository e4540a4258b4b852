//! `record`, `--record` and `--from`: which commands take them, and with what.

use std::path::PathBuf;

use super::args::CommonArgs;
use super::options::{Invocation, RecordOptions, RecordTo, SessionsOptions, WatchOptions};
use crate::error::Problem;

/// What was said of recordings.
pub(super) struct Recording {
    record: Option<PathBuf>,
    max_size: Option<u64>,
    redact: bool,
    from: Vec<PathBuf>,
}

impl Recording {
    pub(super) fn of(common: &CommonArgs) -> Self {
        Self {
            record: common.record.clone(),
            max_size: common.max_size,
            redact: common.redact,
            from: common.from.clone(),
        }
    }

    /// Puts it where it belongs.
    pub(super) fn apply(self, mut invocation: Invocation) -> Result<Invocation, Problem> {
        match &mut invocation {
            Invocation::Record(RecordOptions { watch, .. }) => self.to_record(watch)?,
            Invocation::Trace(watch) => {
                self.refuse_from("the stream is of what happens now", "hatrace report --from FILE")?;
                self.beside(watch)?;
            }
            Invocation::Report(watch)
            | Invocation::Culprits(watch)
            | Invocation::Stuck(watch)
            | Invocation::Sessions(SessionsOptions { watch, .. }) => {
                self.instead(watch)?;
                self.beside(watch)?;
            }
            Invocation::Explain(_)
            | Invocation::Doctor(_)
            | Invocation::Demo(_)
            | Invocation::BenchEmpty(_) => {
                if self.record.is_some() || self.max_size.is_some() || self.redact {
                    return Err(Problem::usage("there is nothing to record with this command")
                        .remedy("hatrace record -o FILE"));
                }
                self.refuse_from("this command reads no recording", "hatrace report --from FILE")?;
            }
        }
        Ok(invocation)
    }

    fn to_record(&self, watch: &mut WatchOptions) -> Result<(), Problem> {
        self.refuse_from("record makes a recording", "hatrace report --from FILE")?;
        if self.record.is_some() {
            return Err(Problem::usage("record's own file is -o FILE").remedy("hatrace record -o FILE"));
        }
        let Some(file) = watch.output.file.take() else {
            return Err(
                Problem::usage("record wants a file to write").remedy("hatrace record -o FILE -d 10m")
            );
        };
        watch.record = Some(RecordTo {
            file,
            max_size: self.max_size,
            redact: self.redact,
        });
        Ok(())
    }

    fn beside(&self, watch: &mut WatchOptions) -> Result<(), Problem> {
        watch.record = self.record.clone().map(|file| RecordTo {
            file,
            max_size: self.max_size,
            redact: self.redact,
        });
        if (self.max_size.is_some() || self.redact) && self.record.is_none() {
            return Err(
                Problem::usage("--max-size and --redact are of a recording").remedy("with --record FILE")
            );
        }
        Ok(())
    }

    fn instead(&self, watch: &mut WatchOptions) -> Result<(), Problem> {
        if self.from.is_empty() {
            return Ok(());
        }
        let clash = [
            (self.record.is_some(), "--record"),
            (watch.target.pids.is_some(), "--pid"),
            (watch.duration.is_some(), "-d/--duration"),
        ];
        if let Some((_, what)) = clash.into_iter().find(|(given, _)| *given) {
            return Err(Problem::usage(format!(
                "--from reads what was recorded: {what} has no say in that"
            ))
            .remedy(format!("leave out {what}")));
        }
        watch.from.clone_from(&self.from);
        Ok(())
    }

    fn refuse_from(&self, why: &str, remedy: &str) -> Result<(), Problem> {
        if self.from.is_empty() {
            Ok(())
        } else {
            Err(Problem::usage(format!("--from has no use here: {why}")).remedy(remedy))
        }
    }
}
