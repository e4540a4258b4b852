//! What the demo says before and after: which peer leaks, what to expect, and how to ask the same of a real HAProxy.

use hatrace_core::ids::Pid;

use super::config::{Plan, TUNNEL_SECONDS};
use super::servers::THINKS;
use super::{GOOD_SERVER, IMPATIENT, KEEPER, LEAKY_CLIENT};

/// Who leaks, and what a report should therefore say.
pub(super) fn of(plan: &Plan) -> String {
    let (leaky, slow, thinks) = (plan.leaky1.ip(), plan.slow1.ip(), THINKS.as_secs());
    format!(
        "A HAProxy of the demo's own, about six connections a second on loopback, and four peers that misbehave:\n  \
         {leaky}  a server that never closes: FIN_WAIT2 on the server side until `timeout tunnel {TUNNEL_SECONDS}s`,\n             \
                    CLOSE_WAIT on the client side of the same connections\n  \
         {LEAKY_CLIENT}  a client that never closes, and no timeout set for it: FIN_WAIT2 on the client side to the end,\n             \
                    CLOSE_WAIT on the server side, where {GOOD_SERVER} is innocent\n  \
         {KEEPER}  a client that keeps what HAProxy has closed: FIN_WAIT2 that only the kernel's tcp_fin_timeout ends\n  \
         {IMPATIENT}  a client that leaves before the slow server {slow} answers: CLOSE_WAIT, unread, about {thinks} s\n\
         All the others behave.\n"
    )
}

/// What shows each part again, on a real machine: a command a line. `pid`: the demo's HAProxy, which is gone by then.
#[must_use]
pub fn closing_words(pid: Pid) -> String {
    format!(
        "The demo's HAProxy (pid {pid}) is gone. The same of your own:\n  \
         sudo hatrace --pid $(pidof haproxy)   a line for each socket that lingers; Ctrl-C for the summary\n  \
         sudo hatrace stuck                    what is stuck right now, oldest first\n  \
         sudo hatrace report -d 30s            this report: who must close, dwell times, the oldest sockets\n  \
         sudo hatrace culprits -d 60s          who leaves connections open, and what to change\n  \
         sudo hatrace doctor                   what this host allows, and what it costs to lack\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_whole_lines_that_can_be_pasted() {
        let words = closing_words(Pid(4711));
        assert!(words.contains("4711"));
        for command in [
            "--pid $(pidof haproxy) ",
            "stuck ",
            "report -d 30s ",
            "culprits -d 60s ",
            "doctor ",
        ] {
            let line = format!("\n  sudo hatrace {command}");
            assert!(words.contains(&line), "{command}: {words}");
        }
    }
}
