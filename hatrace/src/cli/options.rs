//! What was asked, in the agent's own types: what clap's are turned into.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use hatrace_core::verdicts::By;
use hatrace_core::what_if::Line;

use crate::ability::Ability;
use crate::haproxy::Address;
use crate::tape::Plan;
use crate::view::out::OutputOptions;
use crate::view::select::Selection;

/// The time between two rounds of questions to HAProxy, at least.
pub(super) const API_INTERVAL: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print a line for each event, then the summary.
    Trace(WatchOptions),
    /// Watch, then report.
    Report(WatchOptions),
    /// Watch, and put away what was seen.
    Record(RecordOptions),
    /// Watch, then rank whom sockets wait for.
    Culprits(WatchOptions),
    /// Hold the configuration against what is usual, and against what is stuck.
    Advise(AdviseOptions),
    /// Say what a word means.
    Explain(ExplainOptions),
    /// Count how sessions ended, by HAProxy's logs.
    Logs(LogsOptions),
    /// List what is stuck now.
    Stuck(WatchOptions),
    /// List HAProxy's sessions.
    Sessions(SessionsOptions),
    /// Examine this host.
    Doctor(DoctorOptions),
    /// Trace a HAProxy of our own.
    Demo(DemoOptions),
    /// Attach programs that do nothing.
    BenchEmpty(BenchOptions),
}

impl Invocation {
    /// The same, on a kernel without these abilities.
    #[must_use]
    pub fn without(mut self, abilities: BTreeSet<Ability>) -> Self {
        match &mut self {
            Self::Trace(watch) | Self::Report(watch) | Self::Culprits(watch) | Self::Stuck(watch) => {
                watch.without = abilities;
            }
            Self::Sessions(SessionsOptions { watch, .. }) | Self::Record(RecordOptions { watch, .. }) => {
                watch.without = abilities;
            }
            Self::Advise(AdviseOptions { watch, .. }) => watch.without = abilities,
            Self::Doctor(doctor) => doctor.without = abilities,
            Self::Logs(logs) => logs.seen.without = abilities,
            Self::Explain(_) | Self::Demo(_) | Self::BenchEmpty(_) => {}
        }
        self
    }
}

/// Whose sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// What `--pid` was given, word by word as given: `12`, `12 34`, `12,34`, or nothing at all, as `$(pidof haproxy)`
    /// leaves where no HAProxy runs. `None`: no `--pid`, so they are to be found.
    pub pids: Option<Vec<String>>,
}

/// How HAProxy is to be asked for its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiOptions {
    /// `--no-api`: not at all.
    pub off: bool,
    /// `--socket`: through this one.
    pub socket: Option<Address>,
    /// `--api-interval`: no more often than this, and less often where its answers take long.
    pub interval: Duration,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            off: false,
            socket: None,
            interval: API_INTERVAL,
        }
    }
}

/// How sockets are to be observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModeChoice {
    /// Traced where that can be had, else polled.
    #[default]
    Auto,
    /// Traced, or fail.
    Traced,
    /// Polled.
    Polled,
}

/// What `trace`, `report` and `stuck` are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// Whose sockets.
    pub target: Target,
    /// How.
    pub mode: ModeChoice,
    /// What counts as lingering.
    pub min: Duration,
    /// For how long; `None`: until Ctrl-C. `stuck` is at once.
    pub duration: Option<Duration>,
    /// The time between sweeps.
    pub interval: Duration,
    /// Every transition: `trace` only.
    pub all: bool,
    /// How many sockets to list.
    pub rows: usize,
    /// Which sockets to show.
    pub selection: Selection,
    /// By what findings are grouped: `culprits` only.
    pub by: By,
    /// Whether peers' names are looked up.
    pub resolve: bool,
    /// How HAProxy is asked for its sessions.
    pub api: ApiOptions,
    /// Abilities of the kernel that are not to be used.
    pub without: BTreeSet<Ability>,
    /// Where what the view is drawn of is to be recorded.
    pub record: Vec<Plan>,
    /// Recordings to read in place of watching.
    pub from: Vec<PathBuf>,
    /// `report`: the recording it is held against.
    pub compare: Option<PathBuf>,
    /// `report`: where the intervals' histograms go.
    pub hlog: Option<PathBuf>,
    /// `report`: where a bundle for a bug report goes.
    pub bundle: Option<PathBuf>,
    /// `stuck`: of a recording, then.
    pub at: Option<Moment>,
    /// `--min`, where it was given: else a recording's own.
    pub min_given: Option<Duration>,
    /// Where to and as what.
    pub output: OutputOptions,
}

/// A moment of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long after its beginning.
    After(Duration),
    /// By the wall clock.
    Wall(jiff::Timestamp),
}

/// What `record` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOptions {
    /// Whose, how, and where to.
    pub watch: WatchOptions,
    /// What to run beside it; it ends with it.
    pub command: Vec<String>,
}

/// What `advise` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdviseOptions {
    /// Files, or folders of them, in the order in which HAProxy would be given them; none: those of the running one.
    pub files: Vec<PathBuf>,
    /// Lines that are supposed to be in it: what would they have changed?
    pub what_if: Vec<Line>,
    /// Whose sockets it is held against, and where to write.
    pub watch: WatchOptions,
}

/// What `explain` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainOptions {
    /// What is to be explained, word by word as given.
    pub what: Vec<String>,
    /// Of recordings: what there is of it in them.
    pub seen: WatchOptions,
    /// Where to and as what.
    pub output: OutputOptions,
}

/// What `logs` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsOptions {
    /// The logs; `-` is standard input. None: standard input, unless that is a terminal.
    pub files: Vec<PathBuf>,
    /// HAProxy's configuration, for the formats in it.
    pub configuration: Vec<PathBuf>,
    /// Formats, as HAProxy has them.
    pub formats: Vec<String>,
    /// Go on with what is written to the last of them.
    pub follow: bool,
    /// Show lines that were not understood.
    pub unparsed: bool,
    /// As CSV.
    pub csv: bool,
    /// Trace meanwhile.
    pub trace: bool,
    /// Recordings of the kernel's evidence, or whose sockets to trace; for how long to follow, and how many rows to list.
    pub seen: WatchOptions,
    /// Where to and as what.
    pub output: OutputOptions,
}

/// What `sessions` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionsOptions {
    /// Whose, which, and how; its interval is the time between two readings.
    pub watch: WatchOptions,
    /// With the figures of frontends, backends and servers.
    pub servers: bool,
}

/// What `doctor` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorOptions {
    /// Which HAProxy to look at.
    pub target: Target,
    /// How it is asked.
    pub api: ApiOptions,
    /// Abilities of the kernel that are not to be used.
    pub without: BTreeSet<Ability>,
    /// Where to and as what.
    pub output: OutputOptions,
}

/// What `demo` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// How long it runs.
    pub duration: Duration,
    /// Where to and as what.
    pub output: OutputOptions,
}

/// What `bench-empty` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// Whose sockets.
    pub target: Target,
    /// For how long; `None`: until Ctrl-C.
    pub duration: Option<Duration>,
    /// Where to and as what.
    pub output: OutputOptions,
}
