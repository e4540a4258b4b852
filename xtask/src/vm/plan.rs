//! What a guest runs: the live tests that depend on the kernel, and the same on a kernel that lacks what some lack.

use super::kernels::Kernel;

/// It waits for more than a minute, and does nothing meanwhile: beside all others, and once.
const LATE_FIN: &str = "orphaned::a_late_fin_turns_it_into_time_wait_of_a_minute";

/// Something that the kernel decides, by the exact names of live tests.
pub(super) struct Topic {
    pub(super) name: &'static str,
    /// Where hatrace traces.
    traced: &'static [&'static str],
    /// Where it can only poll.
    polled: &'static [&'static str],
}

impl Topic {
    /// What shows it on this kernel; nothing where it can't be shown.
    pub(super) const fn tests(&self, kernel: &Kernel) -> &'static [&'static str] {
        if kernel.traced { self.traced } else { self.polled }
    }
}

pub(super) const TOPICS: [Topic; 14] = [
    Topic {
        name: "held FIN_WAIT2 and CLOSE_WAIT",
        traced: &[
            "held::server_closes_and_client_never_does",
            "held::client_closes_and_server_never_does",
            "held::the_stream_tells_what_lingers_and_what_leaves",
        ],
        polled: &["polled::held_either_way_within_an_interval"],
    },
    Topic {
        name: "orphaned FIN_WAIT2",
        traced: &[
            "orphaned::is_shown_for_as_long_as_the_kernel_keeps_it",
            "orphaned::is_listed_with_its_holder_and_its_clock",
            "odd::a_close_after_shutdown_does_not_restart_the_dwell",
        ],
        polled: &["polled::orphaned_with_its_clock_until_a_late_fin"],
    },
    Topic {
        name: "TIME_WAIT after a late FIN",
        traced: &[LATE_FIN],
        polled: &[],
    },
    Topic {
        name: "sockets older than hatrace",
        traced: &[
            "adoption::two_hundred_older_sockets_with_the_truth_inside_their_intervals",
            "adoption::an_adopted_socket_ends_as_what_it_was",
        ],
        polled: &["polled::older_ones_are_at_least_so_old"],
    },
    Topic {
        name: "a reload, both workers",
        traced: &[
            "reload::connections_of_both_workers_are_followed",
            "reload::a_master_alone_stands_for_its_workers_and_an_old_one_ends",
        ],
        polled: &["polled::both_workers_of_a_reload"],
    },
    Topic {
        name: "a RST that ends it",
        traced: &["odd::a_reset_ends_a_held_fin_wait2"],
        polled: &["polled::a_reset_ends_it"],
    },
    Topic {
        name: "retransmissions",
        traced: &["matrix::retransmissions_are_counted"],
        polled: &["polled::retransmissions_are_those_a_poll_finds"],
    },
    Topic {
        name: "IPv6, and IPv4 mapped into it",
        traced: &["scope::ipv6_and_mapped_ipv4_are_told_as_what_they_are"],
        polled: &["polled::ipv6_and_mapped_ipv4"],
    },
    Topic {
        name: "MPTCP, left alone and said so",
        traced: &["layers::mptcp_is_left_alone_and_said"],
        polled: &["layers::mptcp_is_left_alone_in_polled_mode"],
    },
    Topic {
        name: "kernel TLS",
        traced: &["layers::kernel_tls_is_followed_like_any_other"],
        polled: &[],
    },
    Topic {
        name: "the same JSON for the same scenario",
        traced: &["matrix::the_same_scenario_is_the_same_everywhere"],
        polled: &[],
    },
    Topic {
        name: "polled mode",
        traced: &["held::polled_mode_sees_the_same"],
        polled: &["held::polled_mode_sees_the_same"],
    },
    Topic {
        name: "no programs: polled, and said",
        traced: &["refusals::no_programs_is_said_and_polled_instead"],
        polled: &["refusals::no_programs_is_said_and_polled_instead"],
    },
    Topic {
        name: "no sock_diag: held ones all the same",
        traced: &["refusals::no_sock_diag_costs_queues_and_clocks_alone"],
        polled: &[],
    },
];

/// Tests at a time in a guest: more, and loading the kernel half takes each of them seconds.
const THREADS: usize = 4;

/// Everything that some traced kernel lacks, switched off.
pub(super) const WITHOUT: &str = "timewait-ends,resets-sent,retransmits,one-process";

/// The tests for a kernel.
pub(super) fn tests(kernel: &Kernel, filter: Option<&str>) -> Vec<&'static str> {
    let mut tests: Vec<&str> = TOPICS
        .iter()
        .flat_map(|topic| topic.tests(kernel))
        .copied()
        .filter(|name| filter.is_none_or(|filter| name.contains(filter)))
        .collect();
    tests.sort_unstable();
    tests.dedup();
    tests
}

/// Those that are run once more where everything is switched off that some kernels lack: in a run of everything all of them but those that
/// switch off themselves, and the slow one; else what is told otherwise then.
fn tests_without(kernel: &Kernel, filter: Option<&str>, whole: bool) -> Vec<&'static str> {
    let told_otherwise = |name: &str| {
        name.starts_with("orphaned::is_shown")
            || name.starts_with("matrix::")
            || name.starts_with("held::client")
    };
    let switches = |name: &str| name.starts_with("refusals::") || name.contains("polled");
    tests(kernel, filter)
        .into_iter()
        .filter(|_| kernel.traced)
        .filter(|name| *name != LATE_FIN && !switches(name) && (whole || told_otherwise(name)))
        .collect()
}

/// The script of a guest. Every line that begins with `vm-` is for [`super::outcome`].
pub(super) fn script(kernel: &Kernel, filter: Option<&str>, whole: bool) -> String {
    let (slow, all): (Vec<&str>, Vec<&str>) = tests(kernel, filter)
        .into_iter()
        .partition(|name| *name == LATE_FIN);
    let mut script =
        "export HATRACE_BIN=/usr/bin/hatrace HATRACE_HAPROXY_DIR=/haproxy HATRACE_SKIPPED_FILE=/tmp/skipped \
                      HATRACE_SLACK_MS=500 TMPDIR=/tmp\n\
                      echo \"vm-doctor: $(hatrace doctor --json 2>/dev/null | tr -d '\\n')\"\n"
            .to_owned();
    // Without a name libtest would run everything there is.
    let run = |tests: &[&str]| format!("live --exact --test-threads {THREADS} {}", tests.join(" "));
    if !slow.is_empty() {
        script += &format!("{} >/tmp/slow 2>&1 & slow=$!\n", run(&slow));
    }
    if !all.is_empty() {
        script += &format!("{} || code=1\n", run(&all));
    }
    let less = tests_without(kernel, filter, whole);
    if !less.is_empty() {
        script += &format!(
            "echo vm-without\nHATRACE_WITHOUT={WITHOUT} {} || code=1\necho vm-whole\n",
            run(&less)
        );
    }
    if !slow.is_empty() {
        script += "wait $slow || code=1\ncat /tmp/slow\n";
    }
    script += "[ -e /tmp/skipped ] && sed 's/^/vm-skipped: /' /tmp/skipped\nexit ${code:-0}\n";
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::kernels::KERNELS;

    #[test]
    fn every_kernel_runs_what_it_can_show_and_no_list_is_empty() {
        for kernel in &KERNELS {
            let script = script(kernel, None, true);
            assert_eq!(script.contains("vm-without"), kernel.traced);
            assert_eq!(script.contains("wait $slow"), kernel.traced);
            let names = tests(kernel, None);
            assert!(names.len() > 8, "{}: {names:?}", kernel.name);
            assert!(
                !names
                    .iter()
                    .any(|name| !kernel.traced && name.starts_with("orphaned::"))
            );
        }
        let none = script(&KERNELS[1], Some("no such test"), true);
        assert!(!none.contains("live --exact"), "{none}");
        let one = script(&KERNELS[1], Some("late_fin"), true);
        assert_eq!(one.matches("live --exact").count(), 1, "{one}");
    }
}
