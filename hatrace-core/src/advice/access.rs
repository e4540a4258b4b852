//! What an operator, or hatrace, needs to look inside: a stats socket, and log lines that can be matched to sockets.

use super::{Advice, Severity, Subject, advice};

/// What is missing for it.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Advice> {
    let mut all = Vec::new();
    sockets(subject, &mut all);
    logs(subject, &mut all);
    all
}

fn sockets(subject: &Subject<'_>, all: &mut Vec<Advice>) {
    const SOCKET: &str = "stats socket /run/haproxy/admin.sock mode 660 level operator";
    let Some(global) = subject.text.of("global").next() else {
        return;
    };
    let lines: Vec<_> = subject
        .text
        .of("global")
        .flat_map(|section| section.lines.iter())
        .filter(|line| line.begins(&["stats", "socket"]))
        .collect();
    if lines.is_empty() {
        all.push(advice(
            "stats-socket-missing",
            Severity::Consider,
            &global.place,
            "global",
            "without a stats socket nobody can ask HAProxy which session a stuck socket is of, nor end it",
            Some(SOCKET),
        ));
    }
    let low = |line: &&&super::Statement| line.certain && line.after("level") == Some("user");
    let useful = lines.iter().any(|line| line.after("level") != Some("user"));
    for line in lines.iter().filter(low).filter(|_| !useful) {
        all.push(advice(
            "stats-socket-level",
            Severity::Consider,
            &line.place,
            "global",
            "`level user` refuses `show sess`: sessions of stuck sockets can't be told, nor ended",
            Some(SOCKET),
        ));
    }
}

/// A line of a log belongs to a socket by its addresses and ports.
fn logs(subject: &Subject<'_>, all: &mut Vec<Advice>) {
    for section in &subject.text.sections {
        for line in section.all(&["log-format"]) {
            let format = line.words.get(1).map_or("", String::as_str);
            let lacks: Vec<&str> = [("%ci", "src"), ("%cp", "src_port")]
                .iter()
                .filter(|(short, long)| !format.contains(short) && !format.contains(long))
                .map(|(short, _)| *short)
                .collect();
            if !lacks.is_empty() && !format.contains("json") && !format.is_empty() {
                all.push(advice(
                    "log-without-sockets",
                    Severity::Note,
                    &line.place,
                    section.title(),
                    format!(
                        "its lines can't be matched to sockets: {} is not in them",
                        lacks.join(" and ")
                    ),
                    Some("log-format \"%ci:%cp %bi:%bp %si:%sp %pid [%tr] %ft %b/%s %tsc ...\""),
                ));
            }
        }
    }
}
