use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;
use hatrace_core::sock::Side;
use hatrace_core::tcp::TcpState;

use super::*;
use crate::view::out::{ColorChoice, Format};

fn read(line: &str) -> Result<Invocation, String> {
    read_words(&line.split_whitespace().collect::<Vec<_>>())
}

fn read_words(words: &[&str]) -> Result<Invocation, String> {
    let words = std::iter::once("hatrace").chain(words.iter().copied());
    let args = args::Args::try_parse_from(codes::shielded(words.map(Into::into))).map_err(|error| {
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    })?;
    resolve::resolve(args).map_err(|problem| {
        assert_eq!(problem.exit, Exit::Usage);
        problem.to_string()
    })
}

fn watch(line: &str) -> WatchOptions {
    options(read(line).unwrap())
}

fn options(invocation: Invocation) -> WatchOptions {
    match invocation {
        Invocation::Trace(options) | Invocation::Report(options) | Invocation::Stuck(options) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn clap_finds_the_definition_sound() {
    args::Args::command().debug_assert();
}

#[test]
fn pids_in_every_spelling() {
    let pids = |words: &[&str]| options(read_words(words).unwrap()).target.pids;
    let some = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(pids(&["--pid", "12", "34"]), some(&["12", "34"]));
    assert_eq!(pids(&["--pid", "12 34"]), some(&["12 34"]));
    assert_eq!(pids(&["--pid", "12,34"]), some(&["12,34"]));
    assert_eq!(pids(&["--pid=12"]), some(&["12"]));
    assert_eq!(pids(&["-p12"]), some(&["12"]));
    assert_eq!(pids(&["-p", "12", "-p", "34"]), some(&["12", "34"]));
    assert_eq!(pids(&["--pid", "12", "34", "report"]), some(&["12", "34"]));
    assert_eq!(pids(&["report", "--pid", "12", "34"]), some(&["12", "34"]));
    assert_eq!(
        pids(&["stuck", "--pid", "12", "34", "--older", "5m"]),
        some(&["12", "34"])
    );
    assert_eq!(pids(&["--pid"]), some(&[]));
    assert_eq!(pids(&["--pid", ""]), some(&[""]));
    assert_eq!(pids(&["--pid", "report"]), some(&[]));
    assert_eq!(pids(&["--pid", "-d", "5"]), some(&[]));
    assert_eq!(pids(&["trace", "--pid"]), some(&[]));
    assert_eq!(pids(&[]), None);
}

#[test]
fn a_command_between_pids_is_a_command() {
    assert!(matches!(read("--pid 12 34 report"), Ok(Invocation::Report(_))));
    assert!(matches!(read("--pid 12 stuck"), Ok(Invocation::Stuck(_))));
    assert!(matches!(read("--pid"), Ok(Invocation::Trace(_))));
    assert!(matches!(read("--pid doctor"), Ok(Invocation::Doctor(_))));
}

#[test]
fn defaults() {
    let trace = watch("");
    assert_eq!(trace, watch("trace"));
    assert_eq!(trace.min, Duration::from_secs(1));
    assert_eq!(trace.interval, Duration::from_secs(1));
    assert_eq!(trace.duration, None);
    assert_eq!(trace.mode, ModeChoice::Auto);
    assert_eq!(trace.output, OutputOptions::default());
    assert!(!trace.all && trace.selection.is_everything());
    assert_eq!(watch("report").rows, 10);
    assert_eq!(watch("report --json").rows, 10_000);
    assert_eq!(watch("stuck").rows, usize::MAX);
    assert_eq!(watch("stuck --json").rows, 10_000);
    assert_eq!(watch("stuck -n 7").rows, 7);
    assert_eq!(watch("report -n all").rows, usize::MAX);
}

#[test]
fn options_of_a_command_may_stand_before_it() {
    assert_eq!(
        read("-d 60 -m 5s --mode polled --state FIN_WAIT2 report"),
        read("report -d 1m --min 5 --mode polled --state fin-wait-2")
    );
    assert_eq!(watch("-d 60 report -d 5").duration, Some(Duration::from_secs(5)));
    assert!(watch("-a trace").all && watch("trace --all").all && watch("-a").all);
    assert!(
        matches!(read("-d 5 demo"), Ok(Invocation::Demo(options)) if options.duration == Duration::from_secs(5))
    );
}

#[test]
fn filters() {
    let selection = watch(
        "stuck --state FIN_WAIT2 --state close-wait,LAST_ACK --side client --peer 10.0.0.0/8 --peer ::1 --older 5m",
    )
    .selection;
    assert_eq!(
        selection.states,
        [TcpState::FinWait2, TcpState::CloseWait, TcpState::LastAck]
    );
    assert_eq!(selection.sides, [Side::Client]);
    assert_eq!(
        selection.peers,
        ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]
    );
    assert_eq!(selection.older, Some(Duration::from_secs(300)));
}

#[test]
fn what_is_younger_than_the_default_minimum_can_be_asked_for() {
    assert_eq!(watch("stuck --older 200ms").min, Duration::from_millis(200));
    assert_eq!(watch("stuck --older 5m").min, Duration::from_secs(1));
    assert!(read("stuck --older 1s --min 2s").is_err());
}

#[test]
fn output() {
    let output = watch("report --json -o /tmp/x -q --no-color").output;
    assert_eq!(output.format, Format::Json);
    assert_eq!(output.file, Some(PathBuf::from("/tmp/x")));
    assert_eq!(output.color, ColorChoice::Never);
    assert!(output.quiet);
    assert_eq!(watch("-vv").output.verbose, 2);
    assert_eq!(watch("--format json --json").output.format, Format::Json);
    assert_eq!(watch("-o -").output.file, None);
    assert_eq!(watch("--json stuck").output.format, Format::Json);
    assert_eq!(watch("--color always").output.color, ColorChoice::Always);
}

#[test]
fn the_other_commands() {
    assert!(
        matches!(read("doctor --json"), Ok(Invocation::Doctor(options)) if options.output.format == Format::Json)
    );
    assert!(
        matches!(read("demo"), Ok(Invocation::Demo(options)) if options.duration == Duration::from_secs(25))
    );
    assert!(
        matches!(read("bench-empty -p 12 -d 5"), Ok(Invocation::BenchEmpty(options))
        if options.duration == Some(Duration::from_secs(5)) && options.target.pids == Some(vec!["12".to_owned()]))
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "--nonsense",
        "-x",
        "nonsense",
        "report nonsense",
        "--pid 12 reprot",
        "--pid -1",
        "--pid haproxy",
        "-m",
        "-m soon",
        "-d 0",
        "-d -5",
        "--interval 10ms",
        "--interval 2m",
        "--mode guess",
        "--format xml",
        "--color sometimes",
        "--state TIME_WAIT",
        "stuck --state FIN_WAIT3",
        "stuck --side left",
        "stuck --peer web1",
        "stuck --peer 10.0.0.0/40",
        "stuck -n some",
        "stuck -d 5",
        "stuck --interval 1s",
        "stuck -a",
        "-d 5 stuck",
        "-a report",
        "report -a",
        "-m 2 doctor",
        "doctor -d 5",
        "demo --pid 12",
        "-a demo",
        "-a --mode polled",
        "--json --format text",
        "--json report --format text",
        "--no-color --color always",
        "-q -v",
        "-o",
    ] {
        assert!(read(line).is_err(), "{line}");
    }
}

#[test]
fn what_is_refused_says_what_to_do() {
    assert_eq!(
        read("-a report"),
        Err("error: report doesn't take -a/--all\n  try: hatrace report --help".to_owned())
    );
    let error = read("stuck --peer web1").unwrap_err();
    assert!(error.contains("10.0.0.0/8"), "{error}");
    let error = read("--pid 12 reprot").unwrap_err();
    assert!(
        error.starts_with("error: --pid was given `reprot`, which is neither"),
        "{error}"
    );
    let error = read("report --pid 12 --jsn").unwrap_err();
    assert!(error.contains("--json"), "{error}");
}

#[test]
fn help_names_the_commands_that_exist_and_no_other() {
    let help = args::Args::command().render_help().to_string();
    for command in ["trace", "report", "stuck", "doctor", "demo"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
    assert!(!help.contains("bench-empty"), "{help}");
    assert!(help.contains("Exit codes: 0 done"), "{help}");
}

#[test]
fn exit_codes() {
    let exit = |words: &[&str]| {
        let words = std::iter::once("hatrace").chain(words.iter().copied());
        parse_from(words.map(OsString::from)).map_err(|code| format!("{code:?}"))
    };
    assert_eq!(exit(&["--version"]), Err(format!("{:?}", ExitCode::SUCCESS)));
    assert_eq!(exit(&["--nonsense"]), Err(format!("{:?}", ExitCode::from(2))));
    assert_eq!(exit(&["-q", "-v"]), Err(format!("{:?}", ExitCode::from(2))));
    assert!(exit(&["doctor"]).is_ok());
}

#[test]
fn recordings_are_made_and_read() {
    let Invocation::Record(record) = read("record -o night -d 8h --max-size 1G --redact -- sleep 5").unwrap()
    else {
        panic!("record");
    };
    let to = record.watch.record[0].clone();
    assert_eq!(
        (to.path.to_str(), to.limit, to.redact),
        (Some("night"), Some(1 << 30), true)
    );
    assert_eq!(record.watch.output.file, None, "-o is the recording's");
    assert_eq!(record.command, ["sleep", "5"]);
    let report = watch("report --record r --min 2s");
    assert_eq!(report.record[0].path.to_str(), Some("r"));
    let stuck = watch("stuck --from a b --at 2026-11-21T03:12:00Z");
    assert_eq!(stuck.from.len(), 2);
    assert!(matches!(stuck.at, Some(Moment::Wall(_))));
    assert_eq!(
        watch("stuck --from a --at 90s").at,
        Some(Moment::After(Duration::from_secs(90)))
    );
    assert_eq!(
        watch("report --from a --min 5s").min_given,
        Some(Duration::from_secs(5))
    );
}

#[test]
fn recordings_where_they_make_no_sense() {
    for line in [
        "record",
        "record -o a --record b",
        "record -o a --from b",
        "record -o a --state FIN_WAIT2",
        "record -o a --max-size 0",
        "record -o a --max-size many",
        "report --max-size 1G",
        "report --redact",
        "report --from a --pid 1",
        "report --from a -d 5",
        "report --from a --record b",
        "stuck --at 90s",
        "stuck --from a --at yesterday",
        "--from a",
        "trace --from a",
        "doctor --record a",
    ] {
        assert!(read(line).is_err(), "{line}");
    }
}

#[test]
fn explain_takes_options_behind_its_words_and_codes_among_them() {
    let explain = |line: &str| match read(line).unwrap() {
        Invocation::Explain(options) => options,
        other => panic!("{other:?}"),
    };
    let options = explain("explain timeout client-fin --json --from a b");
    assert_eq!(options.what, ["timeout", "client-fin"]);
    assert_eq!(options.output.format, Format::Json);
    assert_eq!(options.seen.from, [PathBuf::from("a"), PathBuf::from("b")]);
    assert_eq!(explain("explain --NI --json").what, ["--NI"]);
    assert_eq!(explain("explain --").what, ["--"]);
}

#[test]
fn a_recording_in_a_row_of_files_has_a_size_to_turn_at() {
    let plan = |line: &str| match read(line).unwrap() {
        Invocation::Record(options) => options.watch.record[0].clone(),
        other => panic!("{other:?}"),
    };
    let one = plan("record -o r");
    assert_eq!((one.limit, one.keep), (None, None));
    let row = plan("record -o r --rotate 5");
    assert_eq!((row.limit, row.keep), (Some(100 << 20), Some(5)));
    let row = plan("record -o r --rotate 5 --max-size 1M");
    assert_eq!((row.limit, row.keep), (Some(1 << 20), Some(5)));
    assert!(read("record -o r --rotate 0").is_err());
    assert!(read("report --rotate 5").unwrap_err().contains("--record FILE"));
    assert!(read("stuck --host lb1").unwrap_err().contains("--from FILE"));
    assert!(read("stuck --host lb1 --from a").is_ok());
}

#[test]
fn logs_that_are_held_against_a_trace_are_followed() {
    let logs = |line: &str| match read(line).unwrap() {
        Invocation::Logs(options) => options,
        other => panic!("{other:?}"),
    };
    let plain = logs("logs a b");
    assert!(!plain.trace && !plain.follow);
    let traced = logs("logs a -d 5s --pid 12");
    assert!(traced.trace && traced.follow && traced.seen.all);
    assert_eq!(traced.seen.duration, Some(Duration::from_secs(5)));
    assert!(logs("logs a --trace").follow);
    assert_eq!(logs("logs a --trace --record r").seen.record.len(), 1);
    for line in [
        "logs a -d 5s",
        "logs a --record r",
        "logs a --pid 12 --from r",
        "logs a -F --from r",
    ] {
        assert!(read(line).is_err(), "{line}");
    }
}
