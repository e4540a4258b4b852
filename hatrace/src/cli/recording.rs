//! `record`, `--record` and `--from`: which commands take them, and with what.

use std::path::{Path, PathBuf};

use super::args::CommonArgs;
use super::options::{
    AdviseOptions, ExplainOptions, Invocation, LogsOptions, RecordOptions, SessionsOptions, WatchOptions,
};
use crate::error::Problem;
use crate::tape::Plan;

/// How large a file becomes where files follow one another and nothing else is asked for.
const TURN: u64 = 100 << 20;

/// What was said of recordings.
pub(super) struct Recording {
    record: Option<PathBuf>,
    max_size: Option<u64>,
    rotate: Option<usize>,
    redact: bool,
    from: Vec<PathBuf>,
}

impl Recording {
    pub(super) fn of(common: &CommonArgs) -> Self {
        Self {
            record: common.record.clone(),
            max_size: common.max_size,
            rotate: common.rotate,
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
            Invocation::Advise(AdviseOptions { watch, .. }) => {
                self.nothing_to_record()?;
                self.instead(watch)?;
            }
            Invocation::Explain(ExplainOptions { seen, .. }) => {
                self.nothing_to_record()?;
                seen.from.clone_from(&self.from);
            }
            Invocation::Logs(LogsOptions {
                seen, follow, trace, ..
            }) => {
                if *trace {
                    self.beside(seen)?;
                } else {
                    self.nothing_to_record()?;
                }
                if *follow {
                    self.refuse_from(
                        "what is followed is later than what was recorded",
                        "hatrace logs --from FILE LOG",
                    )?;
                }
                seen.from.clone_from(&self.from);
            }
            Invocation::Doctor(_) | Invocation::Demo(_) | Invocation::BenchEmpty(_) => {
                self.nothing_to_record()?;
                self.refuse_from("this command reads no recording", "hatrace report --from FILE")?;
            }
        }
        if let Invocation::Trace(watch)
        | Invocation::Report(watch)
        | Invocation::Culprits(watch)
        | Invocation::Stuck(watch)
        | Invocation::Sessions(SessionsOptions { watch, .. }) = &invocation
            && !watch.selection.hosts.is_empty()
            && watch.from.is_empty()
        {
            return Err(
                Problem::usage("--host tells recordings of several hosts apart; here is one host")
                    .remedy("with --from FILE..."),
            );
        }
        Ok(invocation)
    }

    fn nothing_to_record(&self) -> Result<(), Problem> {
        if self.record.is_some() || self.max_size.is_some() || self.rotate.is_some() || self.redact {
            return Err(Problem::usage("there is nothing to record with this command")
                .remedy("hatrace record -o FILE"));
        }
        Ok(())
    }

    fn plan(&self, path: &Path) -> Plan {
        Plan {
            path: path.to_owned(),
            limit: self.max_size.or(self.rotate.map(|_| TURN)),
            keep: self.rotate,
            redact: self.redact,
        }
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
        watch.record.push(self.plan(&file));
        Ok(())
    }

    fn beside(&self, watch: &mut WatchOptions) -> Result<(), Problem> {
        watch.record = self.record.iter().map(|file| self.plan(file)).collect();
        let given = self.max_size.is_some() || self.rotate.is_some() || self.redact;
        if given && self.record.is_none() {
            return Err(
                Problem::usage("--max-size, --rotate and --redact are of a recording")
                    .remedy("with --record FILE"),
            );
        }
        Ok(())
    }

    fn instead(&self, watch: &mut WatchOptions) -> Result<(), Problem> {
        if !self.from.is_empty() && watch.compare.is_some() {
            return Err(Problem::usage("--compare names both recordings itself")
                .remedy("hatrace report --compare BEFORE AFTER"));
        }
        // The one after is read like any other.
        if self.from.is_empty() && watch.from.is_empty() {
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
        watch.from.extend(self.from.iter().cloned());
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
