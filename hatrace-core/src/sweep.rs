//! What a look at the sockets tells: addresses and queues of known lives, timewaits that go on or are gone, and sockets older than hatrace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::adopt::{self, tighten};
use crate::engine::Engine;
use crate::event::Next;
use crate::ids::{Cookie, Netns};
use crate::input::Sweep;
use crate::ledger::{Entry, Seen, Witness};
use crate::life::{Life, Step};
use crate::sock::{Claim, SockRow, Timer};
use crate::tcp::TcpState;
use crate::time::{Mono, Since};

/// The kernel's default `tcp_fin_timeout`, where a sweep doesn't tell.
const FIN_TIMEOUT: Duration = Duration::from_secs(60);

impl Engine {
    /// Leaves out of a sweep that it is about to be given what would change nothing: rows of sockets that are neither known nor HAProxy's.
    /// They are most of a look on a busy host.
    pub fn lighten(&self, sweep: &mut Sweep) {
        let counts = |row: &&SockRow| {
            let known = self.entries.contains_key(&row.cookie)
                || self.handed.contains_key(&row.cookie)
                || self.strangers.contains_key(&row.cookie);
            known || row.claim != Claim::None && row.state.lingers()
        };
        let kept: BTreeSet<Cookie> = sweep.rows.iter().filter(counts).map(|row| row.cookie).collect();
        sweep.rows.retain(|row| kept.contains(&row.cookie));
    }

    pub(crate) fn sweep(&mut self, at: Mono, sweep: &Sweep) {
        self.limits.extend(sweep.limits.iter().copied());
        let overflowed = self.overflowed(sweep.timewait_overflow);
        let rows: BTreeMap<Cookie, &SockRow> = sweep.rows.iter().map(|row| (row.cookie, row)).collect();
        self.settle_handed(at, sweep, &rows, overflowed);
        self.settle_followed(at, sweep, &rows);
        self.strangers.retain(|cookie, _| rows.contains_key(cookie));
        self.miss(at, sweep, &rows);
        for row in rows.values() {
            self.see(at, sweep, row);
        }
        self.last_sweep = Some(at);
        self.announce(at);
    }

    /// How many timewaits the kernel has not made since the last sweep.
    fn overflowed(&mut self, total: Option<u64>) -> u64 {
        let Some(total) = total else { return 0 };
        let more = self
            .timewait_overflow
            .map_or(0, |before| total.saturating_sub(before));
        self.timewait_overflow = Some(total);
        self.gaps.overflows += more;
        more
    }

    fn covers(sweep: &Sweep, netns: Option<Netns>, state: TcpState) -> bool {
        sweep.states.has(state) && netns.is_none_or(|netns| sweep.netns.contains(&netns))
    }

    /// Handovers that no sweep has seen so far: found, found in TIME_WAIT already, or gone.
    fn settle_handed(
        &mut self,
        at: Mono,
        sweep: &Sweep,
        rows: &BTreeMap<Cookie, &SockRow>,
        mut overflowed: u64,
    ) {
        let due: Vec<Cookie> = self
            .handed
            .iter()
            .filter(|(_, handed)| {
                handed.at <= at && Self::covers(sweep, handed.seen.map(|seen| seen.netns), TcpState::FinWait2)
            })
            .map(|(cookie, _)| *cookie)
            .collect();
        for cookie in due {
            let Some(handed) = self.handed.remove(&cookie) else {
                continue;
            };
            let since = handed.at;
            match rows.get(&cookie) {
                Some(row) if row.timewait && row.state == TcpState::FinWait2 => {
                    self.entries.insert(cookie, handed.into_entry());
                }
                Some(row) if row.timewait => {
                    self.became_time_wait(sweep.end(at), since, &handed.into_entry(), row);
                }
                _ if overflowed > 0 => {
                    overflowed -= 1;
                    self.gaps.without_timewait += 1;
                    self.remember_end(at, cookie);
                }
                _ => {
                    self.dwells.between_sweeps(handed.life.side);
                    self.remember_end(at, cookie);
                }
            }
        }
    }

    /// The peer's FIN came at last: FIN_WAIT2 ended when TIME_WAIT's minute began, which its timer tells at `end` of the look.
    fn became_time_wait(&mut self, end: Mono, not_before: Mono, entry: &Entry, row: &SockRow) {
        let began = adopt::time_wait_began(row, end)
            .unwrap_or(end)
            .max(not_before)
            .min(end);
        self.timewaits.begin(began, entry.life.side, 1);
        let end = Since::Polled {
            earliest: not_before,
            latest: began,
        };
        self.end_for_good(entry, end, Next::State(TcpState::TimeWait));
    }

    /// Lives that end when a sweep doesn't find them any more.
    fn settle_followed(&mut self, at: Mono, sweep: &Sweep, rows: &BTreeMap<Cookie, &SockRow>) {
        let due: Vec<Cookie> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.witness == Witness::Sweep)
            .filter(|(_, entry)| {
                let netns = entry.seen.map(|seen| seen.netns);
                entry
                    .current()
                    .is_some_and(|step| Self::covers(sweep, netns, step.state))
            })
            .map(|(cookie, _)| *cookie)
            .collect();
        for cookie in due {
            let Some(mut entry) = self.entries.remove(&cookie) else {
                continue;
            };
            let last = entry.seen.map_or(self.start, |seen| seen.at);
            match rows.get(&cookie) {
                Some(row) if entry.current().is_some_and(|step| step.state == row.state) => {
                    // A full socket became a timewait of the same state: its dwell goes on.
                    if row.timewait && entry.timewait.is_none() {
                        entry.timewait = entry.current().map(|step| step.at);
                    }
                    self.entries.insert(cookie, entry);
                }
                Some(row) if row.state == TcpState::TimeWait => {
                    self.became_time_wait(sweep.end(at), last, &entry, row);
                }
                Some(row) => {
                    let moved = Since::Polled {
                        earliest: last,
                        latest: sweep.end(at),
                    };
                    self.end_state(&entry, moved, Next::State(row.state));
                    // What it left is told: the record begins anew, in a state that says as much of whose FIN came first.
                    entry.life.closing = Some(Step {
                        state: row.state,
                        at: moved,
                    });
                    self.entries.insert(cookie, entry);
                }
                None => {
                    let latest = if entry.timewait.is_some() {
                        Self::gone_by(&entry, last, sweep.end(at))
                    } else {
                        sweep.end(at)
                    };
                    let end = Since::Polled {
                        earliest: last,
                        latest,
                    };
                    self.end_for_good(&entry, end, Next::Gone);
                }
            }
        }
    }

    /// When a timewait ended that was there at `last` and is not at `at`: no later than its timer allowed.
    fn gone_by(entry: &Entry, last: Mono, at: Mono) -> Mono {
        match entry.seen.map(|seen| seen.timer) {
            Some(Timer::Timewait(left)) => last.plus(left).min(at),
            _ => at,
        }
    }

    /// Lives of the table that this look should have found and didn't. A record whose end the kernel half has missed says "still there"
    /// for ever: the look at the sockets themselves is the better witness.
    fn miss(&mut self, at: Mono, sweep: &Sweep, rows: &BTreeMap<Cookie, &SockRow>) {
        for (cookie, entry) in &mut self.entries {
            if !matches!(entry.witness, Witness::Table { .. }) || rows.contains_key(cookie) {
                continue;
            }
            let Some(step) = entry.current() else { continue };
            entry.absent = step.at.latest() < at && Self::covers(sweep, Some(entry.life.netns), step.state);
        }
    }

    /// A row: news of a known life, or a stranger.
    fn see(&mut self, at: Mono, sweep: &Sweep, row: &SockRow) {
        let limits = self.limits.get(&row.netns);
        let fin_timeout = limits
            .and_then(|limits| limits.fin_timeout)
            .unwrap_or(FIN_TIMEOUT);
        if let Some(entry) = self.entries.get_mut(&row.cookie) {
            if row.timewait && entry.timewait.is_none() {
                // Its handover is in the ring still.
                return;
            }
            entry.absent = false;
            let since = adopt::since(row, at, sweep.took, fin_timeout);
            match entry.current() {
                Some(step) if step.state != row.state => entry.doubt(row.state, since, self.scan),
                _ => entry.narrow(row.state, since),
            }
            // A look without fds doesn't take away what one with fds has told.
            let before = entry.seen;
            let mut seen = Seen::from_row(row, at, sweep.fds).after(before.as_ref());
            if !sweep.fds
                && let Some(before) = before
            {
                seen.open_by = before.open_by;
                seen.unaccepted = before.unaccepted;
            }
            entry.seen = Some(seen);
            return;
        }
        if row.claim == Claim::None
            || self.has_ended(row.cookie)
            || self.handed.contains_key(&row.cookie)
            || !row.state.lingers()
        {
            return;
        }
        let since = adopt::since(row, at, sweep.took, fin_timeout);
        let older = self.last_sweep.is_none() && since.latest() < self.start;
        if self.settings.polled || older {
            self.adopt(at, sweep, row, since);
        } else {
            self.see_stranger(at, sweep, row, since);
        }
    }

    /// A socket the kernel half has not told of. Most have just started to close, or just ended, and a scan or the ring will say so; one
    /// that is still unknown after two more scans is older than hatrace, or was missed.
    fn see_stranger(&mut self, at: Mono, sweep: &Sweep, row: &SockRow, since: Since) {
        const SCANS: u64 = 2;
        match self.strangers.get(&row.cookie) {
            Some(&(first, scan)) if self.scan >= scan + SCANS => {
                self.strangers.remove(&row.cookie);
                self.late += 1;
                self.adopt(at, sweep, row, tighten(since, Since::Before(first)));
            }
            Some(_) => {}
            None => {
                self.strangers.insert(row.cookie, (sweep.end(at), self.scan));
            }
        }
    }

    /// Takes in a socket whose beginning nobody saw.
    fn adopt(&mut self, at: Mono, sweep: &Sweep, row: &SockRow, mut since: Since) {
        if !self.room() {
            return;
        }
        let newborn = self.settings.polled && self.last_sweep.is_some();
        if let (true, Some(earliest)) = (newborn, self.last_sweep) {
            let latest = sweep.end(at);
            since = tighten(Since::Polled { earliest, latest }, since);
        }
        let open_by = match row.claim {
            Claim::Fd { pid, .. } => Some(pid),
            Claim::Listener | Claim::None => None,
        };
        let life = Life {
            cookie: row.cookie,
            side: row.side,
            netns: row.netns,
            pid: open_by,
            connecting_at: None,
            established_at: None,
            closing: Some(Step {
                state: row.state,
                at: since,
            }),
            second: None,
            orphaned_at: None,
            retransmits: u32::from(row.retransmits),
            reset_sent: false,
            adopted: !newborn,
        };
        let mut entry = Entry::new(life, Witness::Sweep);
        if row.timewait {
            entry.timewait = Some(since);
        }
        entry.seen = Some(Seen::from_row(row, at, sweep.fds));
        if newborn {
            self.swept += 1;
        } else {
            self.adopted += 1;
        }
        self.entries.insert(row.cookie, entry);
    }
}
