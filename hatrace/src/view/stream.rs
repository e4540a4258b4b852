//! The stream: a line for each socket that leaves a state in which it lingered, or lingers in one.

use std::io::{self, Write};

use hatrace_core::event::Event;
use hatrace_core::input::{ProcessChange, Transition};
use hatrace_core::snapshot::{Lingering, Snapshot};
use hatrace_core::sock::{Endpoints, Holder};
use hatrace_core::stream::Access;
use hatrace_core::time::{Age, Mono};

use super::page::Page;
use super::paint::Ink;
use super::{names, units, words};
use crate::port::Context;

/// Who is watched, and how: the first line, before anything happens.
///
/// # Errors
/// The writer's.
pub fn banner(out: &mut dyn Write, snapshot: &Snapshot, context: &Context, page: &Page) -> io::Result<()> {
    let line = format!(
        "{} · {} sockets adopted · lingering from {}",
        words::who(context),
        snapshot.totals.adopted,
        units::round(context.min)
    );
    let through: Vec<&str> = snapshot
        .asking
        .iter()
        .filter_map(|asking| match &asking.access {
            Some(Access::Ready { through }) => Some(through.as_str()),
            _ => None,
        })
        .collect();
    let line = if through.is_empty() {
        line
    } else {
        format!("{line} · sessions by {}", words::clean(&through.join(", ")))
    };
    writeln!(out, "{}", page.paint.dab(Ink::Faint, &line))
}

/// The heading of the columns.
///
/// # Errors
/// The writer's.
pub fn header(out: &mut dyn Write, page: &Page) -> io::Result<()> {
    let heads = Line {
        time: "TIME",
        side: "SIDE",
        state: "STATE",
        arrow: "->",
        next: "NEW",
        held: "HELD",
        local: "LOCAL",
        peer: "PEER",
        place: "PROXY/SERVER",
        session: "SESSION",
        notes: "NOTES",
    };
    writeln!(out, "{}", page.paint.dab(Ink::Head, &heads.text()))
}

/// One event, one line.
///
/// # Errors
/// The writer's.
pub fn event(out: &mut dyn Write, event: &Event, context: &Context, page: &Page) -> io::Result<()> {
    match event {
        Event::Lingers { at, row } => {
            let line = row_line(*at, row, "..", "still", &notes(row, context, None), context, page);
            writeln!(out, "{}", page.paint.dab(Ink::Warn, &line))
        }
        Event::Left { at, row, next } => {
            let (name, remark) = words::next(*next);
            let notes = notes(row, context, Some(remark));
            writeln!(out, "{}", row_line(*at, row, "->", name, &notes, context, page))
        }
        Event::Transition { at, transition, held } => {
            writeln!(out, "{}", transition_line(*at, transition, *held, context, page))
        }
        Event::Process { at, change } => {
            let what = match change {
                ProcessChange::Born { pid, parent } => format!("haproxy {pid} started by {parent}"),
                ProcessChange::Ended { pid } => format!("haproxy {pid} ended"),
            };
            let line = format!("{} {what}", clock_time(*at, context, page));
            writeln!(out, "{}", page.paint.dab(Ink::Head, &line))
        }
    }
}

/// The columns of a line. Widths are fixed, for nothing is known of the lines to come; a longer value pushes the rest.
struct Line<'a> {
    time: &'a str,
    side: &'a str,
    state: &'a str,
    arrow: &'a str,
    next: &'a str,
    held: &'a str,
    local: &'a str,
    peer: &'a str,
    place: &'a str,
    session: &'a str,
    notes: &'a str,
}

impl Line<'_> {
    fn text(&self) -> String {
        let Self {
            time,
            side,
            state,
            arrow,
            next,
            held,
            local,
            peer,
            place,
            session,
            notes,
        } = self;
        format!(
            "{time:<12} {side:<7} {state:<11} {arrow} {next:<11} {held:>8} {local:<21} {peer:<21} {place:<17} {session:<14} {notes}"
        )
        .trim_end()
        .to_owned()
    }
}

fn row_line(
    at: Mono,
    row: &Lingering,
    arrow: &str,
    next: &str,
    notes: &[String],
    context: &Context,
    page: &Page,
) -> String {
    let (local, peer) = ends(row.endpoints);
    Line {
        time: &clock_time(at, context, page),
        side: row.side.name(),
        state: row.state.name(),
        arrow,
        next,
        held: &units::age_cell(row.age),
        local: &local,
        peer: &peer,
        place: &names::place(row.side, &row.naming),
        session: &names::session(&row.naming),
        notes: &notes.join(", "),
    }
    .text()
}

fn transition_line(at: Mono, told: &Transition, held: Option<Age>, context: &Context, page: &Page) -> String {
    let (local, peer) = ends(Some(told.endpoints));
    let mut notes = Vec::new();
    // The kernel's self transition is HAProxy's close() of a socket that was already shut.
    if told.from == told.to {
        notes.push("HAProxy closed the fd".to_owned());
    }
    notes.extend(told.pid.map(|pid| format!("by {pid}")));
    Line {
        time: &clock_time(at, context, page),
        side: told.side.name(),
        state: told.from.name(),
        arrow: "->",
        next: told.to.name(),
        held: &held.map_or_else(|| "-".to_owned(), units::age_cell),
        local: &local,
        peer: &peer,
        // A transition is told as it happens, before anybody could be asked.
        place: "-",
        session: "-",
        notes: &notes.join(", "),
    }
    .text()
}

fn ends(endpoints: Option<Endpoints>) -> (String, String) {
    endpoints.map_or_else(
        || ("-".to_owned(), "-".to_owned()),
        |ends| (ends.local.to_string(), ends.peer.to_string()),
    )
}

fn clock_time(at: Mono, context: &Context, page: &Page) -> String {
    context
        .wall(at)
        .to_zoned(page.zone.clone())
        .strftime("%H:%M:%S%.3f")
        .to_string()
}

/// What else is known; `left`: the socket has left the state, with a remark on how.
fn notes(row: &Lingering, context: &Context, left: Option<Option<String>>) -> Vec<String> {
    let mut notes = Vec::new();
    let has_left = left.is_some();
    notes.push(match (row.holder, row.pid, row.fd) {
        (Holder::Held, Some(pid), Some(fd)) => format!("held by {pid} fd {}", fd.0),
        (Holder::Held, Some(pid), None) => format!("held by {pid}"),
        (Holder::Unaccepted, _, _) => "in the accept queue".to_owned(),
        (holder, _, _) => holder.name().to_owned(),
    });
    notes.extend(left.flatten());
    if has_left && row.end_polled {
        notes.push(format!("end polled ±{}", units::round(context.sweep_interval)));
    }
    if !has_left {
        notes.extend(super::clock::words(&row.clock));
    }
    if row.unread.is_some_and(|bytes| bytes > 0) {
        notes.push(format!("{} B unread", row.unread.unwrap_or(0)));
    }
    if row.unacked.is_some_and(|bytes| bytes > 0) {
        notes.push(format!("{} B unacked", row.unacked.unwrap_or(0)));
    }
    if row.retransmits > 0 {
        notes.push(format!("{} retransmits", row.retransmits));
    }
    if let Some(pair) = &row.naming.pair {
        notes.push(format!("pair {}", pair.state));
    }
    if row.adopted {
        notes.push("older than hatrace".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hatrace_core::event::Next;
    use hatrace_core::ids::{Cookie, Pid};
    use hatrace_core::life::Ending;
    use hatrace_core::sock::Side;
    use hatrace_core::tcp::TcpState;

    use super::*;
    use crate::view::sample::{self, text};

    fn line(told: &Event) -> String {
        text(|out| event(out, told, &sample::context(), &Page::default()))
    }

    /// `seconds` after the start of the watch, 09:44:00.
    fn after(millis: u64) -> Mono {
        sample::context().started_mono.plus(Duration::from_millis(millis))
    }

    #[test]
    fn it_opens_with_who_is_watched() {
        let page = Page::default();
        let banner = text(|out| banner(out, &sample::snapshot(), &sample::context(), &page));
        assert_eq!(
            banner.split_once(' ').unwrap().1.split_once(' ').unwrap().1,
            "· HAProxy 2.6.12-1+deb12u4 · worker 5108, master 5106 · traced · 312 sockets adopted · lingering from 1s · sessions by /run/haproxy/admin.sock\n"
        );
        assert_eq!(
            text(|out| header(out, &page)),
            "TIME         SIDE    STATE       -> NEW             HELD LOCAL                 PEER                  PROXY/SERVER      SESSION        NOTES\n"
        );
    }

    #[test]
    fn a_line_for_each_event() {
        let rows = sample::snapshot().lingering;
        let boxed = |index: usize| Box::new(rows[index].clone());
        for (told, expected) in [
            (
                Event::Lingers {
                    at: after(6757),
                    row: boxed(0),
                },
                "09:44:06.757 client  FIN_WAIT2   .. still         12m04s 192.0.2.1:443         10.0.0.7:51234        fe_http>srv2      0x55e4635ad1b0 held by 5108 fd 17, timeout client-fin (haproxy.cfg:12) in 27.1s, pair CLOSE_WAIT\n",
            ),
            (
                Event::Lingers {
                    at: after(6758),
                    row: boxed(3),
                },
                "09:44:06.758 client  FIN_WAIT2   .. still         ~2.30s 192.0.2.1:443         10.0.0.8:40000        -                 closed-before-asked timewait, tcp_fin_timeout in 57.7s\n",
            ),
            (
                Event::Left {
                    at: after(12_760),
                    row: boxed(3),
                    next: Next::Gone,
                },
                "09:44:12.760 client  FIN_WAIT2   -> CLOSE         ~2.30s 192.0.2.1:443         10.0.0.8:40000        -                 closed-before-asked timewait, gone: expired, reset or reused, end polled ±1s\n",
            ),
            (
                Event::Left {
                    at: after(12_761),
                    row: boxed(1),
                    next: Next::State(TcpState::LastAck),
                },
                "09:44:12.761 server  CLOSE_WAIT  -> LAST_ACK    2m04s..5m10s 127.0.0.1:37956       127.0.0.2:29001       -                 unsure         held by 5108 fd 18, 12 B unread, older than hatrace\n",
            ),
            (
                Event::Left {
                    at: after(12_762),
                    row: boxed(2),
                    next: Next::Ended(Ending::ResetByPeer),
                },
                "09:44:12.762 client  FIN_WAIT2   -> CLOSE          12.0s 192.0.2.1:443         10.0.0.7:51234        fe_http           draining       held by 5108 fd 19, RST from the peer\n",
            ),
            (
                Event::Left {
                    at: after(12_763),
                    row: boxed(4),
                    next: Next::ProcessEnded(Pid(5108)),
                },
                "09:44:12.763 unknown CLOSE_WAIT  -> CLOSE          1.50s -                     -                     -                 accept-queue   in the accept queue, haproxy 5108 ended\n",
            ),
            (
                Event::Process {
                    at: after(13_000),
                    change: ProcessChange::Born {
                        pid: Pid(6000),
                        parent: Pid(5106),
                    },
                },
                "09:44:13.000 haproxy 6000 started by 5106\n",
            ),
            (
                Event::Process {
                    at: after(13_001),
                    change: ProcessChange::Ended { pid: Pid(5108) },
                },
                "09:44:13.001 haproxy 5108 ended\n",
            ),
        ] {
            assert_eq!(line(&told), expected);
        }
    }

    #[test]
    fn a_transition_and_the_close_of_a_shut_socket() {
        let told = |from, to, held| Event::Transition {
            at: after(0),
            transition: Transition {
                cookie: Some(Cookie(1)),
                side: Side::Client,
                from,
                to,
                endpoints: sample::snapshot().lingering[0].endpoints.unwrap(),
                pid: Some(Pid(5108)),
                sk_err: None,
            },
            held,
        };
        assert_eq!(
            line(&told(TcpState::Established, TcpState::FinWait1, None)),
            "09:44:00.000 client  ESTABLISHED -> FIN_WAIT1          - 192.0.2.1:443         10.0.0.7:51234        -                 -              by 5108\n"
        );
        assert_eq!(
            line(&told(
                TcpState::FinWait2,
                TcpState::FinWait2,
                Some(sample::exact(Duration::from_micros(46_400)))
            )),
            "09:44:00.000 client  FIN_WAIT2   -> FIN_WAIT2     46.4ms 192.0.2.1:443         10.0.0.7:51234        -                 -              HAProxy closed the fd, by 5108\n"
        );
    }
}
