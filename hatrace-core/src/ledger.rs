//! The lives that go on: what the kernel's table, its ring and the sweeps say of each, put together.

use crate::adopt::tighten;
use crate::clock::Clock;
use crate::ids::{Fd, Netns, Pid};
use crate::life::{FirstFin, Life, Step};
use crate::naming::Naming;
use crate::snapshot::{Lingering, Look};
use crate::sock::{Claim, Endpoints, Holder, Quiet, SockRow, Timer};
use crate::tcp::{StateSet, TcpState};
use crate::time::{Mono, Since};

/// What the last look at a socket itself said.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When it looked.
    pub at: Mono,
    /// Between whom.
    pub endpoints: Endpoints,
    /// Where.
    pub netns: Netns,
    /// Who has it open.
    pub open_by: Option<(Pid, Fd)>,
    /// Its queues.
    pub unread: u32,
    /// Its queues.
    pub unacked: u32,
    /// Retransmissions of the segment at hand.
    pub retransmits: u8,
    /// Its timer.
    pub timer: Timer,
    /// The wait for an acknowledgement.
    pub rto: Option<std::time::Duration>,
    /// How long ago it last moved.
    pub quiet: Option<Quiet>,
    /// Since when its queues have been as they are, at the latest.
    pub still_since: Mono,
    /// Closed by its owner.
    pub orphaned: bool,
    /// Never accepted.
    pub unaccepted: bool,
    /// Whether its queues were read.
    pub queues: bool,
}

impl Seen {
    /// Nothing was read or taken between an earlier look and this one.
    #[must_use]
    pub const fn after(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before
            && before.unread == self.unread
            && before.unacked == self.unacked
        {
            self.still_since = before.still_since;
        }
        self
    }

    /// From a row; `fds`: whether rows that somebody has open say so.
    #[must_use]
    pub fn from_row(row: &SockRow, at: Mono, fds: bool) -> Self {
        let open_by = match row.claim {
            Claim::Fd { pid, fd } => Some((pid, fd)),
            Claim::Listener | Claim::None => None,
        };
        let nobodys = fds && open_by.is_none() && row.inode.is_none() && !row.timewait;
        let orphaned = row.orphaned.unwrap_or({
            nobodys
                && matches!(
                    row.state,
                    TcpState::FinWait1 | TcpState::FinWait2 | TcpState::LastAck | TcpState::Closing
                )
        });
        Self {
            at,
            endpoints: row.endpoints,
            netns: row.netns,
            open_by,
            queues: row.queues,
            unread: row.unread,
            unacked: row.unacked,
            retransmits: row.retransmits,
            timer: row.timer,
            rto: row.rto,
            quiet: row.quiet,
            still_since: at,
            orphaned,
            unaccepted: nobodys
                && matches!(row.state, TcpState::CloseWait | TcpState::Established)
                && row.orphaned != Some(true),
        }
    }
}

/// Who tells of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The kernel's table: its end will be told, or counted.
    Table {
        /// The scan that told it last.
        scan: u64,
    },
    /// Sweeps alone: it ends when a sweep doesn't find it any more.
    Sweep,
}

/// When a state was entered that came after `known` and has lasted since `since`.
fn after(known: Step, since: Since) -> Since {
    let earliest = known.at.earliest().unwrap_or_else(|| known.at.latest());
    let latest = since.latest();
    tighten(since, Since::Between { earliest, latest })
}

/// One life that goes on.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record.
    pub life: Life,
    /// Who tells of it.
    pub witness: Witness,
    /// A timewait has taken over, in FIN_WAIT2 since this.
    pub timewait: Option<Since>,
    /// The last look at it.
    pub seen: Option<Seen>,
    /// A look has shown it in a state that the record doesn't know: a transition was missed.
    pub corrected: Option<Step>,
    /// The state in which a look has shown it against the record, and at which scan: not believed at once, a transition may be under way.
    pub doubted: Option<(TcpState, u64)>,
    /// The last look that should have found it didn't: its end was missed, or is on its way.
    pub absent: bool,
    /// HAProxy has told all there is to its name.
    pub named: bool,
    /// States of which the stream has been told that it lingers in them.
    pub announced: StateSet,
    /// States of which the stream has been told that it left them.
    pub left: StateSet,
}

impl Entry {
    /// A life that was first heard of through `witness`.
    #[must_use]
    pub const fn new(life: Life, witness: Witness) -> Self {
        Self {
            life,
            witness,
            timewait: None,
            seen: None,
            corrected: None,
            doubted: None,
            absent: false,
            named: false,
            announced: StateSet::EMPTY,
            left: StateSet::EMPTY,
        }
    }

    /// The state it is in.
    #[must_use]
    pub fn current(&self) -> Option<Step> {
        match self.timewait {
            Some(at) => Some(Step {
                state: TcpState::FinWait2,
                at,
            }),
            None => self.corrected.or_else(|| self.life.current()),
        }
    }

    /// Takes the table's newer word, keeping what was known better: an adopted socket's beginning.
    pub fn update(&mut self, mut life: Life) {
        if let (Some(known), Some(told)) = (self.life.closing, life.closing.as_mut())
            && known.state == told.state
        {
            told.at = tighten(known.at, told.at);
        }
        if life.current() != self.life.current() {
            // It moves on: the record knows again.
            self.corrected = None;
            self.doubted = None;
        }
        if life.pid.is_none() {
            life.pid = self.life.pid;
        }
        self.life = life;
    }

    /// A look shows it in another state than the record. Believed when two scans of the table since have not caught up.
    pub fn doubt(&mut self, state: TcpState, since: Since, scan: u64) {
        const SCANS: u64 = 2;
        match self.doubted {
            Some((doubted, at)) if doubted == state && scan >= at + SCANS => {
                let at = self.life.current().map_or(since, |known| after(known, since));
                self.corrected = Some(Step { state, at });
            }
            Some((doubted, _)) if doubted == state => {}
            _ => self.doubted = Some((state, scan)),
        }
    }

    /// The record as it was delivered at its end, `at`, when the socket left `from` for CLOSE. Where the way there was missed, `from` was
    /// entered some time in between; a look may know more of that.
    pub fn end(&mut self, life: Life, from: TcpState, at: Mono) {
        let looked = self.corrected.filter(|step| step.state == from);
        self.update(life);
        if let Some(known) = self
            .life
            .current()
            .filter(|step| from.closing() && step.state != from)
        {
            let entered = after(known, Since::Before(at));
            let step = Step {
                state: from,
                at: looked.map_or(entered, |looked| tighten(entered, looked.at)),
            };
            if self.life.closing.is_none() {
                self.life.closing = Some(step);
            } else {
                self.life.second = Some(step);
            }
        }
        self.corrected = None;
    }

    /// A look at the socket narrows down when an adopted one began.
    pub fn narrow(&mut self, state: TcpState, since: Since) {
        let Some(current) = self.current() else { return };
        if current.state != state || matches!(current.at, Since::Exact(_)) {
            return;
        }
        let at = tighten(current.at, since);
        if let Some(timewait) = &mut self.timewait {
            *timewait = at;
        } else if let Some(corrected) = &mut self.corrected {
            corrected.at = at;
        } else if let Some(step) = self.life.second.as_mut().or(self.life.closing.as_mut()) {
            step.at = at;
        }
    }

    /// Who keeps it in existence.
    #[must_use]
    pub fn holder(&self) -> Holder {
        if self.timewait.is_some() {
            return Holder::Timewait;
        }
        if self.life.orphaned_at.is_some() {
            return Holder::Orphaned;
        }
        match &self.seen {
            Some(seen) if seen.orphaned => Holder::Orphaned,
            Some(seen) if seen.unaccepted => Holder::Unaccepted,
            _ => Holder::Held,
        }
    }

    /// Who kept it in a state that it left at `until`. HAProxy's close is what ends CLOSE_WAIT, and an orphan is one only since it was closed.
    fn holder_until(&self, state: TcpState, until: Mono) -> Holder {
        let held = state == TcpState::CloseWait || self.life.orphaned_at.is_some_and(|at| at >= until);
        match self.holder() {
            Holder::Orphaned if held => Holder::Held,
            holder => holder,
        }
    }

    /// As a row of views, if it lingers.
    #[must_use]
    pub fn lingering(&self, now: Mono, exact_timewaits: bool) -> Option<Lingering> {
        self.current()
            .filter(|step| step.state.lingers())
            .map(|step| self.row(step, now, exact_timewaits))
    }

    /// As a row: in the state of `step`, at `now`. `exact_timewaits`: the end of a timewait will be told.
    #[must_use]
    pub fn row(&self, step: Step, now: Mono, exact_timewaits: bool) -> Lingering {
        let holder = self.holder();
        let swept = self.witness == Witness::Sweep && (self.timewait.is_none() || !exact_timewaits);
        Lingering {
            end_polled: swept,
            ..self.row_held_by(holder, step, now)
        }
    }

    /// As a row: the state of `step` was left at `end`.
    #[must_use]
    pub fn row_left(&self, step: Step, end: Since) -> Lingering {
        let until = end.latest();
        Lingering {
            end_polled: !matches!(end, Since::Exact(_)),
            ..self.row_held_by(self.holder_until(step.state, until), step, until)
        }
    }

    fn row_held_by(&self, holder: Holder, step: Step, now: Mono) -> Lingering {
        let open_by = self
            .seen
            .as_ref()
            .and_then(|seen| seen.open_by)
            .filter(|_| holder == Holder::Held);
        let seen = self.seen.as_ref();
        let queues = seen.filter(|seen| seen.queues);
        Lingering {
            host: None,
            cookie: self.life.cookie,
            side: self.life.side,
            state: step.state,
            holder,
            age: step.at.age(now),
            end_polled: false,
            endpoints: seen.map(|seen| seen.endpoints),
            netns: Some(seen.map_or(self.life.netns, |seen| seen.netns)),
            pid: open_by.map(|(pid, _)| pid).or(self.life.pid),
            fd: open_by.map(|(_, fd)| fd),
            unread: queues.map(|seen| seen.unread),
            unacked: queues.map(|seen| seen.unacked),
            retransmits: self
                .life
                .retransmits
                .max(seen.map_or(0, |seen| u32::from(seen.retransmits))),
            first_fin: self.first_fin(),
            adopted: self.life.adopted,
            clock: Clock::default(),
            held_for: self.held_for(step, now),
            look: seen.map(|seen| Look {
                at: seen.at,
                timer: seen.timer,
                quiet: seen.quiet,
                still_since: seen.still_since,
            }),
            naming: Naming::default(),
        }
    }

    /// How long HAProxy held it in a state in which it was then closed.
    fn held_for(&self, step: Step, now: Mono) -> Option<std::time::Duration> {
        let closed = self.life.orphaned_at.filter(|at| *at <= now)?;
        let held = closed.since(step.at.latest());
        (step.state == TcpState::FinWait2 && !held.is_zero()).then_some(held)
    }

    fn first_fin(&self) -> FirstFin {
        if self.timewait.is_some() {
            FirstFin::Haproxy
        } else {
            self.life.first_fin()
        }
    }
}
