//! What the views say in words: what a state means, who is watched, what a line's end was.

use std::time::Duration;

use hatrace_core::event::Next;
use hatrace_core::life::Ending;
use hatrace_core::naming::Without;
use hatrace_core::snapshot::{Notice, Snapshot};
use hatrace_core::sock::Holder;
use hatrace_core::stream::{Streamless, Unreachable};
use hatrace_core::tcp::TcpState;

use super::units;
use crate::ability::Ability;
use crate::port::{Context, Mode};

/// What the kernel says with a state, and who must do what for it to end. A state blames nobody.
#[must_use]
pub const fn meaning(state: TcpState, holder: Holder) -> &'static str {
    match (state, holder) {
        (_, Holder::Unaccepted) => "in the accept queue: HAProxy has not accepted it yet. Not a leak",
        (TcpState::FinWait2, Holder::Held) => {
            "HAProxy's FIN is acknowledged, the peer has not sent its own; HAProxy has the fd open, so no kernel timer runs and its own timeouts govern"
        }
        (TcpState::FinWait2, _) => {
            "HAProxy has closed, the peer has not sent its FIN; the kernel ends it by tcp_fin_timeout"
        }
        (TcpState::CloseWait, _) => {
            "the peer has closed, HAProxy has not; no kernel timer runs: it ends when HAProxy closes"
        }
        (TcpState::FinWait1, _) => {
            "HAProxy's FIN, or data before it, is not acknowledged by the peer; the kernel retransmits"
        }
        (TcpState::LastAck, _) => {
            "both have closed; HAProxy's FIN is not acknowledged by the peer; the kernel retransmits"
        }
        (TcpState::Closing, _) => {
            "both closed at once; HAProxy's FIN is not acknowledged by the peer; the kernel retransmits"
        }
        (TcpState::SynSent, _) => "HAProxy is connecting; the server has not answered",
        (TcpState::TimeWait, _) => "closed by both; the kernel keeps the ports for 60 s. Not a leak",
        _ => "not a state in which a connection ends",
    }
}

/// What a state's dwell times are dwell times of.
#[must_use]
pub const fn dwell_meaning(state: TcpState) -> &'static str {
    match state {
        TcpState::FinWait2 => "HAProxy's FIN is acknowledged; waiting for the peer's FIN",
        TcpState::CloseWait => "the peer has closed; waiting for HAProxy to close",
        TcpState::FinWait1 => "HAProxy has sent its FIN; waiting for the peer's ACK of it",
        TcpState::LastAck => "both have closed; waiting for the peer's ACK of HAProxy's FIN",
        TcpState::Closing => "both closed at once; waiting for the peer's ACK of HAProxy's FIN",
        TcpState::SynSent => "connecting; waiting for the server's answer",
        TcpState::TimeWait => "closed by both; the kernel keeps the ports",
        TcpState::Established => "open",
        _ => "not a state in which a connection ends",
    }
}

/// What came after a state, as a column and as a remark.
#[must_use]
pub fn next(next: Next) -> (&'static str, Option<String>) {
    let (name, remark) = match next {
        Next::State(state) => (state.name(), None),
        Next::Ended(Ending::Closed) => ("CLOSE", Some("closed by both")),
        Next::Ended(Ending::HandedFinWait2) => (
            "FIN_WAIT2",
            Some("timewait: the kernel ends it by tcp_fin_timeout"),
        ),
        Next::Ended(Ending::HandedTimeWait) => ("TIME_WAIT", None),
        Next::Ended(Ending::ResetByPeer) => ("CLOSE", Some("RST from the peer")),
        Next::Ended(Ending::ResetByHaproxy) => ("CLOSE", Some("RST from HAProxy")),
        Next::Ended(Ending::TimedOut) => ("CLOSE", Some("timed out: the kernel gave it up")),
        Next::Ended(Ending::Aborted) => ("CLOSE", Some("destroyed by an administrator")),
        Next::Ended(Ending::NotConnected) => ("CLOSE", Some("not connected")),
        Next::Gone => ("CLOSE", Some("gone: expired, reset or reused")),
        Next::ProcessEnded(pid) => {
            return ("CLOSE", Some(format!("haproxy {pid} ended")));
        }
    };
    (name, remark.map(str::to_owned))
}

/// A word for what came next, for programs.
#[must_use]
pub const fn next_code(next: Next) -> &'static str {
    match next {
        Next::State(_) => "state",
        Next::Ended(Ending::Closed) => "closed",
        Next::Ended(Ending::HandedFinWait2) => "timewait-fin-wait2",
        Next::Ended(Ending::HandedTimeWait) => "time-wait",
        Next::Ended(Ending::ResetByPeer) => "reset-by-peer",
        Next::Ended(Ending::ResetByHaproxy) => "reset-by-haproxy",
        Next::Ended(Ending::TimedOut) => "timed-out",
        Next::Ended(Ending::Aborted) => "aborted",
        Next::Ended(Ending::NotConnected) => "not-connected",
        Next::Gone => "timewait-gone",
        Next::ProcessEnded(_) => "process-ended",
    }
}

/// `hatrace 0.1.0 · HAProxy 2.6.12 · worker 5108, master 5106 · traced`.
#[must_use]
pub fn who(context: &Context) -> String {
    let mut parts = vec![concat!("hatrace ", env!("CARGO_PKG_VERSION")).to_owned()];
    if !context.parts.is_empty() {
        parts.push(format!(
            "{} recordings of {}",
            context.parts.len(),
            clean(&context.hosts().join(", "))
        ));
    }
    parts.push(match &context.haproxy_version {
        Some(version) => format!("HAProxy {}", clean(version)),
        None => "HAProxy".to_owned(),
    });
    let processes = processes(context);
    // Of several hosts they mean nothing without these.
    if !processes.is_empty() && context.hosts().len() == 1 {
        parts.push(processes);
    }
    parts.push(mode(context));
    parts.join(" · ")
}

/// `worker 5108, master 5106`.
#[must_use]
pub fn processes(context: &Context) -> String {
    let pids: Vec<String> = context
        .pids
        .iter()
        .map(|pid| match context.master {
            Some(master) if master == *pid => format!("master {pid}"),
            Some(_) => format!("worker {pid}"),
            None => format!("pid {pid}"),
        })
        .collect();
    pids.join(", ")
}

/// The processes that hold connections: `5108`, or `5108,5111`. The master only where it is alone.
#[must_use]
pub fn holders(context: &Context) -> String {
    if context.hosts().len() > 1 {
        return format!("of {}", clean(&context.hosts().join(", ")));
    }
    let workers: Vec<String> = context
        .pids
        .iter()
        .filter(|pid| context.master != Some(**pid))
        .map(ToString::to_string)
        .collect();
    match (workers.is_empty(), context.master) {
        (true, Some(master)) => master.to_string(),
        (true, None) => "-".to_owned(),
        (false, _) => workers.join(","),
    }
}

/// `traced`, or `polled every 1s` with its reason.
#[must_use]
pub fn mode(context: &Context) -> String {
    let every = units::round(context.sweep_interval);
    match &context.mode {
        Mode::Traced { abilities } => {
            let lacking = abilities.lacking().map(|(ability, _)| match ability {
                Ability::TimewaitEnds => format!(", timewaits polled every {every}"),
                other => format!(", without {}", other.name()),
            });
            format!("traced{}", lacking.collect::<String>())
        }
        Mode::Polled { why: None } => format!("polled every {every}"),
        Mode::Polled { why: Some(why) } => format!("polled every {every} ({})", clean(why)),
    }
}

/// Why a socket has no session, in words.
#[must_use]
pub const fn without(why: Without) -> &'static str {
    match why {
        Without::Pending => "not asked about yet",
        Without::Streamless(why) => streamless(why),
        Without::AcceptQueue => "in the accept queue, which HAProxy doesn't see",
        Without::Closed => "closed before HAProxy was asked",
        Without::Unsure => "of which two looks tell different things",
        Without::Reused => "whose session is over and its pointer another connection's",
        Without::Unreachable(Unreachable::OldWorker) => {
            "held by an old worker, which only the master's command line would reach"
        }
        Without::Unreachable(Unreachable::LevelUser) => "unnamed: the stats socket is `level user`",
        Without::Unreachable(Unreachable::NoSocket) => "unnamed: HAProxy has no stats socket",
        Without::Unreachable(Unreachable::SlotsTaken) => "unnamed: all the stats socket's slots are taken",
        Without::Unreachable(Unreachable::Garbage) => "unnamed: what answers is not HAProxy's command line",
        Without::Unreachable(Unreachable::Denied) => "unnamed: the stats socket may not be opened",
        Without::Unreachable(Unreachable::OtherProcess) => {
            "unnamed: the stats socket answers for another process"
        }
        Without::Unreachable(Unreachable::NoAnswer) => "unnamed: the stats socket doesn't answer",
        Without::Off => "unnamed: HAProxy was not to be asked (--no-api)",
    }
}

/// What a connection without a stream is.
#[must_use]
pub const fn streamless(why: Streamless) -> &'static str {
    match why {
        Streamless::KeepAlive => "idle between two requests",
        Streamless::NoRequest => "without a complete request so far",
        Streamless::ProxyHeader => "waiting for the PROXY protocol's header",
        Streamless::Handshake => "in their TLS handshake",
        Streamless::Draining => "answered, the rest of the request being read off",
        Streamless::Pool => "kept for the server's next request",
        Streamless::Check => "health checks",
        Streamless::Cli => "of HAProxy's own command line",
        Streamless::Unspecified => "without a stream",
    }
}

/// A share of the time, as a fraction with six places. `None`: of a look at once, which is no time to have a share of.
#[must_use]
pub fn share_of(part: Duration, whole: Duration) -> Option<f64> {
    const A_WHILE: Duration = Duration::from_secs(2);
    (whole >= A_WHILE).then(|| (part.as_secs_f64() / whole.as_secs_f64() * 1e6).round() / 1e6)
}

/// What asking HAProxy has cost: `HAProxy asked 3 times: 12.4ms, 0.04% of the time`. `None`: it was not asked.
#[must_use]
pub fn asked(snapshot: &Snapshot) -> Option<String> {
    let all = || snapshot.asking.iter();
    let questions = all().map(|asking| asking.questions).fold(0, u64::saturating_add);
    let took = all()
        .map(|asking| asking.took)
        .fold(Duration::ZERO, Duration::saturating_add);
    let times = if questions == 1 { "once" } else { "times" };
    let count = if questions == 1 {
        String::new()
    } else {
        format!("{questions} ")
    };
    (questions > 0).then(|| {
        let line = format!("HAProxy asked {count}{times}: {}", units::words(took));
        match share_of(took, snapshot.watched) {
            Some(share) => format!("{line}, {:.2}% of the time", share * 100.0),
            None => line,
        }
    })
}

/// How many of the lingering sockets have a session, and why the others have none. `None`: nothing lingers, or HAProxy was not there to ask.
#[must_use]
pub fn matched(snapshot: &Snapshot) -> Option<String> {
    let lingering = snapshot.lingering.len() as u64;
    if lingering == 0 || snapshot.asking.is_empty() {
        return None;
    }
    let named = snapshot.totals.with_session;
    let have = if named == 1 { "has" } else { "have" };
    let mut line = format!(
        "{named} of {lingering} lingering sockets ({}) {have} a session",
        super::report::percent(named, lingering)
    );
    for (index, (why, count)) in snapshot.without_session.iter().enumerate() {
        let first = if index == 0 { "; the others: " } else { ", " };
        line.push_str(&format!("{first}{count} {}", without(*why)));
    }
    Some(line)
}

/// A notice in one line.
#[must_use]
pub fn notice(notice: &Notice) -> String {
    format!(
        "notice: {} ({}): {}",
        notice.code,
        notice.count,
        clean(&notice.text)
    )
}

/// Text that came from another program, without what a terminal would obey.
#[must_use]
pub fn clean(text: &str) -> String {
    // Marks of direction make a line read as another one.
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if obeyed(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use hatrace_core::ids::Pid;

    use super::*;
    use crate::ability::Abilities;
    use crate::view::sample;

    #[test]
    fn a_terminal_is_not_spoken_to() {
        assert_eq!(clean("2.6\u{1b}[31m\n\u{9b}x é"), "2.6 [31m  x é");
        assert_eq!(clean("a\u{202e}b\u{2028}c\u{2066}"), "a b c ");
        let mut context = sample::context();
        context.haproxy_version = Some("2.6\u{1b}c".to_owned());
        assert!(!who(&context).contains('\u{1b}'));
    }

    #[test]
    fn processes_and_modes() {
        let mut context = sample::context();
        assert_eq!(processes(&context), "worker 5108, master 5106");
        assert_eq!(holders(&context), "5108");
        context.pids = vec![Pid(5106)];
        assert_eq!(holders(&context), "5106");
        context.pids = vec![Pid(1), Pid(2)];
        context.master = None;
        assert_eq!(processes(&context), "pid 1, pid 2");
        assert_eq!(holders(&context), "1,2");
        let without = |names: &[Ability]| Mode::Traced {
            abilities: Abilities::all_but(&names.iter().copied().collect()),
        };
        context.mode = without(&[]);
        assert_eq!(mode(&context), "traced");
        context.mode = without(&[Ability::TimewaitEnds, Ability::Retransmits]);
        assert_eq!(
            mode(&context),
            "traced, timewaits polled every 1s, without retransmits"
        );
        context.mode = Mode::Polled {
            why: Some("no BTF".to_owned()),
        };
        assert_eq!(mode(&context), "polled every 1s (no BTF)");
    }

    #[test]
    fn an_orphan_is_the_kernel_s_and_an_unaccepted_one_is_no_leak() {
        assert!(meaning(TcpState::FinWait2, Holder::Held).contains("no kernel timer"));
        for holder in [Holder::Orphaned, Holder::Timewait] {
            assert!(meaning(TcpState::FinWait2, holder).contains("tcp_fin_timeout"));
        }
        assert!(meaning(TcpState::CloseWait, Holder::Unaccepted).ends_with("Not a leak"));
    }
}
