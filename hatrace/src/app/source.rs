//! From what was asked to a source that watches it: traced where that can be had, polled where not, said which and why.

use hatrace_core::snapshot::Snapshot;
use hatrace_core::{Engine, Settings};

use super::asker::{Asker, Settle};
use super::tap::Tap;
use crate::cli::{ModeChoice, Target as Wanted, WatchOptions};
use crate::clock;
use crate::error::Problem;
use crate::kernel::{LoadError, LoadOptions, Size, Traced};
use crate::polled::Polled;
use crate::port::{Context, Cost, Mode, Source};
use crate::tape::Recorder;
use crate::target::{Target, haproxy_version};
use crate::view::out::Words;

/// Lives the engine keeps at most: what lingers beyond that is counted, not listed.
const MAX_LIVES: usize = 200_000;
const RING_BYTES: u32 = 4 << 20;

/// A source, an engine for it, and what views must know of both.
pub(super) struct Watch {
    pub(super) source: Box<dyn Source>,
    pub(super) engine: Tap,
    pub(super) context: Context,
    pub(super) asker: Asker,
    /// What is asked at its end: a recording is to be held against others, HAProxy's counts and all.
    pub(super) last_word: Settle,
}

/// The target that was named, or found.
pub(super) fn resolve(wanted: &Wanted) -> Result<Target, Problem> {
    Target::resolve(wanted.pids.as_deref().unwrap_or_default(), wanted.pids.is_some())
}

impl Watch {
    /// Finds the target and begins to watch it.
    pub(super) fn begin(options: &WatchOptions, words: Words) -> Result<Self, Problem> {
        let target = resolve(&options.target)?;
        Self::of(target, options, words)
    }

    /// Begins to watch a target.
    pub(super) fn of(target: Target, options: &WatchOptions, words: Words) -> Result<Self, Problem> {
        let mut context = context_of(&target, options);
        let (source, mode) = source(target, options, words)?;
        context.mode = mode;
        let polled = matches!(context.mode, Mode::Polled { .. });
        let settings = Settings {
            min: options.min,
            max_lives: MAX_LIVES,
            polled,
            exact_timewaits: context.mode.exact_timewaits(),
            by: options.by,
            sessions: false,
        };
        let engine = tap(settings, &context, options)?;
        Ok(Self {
            source,
            engine,
            context,
            asker: Asker::new(options.api.clone(), words),
            last_word: match options.record.is_empty() && options.compare.is_none() {
                true => Settle::Lingering,
                false => Settle::Watched,
            },
        })
    }

    /// Begins to watch by polls alone: for a snapshot at once. `sessions`: of HAProxy's sessions as well.
    pub(super) fn polled(options: &WatchOptions, words: Words, sessions: bool) -> Result<Self, Problem> {
        let target = resolve(&options.target)?;
        readable(&target)?;
        let mut context = context_of(&target, options);
        context.mode = Mode::Polled { why: None };
        let settings = Settings {
            min: options.min,
            max_lives: MAX_LIVES,
            polled: true,
            exact_timewaits: false,
            by: options.by,
            sessions,
        };
        let engine = tap(settings, &context, options)?;
        let source = Box::new(Polled::new(target, options.interval, &options.without));
        Ok(Self {
            source,
            engine,
            context,
            asker: Asker::new(options.api.clone(), words),
            last_word: match options.record.is_empty() && options.compare.is_none() {
                true => Settle::Lingering,
                false => Settle::Watched,
            },
        })
    }

    /// Makes the first contact with HAProxy's command line.
    pub(super) async fn open(&mut self) {
        self.asker.open(self.source.as_mut(), &mut self.engine).await;
        self.refresh();
    }

    /// Has what lingers named as it is now.
    pub(super) async fn settle(&mut self, what: Settle) {
        self.asker
            .settle(what, self.source.as_mut(), &mut self.engine)
            .await;
        self.refresh();
    }

    /// What a view is drawn of, now.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.engine.cut(clock::now(), &self.context)
    }

    /// What may have changed meanwhile: the processes, and the version once HAProxy has told it.
    pub(super) fn refresh(&mut self) {
        let pids = self.source.pids();
        if !pids.is_empty() {
            self.context.pids = pids;
        }
        self.context.cost = self.source.cost();
        if self.context.haproxy_version.is_none() {
            self.context.haproxy_version = self.asker.version();
        }
        self.engine.context(clock::now(), &self.context);
    }
}

/// The engine, and the recorders beside it that are wanted.
fn tap(settings: Settings, context: &Context, options: &WatchOptions) -> Result<Tap, Problem> {
    let header = || super::record::header(settings, context);
    let recorders = options
        .record
        .iter()
        .map(|plan| Recorder::create(plan.clone(), header()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Tap::new(Engine::new(settings, context.started_mono), recorders))
}

fn context_of(target: &Target, options: &WatchOptions) -> Context {
    let worker = target
        .processes()
        .find(|process| !target.is_master(process.pid))
        .or_else(|| target.processes().next());
    let (started_at, started_mono) = clock::both();
    Context {
        host: hostname(),
        pids: target.pids(),
        master: target.master(),
        haproxy_version: worker.and_then(haproxy_version),
        mode: Mode::Polled { why: None },
        started_at,
        started_mono,
        sweep_interval: options.interval,
        min: options.min,
        cost: Cost::default(),
        parts: Vec::new(),
    }
}

/// As the kernel has it.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

fn source(target: Target, options: &WatchOptions, words: Words) -> Result<(Box<dyn Source>, Mode), Problem> {
    let why = match options.mode {
        ModeChoice::Polled => None,
        ModeChoice::Auto | ModeChoice::Traced => {
            match Traced::start(&load_options(&target, options), target.clone(), options.interval) {
                Ok(traced) => {
                    let mode = Mode::Traced {
                        abilities: traced.abilities().clone(),
                    };
                    return Ok((Box::new(traced), mode));
                }
                Err(error) => {
                    let problem = explain(&error);
                    // Every transition can't be polled, and what can't be read can't be polled either.
                    if options.mode == ModeChoice::Traced || options.all || readable(&target).is_err() {
                        return Err(problem);
                    }
                    words.warn(&problem);
                    words.say(format!(
                        "going on with sock_diag sweeps, {} ms apart",
                        options.interval.as_millis()
                    ));
                    Some(error.to_string())
                }
            }
        }
    };
    readable(&target)?;
    Ok((
        Box::new(Polled::new(target, options.interval, &options.without)),
        Mode::Polled { why },
    ))
}

fn load_options(target: &Target, options: &WatchOptions) -> LoadOptions {
    LoadOptions {
        min: options.min,
        everything: options.all,
        comm: target.comm(),
        size: table(target),
        without: options.without.clone(),
        ring_bytes: RING_BYTES,
    }
}

/// The table to begin with. The environment variable is for tests: a fixed number of home places, or one to grow from (`64+`).
fn table(target: &Target) -> Size {
    if let Ok(text) = std::env::var("HATRACE_TABLE_SLOTS") {
        let (homes, grows) = text
            .strip_suffix('+')
            .map_or((text.as_str(), false), |homes| (homes, true));
        if let Ok(homes) = homes.parse() {
            return Size::of(homes, grows);
        }
    }
    Size::for_open(target.processes().map(crate::target::Proc::open_files).sum())
}

/// The same command, by root.
fn sudo() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("sudo hatrace {}", words.join(" ")).trim_end().to_owned()
}

/// Why the kernel half isn't there, and what to do.
fn explain(error: &LoadError) -> Problem {
    match error {
        LoadError::NotPermitted => {
            Problem::cannot("loading eBPF needs root (or CAP_BPF + CAP_PERFMON + CAP_SYS_PTRACE)")
                .remedy(sudo())
        }
        LoadError::NoBtf { .. } => Problem::cannot(error.to_string())
            .remedy("a kernel with CONFIG_DEBUG_INFO_BTF=y, Linux 5.12 or newer")
            .remedy("hatrace --mode polled: sock_diag sweeps, no eBPF"),
        LoadError::SwitchedOff => {
            Problem::cannot(error.to_string()).remedy("hatrace --mode polled: sock_diag sweeps, no eBPF")
        }
        LoadError::NoField(_) | LoadError::Refused { .. } => Problem::cannot(error.to_string())
            .remedy("hatrace doctor: what this kernel allows")
            .remedy("hatrace --mode polled: sock_diag sweeps, no eBPF"),
    }
}

/// Whether HAProxy's files can be read: without them no socket can be told to be HAProxy's.
fn readable(target: &Target) -> Result<(), Problem> {
    for process in target.processes() {
        if let Err(error) = std::fs::read_dir(format!("/proc/{}/fd", process.pid))
            && error.kind() == std::io::ErrorKind::PermissionDenied
        {
            return Err(Problem::cannot(format!(
                "HAProxy's open files (/proc/{}/fd) can't be read: that needs root (or CAP_SYS_PTRACE)",
                process.pid
            ))
            .remedy(sudo()));
        }
    }
    Ok(())
}
