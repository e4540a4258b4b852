//! What a guest runs: the live tests that depend on the kernel, and the same on a kernel that lacks what some lack.

use super::kernels::Kernel;

const LATE_FIN: &str = "orphaned::a_late_fin_turns_it_into_time_wait_of_a_minute";

/// What the kernel decides, by the names of live tests: exact ones.
pub(super) const TOPICS: [(&str, &[&str]); 12] = [
    (
        "held FIN_WAIT2 and CLOSE_WAIT",
        &[
            "held::server_closes_and_client_never_does",
            "held::client_closes_and_server_never_does",
            "held::the_stream_tells_what_lingers_and_what_leaves",
        ],
    ),
    (
        "orphaned FIN_WAIT2",
        &[
            "orphaned::is_shown_for_as_long_as_the_kernel_keeps_it",
            "orphaned::is_listed_with_its_holder_and_its_clock",
            "odd::a_close_after_shutdown_does_not_restart_the_dwell",
        ],
    ),
    ("TIME_WAIT after a late FIN", &[LATE_FIN]),
    (
        "sockets older than hatrace",
        &[
            "adoption::two_hundred_older_sockets_with_the_truth_inside_their_intervals",
            "adoption::an_adopted_socket_ends_as_what_it_was",
        ],
    ),
    (
        "a reload, both workers",
        &[
            "reload::connections_of_both_workers_are_followed",
            "reload::a_master_alone_stands_for_its_workers_and_an_old_one_ends",
        ],
    ),
    ("a RST that ends it", &["odd::a_reset_ends_a_held_fin_wait2"]),
    ("retransmissions", &["matrix::retransmissions_are_counted"]),
    (
        "IPv6, and IPv4 mapped into it",
        &["scope::ipv6_and_mapped_ipv4_are_told_as_what_they_are"],
    ),
    (
        "MPTCP, left alone and said so",
        &["layers::mptcp_is_left_alone_and_said"],
    ),
    ("kernel TLS", &["layers::kernel_tls_is_followed_like_any_other"]),
    (
        "the same JSON for the same scenario",
        &["matrix::the_same_scenario_is_the_same_everywhere"],
    ),
    ("polled mode", &["held::polled_mode_sees_the_same"]),
];

/// Topics that a kernel can show without being traced.
const POLLED: [&str; 1] = ["polled mode"];

/// Tests at a time in a guest: more, and loading the kernel half takes each of them seconds.
const THREADS: usize = 4;

/// Everything that some kernel lacks, switched off.
pub(super) const WITHOUT: &str = "timewait-ends,resets-sent,retransmits,one-process";

/// The tests for a kernel.
pub(super) fn tests(kernel: &Kernel, filter: Option<&str>) -> Vec<&'static str> {
    TOPICS
        .iter()
        .filter(|(topic, _)| kernel.traced || POLLED.contains(topic))
        .flat_map(|(_, tests)| tests.iter().copied())
        .filter(|name| filter.is_none_or(|filter| name.contains(filter)))
        .collect()
}

/// Those that are run once more where everything is switched off that some kernels lack: in a run of everything all of them but one, which
/// waits for more than a minute; else what is told otherwise then.
fn tests_without(kernel: &Kernel, filter: Option<&str>, whole: bool) -> Vec<&'static str> {
    let told_otherwise = |name: &str| {
        name.starts_with("orphaned::is_shown")
            || name.starts_with("matrix::")
            || name.starts_with("held::client")
    };
    tests(kernel, filter)
        .into_iter()
        .filter(|_| kernel.traced)
        .filter(|name| *name != LATE_FIN && (whole || told_otherwise(name)))
        .collect()
}

/// The script of a guest. Every line that begins with `vm-` is for [`super::outcome`].
pub(super) fn script(kernel: &Kernel, filter: Option<&str>, whole: bool) -> String {
    let all = tests(kernel, filter).join(" ");
    let mut script = format!(
        "export HATRACE_BIN=/usr/bin/hatrace HATRACE_HAPROXY_DIR=/haproxy HATRACE_SKIPPED_FILE=/tmp/skipped HATRACE_SLACK_MS=500 TMPDIR=/tmp\n\
         echo \"vm-doctor: $(hatrace doctor --json 2>/dev/null | tr -d '\\n')\"\n\
         live --exact --test-threads {THREADS} {all} || code=1\n"
    );
    let less = tests_without(kernel, filter, whole);
    if !less.is_empty() {
        script += &format!(
            "echo vm-without\n\
             HATRACE_WITHOUT={WITHOUT} live --exact --test-threads {THREADS} {} || code=1\n",
            less.join(" ")
        );
    }
    script += "[ -e /tmp/skipped ] && sed 's/^/vm-skipped: /' /tmp/skipped\nexit ${code:-0}\n";
    script
}
