//! What was not seen, counted, and said in words.

use crate::input::{Counts, Gap};
use crate::snapshot::Notice;

/// Gaps so far.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    malformed: u64,
    sweeps_failed: u64,
    last_failure: String,
    unreachable: Vec<(u32, String)>,
    /// Lives not followed because there were too many.
    pub evicted: u64,
    /// Handovers that no sweep found, while the kernel said that it makes no timewaits.
    pub without_timewait: u64,
    /// `TCPTimeWaitOverflow` since the watch began.
    pub overflows: u64,
    /// Recordings of which not all could be read.
    pub unreadable: Vec<String>,
    /// Recordings whose beginning isn't there.
    pub partial: Vec<String>,
    /// Listeners shared with a process that isn't followed.
    pub shared: Vec<String>,
}

impl Gaps {
    /// Counts one.
    pub fn add(&mut self, gap: Gap) {
        match gap {
            Gap::Malformed { .. } => self.malformed += 1,
            Gap::SweepFailed { why } => {
                self.sweeps_failed += 1;
                self.last_failure = why;
            }
            Gap::NetnsUnreachable { netns, why } => {
                if !self.unreachable.iter().any(|(known, _)| *known == netns.0) {
                    self.unreachable.push((netns.0, why));
                }
            }
            Gap::Unreadable { why } => self.unreadable.push(why),
            Gap::Beginning { why } => self.partial.push(why),
            Gap::SharedListener { local, pid } => {
                let text = match pid {
                    Some(pid) => format!("{local} (also listened on by process {pid})"),
                    None => local.to_string(),
                };
                if !self.shared.contains(&text) {
                    self.shared.push(text);
                }
            }
        }
    }

    /// In words, most important first.
    #[must_use]
    pub fn notices(&self, counts: &Counts) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut say = |code, count: u64, text: String| {
            if count > 0 {
                notices.push(Notice { code, count, text });
            }
        };
        let (lost, full) = (counts.lost.total(), counts.table_full.total());
        say(
            "records-lost",
            lost,
            format!(
                "{lost} ended lives were lost: the ring was full before it was read, or their end was missed. They are in no histogram."
            ),
        );
        let other = counts.lost_other;
        say(
            "events-lost",
            other,
            format!(
                "{other} records of transitions, processes or ends of timewaits found the ring full: as many lines are missing from the stream. Dwell times don't rest on them, but for timewaits, which the next sweep ends."
            ),
        );
        say(
            "table-full",
            full,
            format!(
                "{full} sockets were not followed: the kernel half's table was full. Those that HAProxy holds are found by the next sweep, their age as an interval."
            ),
        );
        let missed = counts.missed_runs;
        say(
            "missed-runs",
            missed,
            format!(
                "{missed} transitions of this host's sockets were not seen: the kernel doesn't run a program that an interrupt meets while it is running. Sweeps put right what that left wrong."
            ),
        );
        let (overflows, without) = (self.overflows, self.without_timewait);
        say(
            "timewait-overflow",
            overflows,
            format!(
                "the kernel did not make {overflows} timewaits: its table was full (net.ipv4.tcp_max_tw_buckets). {without} orphaned FIN_WAIT2 sockets that no sweep found may have been among them: their dwell is not counted."
            ),
        );
        let evicted = self.evicted;
        say(
            "evicted",
            evicted,
            format!(
                "{evicted} lives were not followed: more linger than this program keeps. The oldest are kept."
            ),
        );
        say(
            "malformed",
            self.malformed,
            format!(
                "{} records of the kernel half could not be understood: agent and eBPF object don't fit together.",
                self.malformed
            ),
        );
        say(
            "sweep-failed",
            self.sweeps_failed,
            format!(
                "{} sweeps failed, the last: {}. Timewaits' ends and addresses are later or missing.",
                self.sweeps_failed, self.last_failure
            ),
        );
        for (netns, why) in &self.unreachable {
            say(
                "netns-unreachable",
                1,
                format!(
                    "network namespace {netns} could not be looked into ({why}): timewaits and orphans there are not followed."
                ),
            );
        }
        for why in &self.unreadable {
            say(
                "recording-damaged",
                1,
                format!("a part of the recording could not be read: {why}. What it told is missing here."),
            );
        }
        for why in &self.partial {
            say("recording-part", 1, why.clone());
        }
        for shared in &self.shared {
            say(
                "shared-listener",
                1,
                format!(
                    "a process that isn't followed listens on {shared}: an accepted socket that was never seen in HAProxy's hands may be that process's."
                ),
            );
        }
        say(
            "mptcp",
            counts.mptcp,
            format!(
                "{} MPTCP sockets of HAProxy's were seen: they are not followed, and a session of which one side is such a socket is known by its other side alone.",
                counts.mptcp
            ),
        );
        notices
    }
}
