//! The command line as clap reads it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use hatrace_core::sock::Side;
use hatrace_core::tcp::TcpState;
use hatrace_core::what_if::Line;

use super::options::Moment;
use super::{help, value};
use crate::ability::Ability;
use crate::haproxy::Address;
use crate::view::select::Prefix;

/// Which HAProxy connections are stuck in FIN_WAIT2 or CLOSE_WAIT, for how long, and who must close them
#[derive(Clone, Debug, Parser)]
#[command(
    name = "hatrace",
    bin_name = "hatrace",
    version,
    subcommand_precedence_over_arg = true,
    disable_help_subcommand = true,
    after_help = help::TOP,
    max_term_width = 110
)]
pub(super) struct Args {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(flatten)]
    pub trace: TraceArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Print a line for each socket that leaves or lingers in a state (the default)
    #[command(after_help = help::TRACE)]
    Trace(TraceArgs),
    /// Watch, then report: histograms, the oldest sockets, whom they wait for, one line to paste
    #[command(after_help = help::REPORT)]
    Report(ReportArgs),
    /// Watch, and put everything away that was seen: for `--from FILE`, here or elsewhere, later
    #[command(after_help = help::RECORD)]
    Record(RecordArgs),
    /// Watch, then rank whom sockets wait for by socket-seconds: verdict, evidence, the clock that runs, what to change
    #[command(after_help = help::CULPRITS)]
    Culprits(CulpritsArgs),
    /// List the sockets that are stuck now, oldest first
    #[command(after_help = help::STUCK)]
    Stuck(StuckArgs),
    /// List HAProxy's sessions with the kernel's truth beside them: ages, stuck ones, what HAProxy believes
    #[command(after_help = help::SESSIONS)]
    Sessions(SessionsArgs),
    /// Hold HAProxy's configuration against what operators learn the hard way, and against what is stuck now: line by line
    #[command(after_help = help::ADVISE)]
    Advise(AdviseArgs),
    /// Say what a verdict, a state or a timeout means, and who must act; offline
    #[command(after_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// How sessions ended, by HAProxy's logs: termination codes counted and explained, what became more frequent, stickiness; offline
    #[command(after_help = help::LOGS)]
    Logs(LogsArgs),
    /// Say what this host allows, what it costs to lack, and the remedy
    Doctor,
    /// Trace a HAProxy of hatrace's own, with a peer that leaks
    Demo(DemoArgs),
    /// Attach programs that do nothing: the floor that the overhead is measured against
    #[command(hide = true)]
    BenchEmpty(BenchArgs),
}

#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct CommonArgs {
    /// HAProxy's processes, worker or master, as `pidof` prints them; without it they are looked for
    #[arg(short, long, value_name = "PID", num_args = 0.., action = ArgAction::Append, global = true, help_heading = "Target")]
    pub pid: Option<Vec<String>>,
    /// HAProxy's command line: a path, abns@NAME or ADDRESS:PORT; without it the kernel, then the configuration are asked where it is
    #[arg(short, long, value_name = "SOCKET", global = true, help_heading = "Target")]
    pub socket: Option<Address>,
    /// Don't ask HAProxy anything: kernel truth alone, sessions stay unnamed
    #[arg(long, global = true, help_heading = "Target")]
    pub no_api: bool,
    /// Ask HAProxy for sessions no more often than this, and only while unnamed sockets linger [default: 2s]
    #[arg(long, value_name = "DUR", value_parser = value::some_duration, global = true, help_heading = "Target")]
    pub api_interval: Option<Duration>,
    /// text, or json: one object, schema 1 [default: text]
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "FORMAT",
        global = true,
        help_heading = "Output"
    )]
    pub format: Option<FormatArg>,
    /// The same as --format json
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Write to a file instead of stdout
    #[arg(short, long, value_name = "FILE", global = true, help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// When to colour: auto, always, never [default: auto]
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "WHEN",
        global = true,
        help_heading = "Output"
    )]
    pub color: Option<ColorArg>,
    /// The same as --color never
    #[arg(long, global = true, help_heading = "Output")]
    pub no_color: bool,
    /// Record what this view is drawn of in FILE as well; for --from FILE
    #[arg(long, value_name = "FILE", global = true, help_heading = "Recording")]
    pub record: Option<PathBuf>,
    /// End the recording before it is larger than this: 500M, 2G [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = value::size, global = true, help_heading = "Recording")]
    pub max_size: Option<u64>,
    /// Go on in a new file when --max-size is reached, and keep the last COUNT full ones: FILE.1 is the one before FILE
    #[arg(long, value_name = "COUNT", value_parser = value::count, global = true, help_heading = "Recording")]
    pub rotate: Option<usize>,
    /// Pseudonyms in the recording for addresses and names, prefixes kept together: to be shown to others
    #[arg(long, global = true, help_heading = "Recording")]
    pub redact: bool,
    /// Read recordings in place of watching; several, of several hosts too, are put together
    #[arg(long, value_name = "FILE", num_args = 1.., global = true, help_heading = "Recording")]
    pub from: Vec<PathBuf>,
    /// For tests: as if this kernel hadn't that ability
    #[arg(
        long,
        value_name = "ABILITY",
        env = "HATRACE_WITHOUT",
        value_delimiter = ',',
        hide = true,
        global = true
    )]
    pub without: Vec<Ability>,
    /// No words on stderr but errors
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
    /// More words on stderr; twice: even more
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Output")]
    pub verbose: u8,
}

/// How sockets are observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct SourceArgs {
    /// What counts as lingering [default: 1s]
    #[arg(short, long, value_name = "DUR", value_parser = value::duration)]
    pub min: Option<Duration>,
    /// traced: by eBPF; polled: by looking again and again; auto: traced where that can be had [default: auto]
    #[arg(long, value_enum, value_name = "MODE", hide_possible_values = true)]
    pub mode: Option<ModeArg>,
}

/// For how long, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct WatchArgs {
    /// Stop after this long [default: at Ctrl-C]
    #[arg(short, long, value_name = "DUR", value_parser = value::some_duration)]
    pub duration: Option<Duration>,
    /// Time between two sweeps of the sockets, 100ms to 60s [default: 1s]
    #[arg(long, value_name = "DUR", value_parser = value::interval)]
    pub interval: Option<Duration>,
}

/// Which sockets are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Filter")]
pub(super) struct SelectArgs {
    /// Only sockets in this state, as the kernel or ss writes it: FIN_WAIT2, fin-wait-2; repeatable
    #[arg(long, value_name = "STATE", value_parser = value::state, value_delimiter = ',')]
    pub state: Vec<TcpState>,
    /// Only sockets on this side of HAProxy: client, server, control, unknown; repeatable
    #[arg(long, value_name = "SIDE", value_parser = value::side, value_delimiter = ',')]
    pub side: Vec<Side>,
    /// Only sockets with this peer: an address or a prefix, 10.0.0.0/8; repeatable
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub peer: Vec<Prefix>,
    /// Only sockets of this frontend or backend; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub proxy: Vec<String>,
    /// Only sockets of this server, or of sessions that were given it; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub server: Vec<String>,
    /// Only sockets of this host, where recordings of several are read; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub host: Vec<String>,
    /// Only sockets known to be at least this long in their state
    #[arg(long, value_name = "DUR", value_parser = value::duration)]
    pub older: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct TraceArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Every transition of every socket
    #[arg(short, long)]
    pub all: bool,
    #[command(flatten)]
    pub select: SelectArgs,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub watch: WatchArgs,
    /// How many lingering sockets to list, or `all` [default: 10, in JSON 10000]
    #[arg(short = 'n', long, value_name = "LIMIT", value_parser = value::rows)]
    pub rows: Option<usize>,
    /// Hold a recording against a later one, or against what is watched now: what a change has changed
    #[arg(long, value_names = ["BEFORE", "AFTER"], num_args = 1..=2, help_heading = "Recording")]
    pub compare: Vec<PathBuf>,
    /// Write dwell times to FILE as an HdrHistogram log: 5 s apart, a tag for each side and state
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub hlog: Option<PathBuf>,
    /// Write to FILE (.tar.gz) what a bug report wants: a recording with pseudonyms, versions, timeouts, what HAProxy says of the stuck ones
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub bundle: Option<PathBuf>,
    #[command(flatten)]
    pub select: SelectArgs,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct CulpritsArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub watch: WatchArgs,
    /// peer: by address, or by network where many addresses share the blame; prefix: by /24 and /64; server; proxy [default: peer]
    #[arg(long, value_enum, value_name = "BY", hide_possible_values = true)]
    pub by: Option<ByArg>,
    /// Look up the peers' names (reverse DNS)
    #[arg(short, long)]
    pub resolve: bool,
    /// How many culprits to list, or `all` [default: 10, in JSON 10000]
    #[arg(short = 'n', long, value_name = "LIMIT", value_parser = value::rows)]
    pub rows: Option<usize>,
    #[command(flatten)]
    pub select: SelectArgs,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct AdviseArgs {
    /// The configuration: a file or a folder, repeatable, as HAProxy takes it; alone it needs neither HAProxy nor root
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// What this line would have freed, and what it would have cut; repeatable. "timeout client-fin 30s", "frontend fe: timeout client-fin 30s"
    #[arg(long, value_name = "LINE", value_parser = crate::haproxy::supposed)]
    pub what_if: Vec<Line>,
    /// What counts as stuck [default: 1s]
    #[arg(short, long, value_name = "DUR", value_parser = value::duration)]
    pub min: Option<Duration>,
    /// How many findings to list, or `all` [default: all]
    #[arg(short = 'n', long, value_name = "LIMIT", value_parser = value::rows)]
    pub rows: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct ExplainArgs {
    /// peer-never-closes, FIN_WAIT2, fin-wait-2, timewait, "timeout client-fin", tcp_fin_timeout, ...; nothing lists them all
    #[arg(value_name = "WHAT", num_args = 0..)]
    pub what: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct LogsArgs {
    /// Logs, packed by gzip or not, with any header; `-` or none: standard input
    #[arg(value_name = "FILE", num_args = 0..)]
    pub files: Vec<PathBuf>,
    /// Go on with what is written to the last of them, and show ends that are not normal as they come
    #[arg(short = 'F', long)]
    pub follow: bool,
    /// Stop following after this long [default: at Ctrl-C]
    #[arg(short, long, value_name = "DUR", value_parser = value::some_duration)]
    pub duration: Option<Duration>,
    /// Trace meanwhile, and hold each line against what the kernel saw of its sockets: of the HAProxy that is found, or of --pid
    #[arg(short, long)]
    pub trace: bool,
    /// A format of your own, as HAProxy's `log-format` has it; repeatable
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Vec<String>,
    /// HAProxy's configuration, for the formats in it; repeatable
    #[arg(short = 'f', long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Show the first lines that were not understood
    #[arg(long)]
    pub unparsed: bool,
    /// As CSV: a row for each frontend and ending
    #[arg(long, conflicts_with_all = ["json", "format"])]
    pub csv: bool,
    /// How many rows to list, or `all` [default: 20, in JSON 10000]
    #[arg(short = 'n', long, value_name = "LIMIT", value_parser = value::rows)]
    pub rows: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct StuckArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// How many sockets to list, or `all` [default: all, in JSON 10000]
    #[arg(short = 'n', long, value_name = "LIMIT", value_parser = value::rows)]
    pub rows: Option<usize>,
    /// What was stuck then, by a recording: 2026-11-21T03:12:00Z, or 90s after its beginning
    #[arg(long, value_name = "TIME", value_parser = value::moment, requires = "from", help_heading = "Recording")]
    pub at: Option<Moment>,
    #[command(flatten)]
    pub select: SelectArgs,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Every connection's end, not only of those that linger: to hold HAProxy's logs against
    #[arg(short, long)]
    pub all: bool,
    /// Run this, and record until it has ended
    #[arg(value_name = "CMD", last = true)]
    pub command: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct SessionsArgs {
    /// Sockets that linger for this long make their session a stuck one [default: 1s]
    #[arg(short, long, value_name = "DUR", value_parser = value::duration)]
    pub min: Option<Duration>,
    /// How many sessions to list, or `all` [default: 20, in JSON 10000]
    #[arg(short = 'n', long, value_name = "LIMIT", value_parser = value::rows)]
    pub rows: Option<usize>,
    /// Frontends, backends and servers too: HAProxy's figures beside the kernel's count of sockets
    #[arg(long)]
    pub servers: bool,
    /// Time between the two readings that --servers takes, to see whether sessions fall [default: 2s]
    #[arg(short, long, value_name = "DUR", value_parser = value::some_duration)]
    pub duration: Option<Duration>,
    #[command(flatten)]
    pub select: SelectArgs,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct DemoArgs {
    /// How long it runs [default: 25s]
    #[arg(short, long, value_name = "DUR", value_parser = value::some_duration)]
    pub duration: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct BenchArgs {
    /// Stop after this long [default: at Ctrl-C]
    #[arg(short, long, value_name = "DUR", value_parser = value::some_duration)]
    pub duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ModeArg {
    Auto,
    Traced,
    Polled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ByArg {
    Peer,
    Prefix,
    Server,
    Proxy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorArg {
    Auto,
    Always,
    Never,
}
