//! The engine: what it is told, what it says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Configuration;
use crate::dwell::Dwells;
use crate::event::{Event, Next, TICK};
use crate::gaps::Gaps;
use crate::handed::Handed;
use crate::ids::{Cookie, Netns, Pid};
use crate::input::{Counts, Input, Limits, ProcessChange};
use crate::ledger::{Entry, Seen, Witness};
use crate::life::{EndedLife, Ending, Life};
use crate::names::Names;
use crate::onsets::Onsets;
use crate::services::{Answer, Figures};
use crate::sock::Timer;
use crate::survey::Surveys;
use crate::tcp::TcpState;
use crate::telling::spans;
use crate::time::{Mono, Since};
use crate::timewaits::Timewaits;
use crate::tolls::Tolls;
use crate::transitions::Transitions;
use crate::verdicts::By;

/// How the engine is to work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `--min`: how long a socket must be in a lingering state to be worth a line.
    #[serde(with = "crate::ns")]
    pub min: Duration,
    /// How many lives it keeps at most. Newcomers beyond it are not followed, and counted: the oldest say most.
    pub max_lives: usize,
    /// The source is sweeps alone: lives begin and end between two of them.
    pub polled: bool,
    /// The kernel half tells when a timewait ends ([`Input::TimewaitEnded`]); if not, the next sweep does.
    pub exact_timewaits: bool,
    /// By what findings are grouped.
    pub by: By,
    /// HAProxy's sessions are wanted themselves, not just as names of what lingers.
    pub sessions: bool,
}

/// How long a cookie is remembered after its end, so that a scan of the table read just before isn't taken for news.
const REMEMBERED: Duration = Duration::from_secs(5);

/// The engine.
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) start: Mono,
    pub(crate) entries: BTreeMap<Cookie, Entry>,
    /// Timewaits in FIN_WAIT2 that no sweep has seen yet.
    pub(crate) handed: BTreeMap<Cookie, Handed>,
    ended: BTreeSet<Cookie>,
    ended_order: VecDeque<(Mono, Cookie)>,
    /// Sockets of sweeps that nobody told of yet: when first seen, and after how many scans.
    pub(crate) strangers: BTreeMap<Cookie, (Mono, u64)>,
    pub(crate) scan: u64,
    pub(crate) dwells: Dwells,
    pub(crate) timewaits: Timewaits,
    pub(crate) counts: Counts,
    pub(crate) gaps: Gaps,
    pub(crate) adopted: u64,
    /// Those among them that began while hatrace watched: their record was refused, or their beginning missed.
    pub(crate) late: u64,
    /// Lives that sweeps alone told of: in polled mode all of them.
    pub(crate) swept: u64,
    pub(crate) last_sweep: Option<Mono>,
    pub(crate) timewait_overflow: Option<u64>,
    pub(crate) limits: BTreeMap<Netns, Limits>,
    pub(crate) configured: BTreeMap<Pid, Arc<Configuration>>,
    pub(crate) ended_processes: Vec<Pid>,
    pub(crate) names: Names,
    /// The last answer of each process, where sessions are wanted.
    pub(crate) answers: BTreeMap<Pid, Answer>,
    pub(crate) figures: Figures,
    transitions: Transitions,
    pub(crate) tolls: Tolls,
    pub(crate) onsets: Onsets,
    pub(crate) surveys: Surveys,
    pub(crate) events: Vec<Event>,
    pub(crate) checked: Mono,
}

impl Engine {
    /// An engine that starts to watch at `start`.
    #[must_use]
    pub fn new(settings: Settings, start: Mono) -> Self {
        Self {
            settings,
            start,
            entries: BTreeMap::new(),
            handed: BTreeMap::new(),
            ended: BTreeSet::new(),
            ended_order: VecDeque::new(),
            strangers: BTreeMap::new(),
            scan: 0,
            dwells: Dwells::default(),
            timewaits: Timewaits::default(),
            counts: Counts::default(),
            gaps: Gaps::default(),
            adopted: 0,
            late: 0,
            swept: 0,
            last_sweep: None,
            timewait_overflow: None,
            limits: BTreeMap::new(),
            configured: BTreeMap::new(),
            ended_processes: Vec::new(),
            names: Names::default(),
            answers: BTreeMap::new(),
            figures: Figures::default(),
            transitions: Transitions::default(),
            tolls: Tolls::default(),
            onsets: Onsets::default(),
            surveys: Surveys::default(),
            events: Vec::new(),
            checked: start,
        }
    }

    /// Takes what was seen at `at`. Total: it cannot fail, whatever it is given.
    pub fn handle(&mut self, at: Mono, input: Input) {
        match input {
            Input::Open(life) => self.open(life),
            Input::Scanned => self.scanned(at),
            Input::Ended(ended) => self.life_ended(*ended),
            Input::NoTimewait(cookie) => self.no_timewait(cookie),
            Input::TimewaitEnded(cookie) => self.timewait_over(at, cookie),
            Input::Transition(transition) => {
                let held = self.transitions.held(at, &transition);
                self.events.push(Event::Transition { at, transition, held });
            }
            Input::Counts(counts) => {
                self.timewaits.counted(at, &counts);
                self.counts = *counts;
            }
            Input::Sweep(sweep) => self.sweep(at, &sweep),
            Input::Process(change) => self.process(at, change),
            Input::Told(told) => self.told(at, *told),
            Input::Survey(survey) => self.surveys.take(at, *survey),
            Input::Asking(asking) => self.asking(asking),
            Input::Configured(pid, configuration) => {
                self.configured.insert(pid, configuration);
            }
            Input::Gap(gap) => self.gaps.add(gap),
            Input::Tick => self.announce(at),
        }
    }

    /// When the engine wants an [`Input::Tick`], if nothing else comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        Some(self.checked.plus(TICK))
    }

    /// How long it has been fed by `at`.
    #[must_use]
    pub fn watched(&self, at: Mono) -> Duration {
        at.since(self.start)
    }

    /// What has happened since the last call, in order.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether there is room for one more life; if not, that is counted.
    pub(crate) fn room(&mut self) -> bool {
        let room = self.entries.len() + self.handed.len() < self.settings.max_lives;
        if !room {
            self.gaps.evicted += 1;
        }
        room
    }

    fn open(&mut self, life: Life) {
        let cookie = life.cookie;
        if self.ended.contains(&cookie) || self.handed.contains_key(&cookie) {
            return;
        }
        let witness = Witness::Table { scan: self.scan };
        match self.entries.get_mut(&cookie) {
            // The full socket is gone: a scan read before that is no news.
            Some(entry) if entry.timewait.is_some() => return,
            Some(entry) => {
                entry.update(life);
                entry.witness = witness;
            }
            None => {
                let adopted = life.adopted;
                if !self.room() {
                    return;
                }
                self.adopted += u64::from(adopted);
                self.strangers.remove(&cookie);
                self.entries.insert(cookie, Entry::new(life, witness));
            }
        }
        self.tell_left(cookie, None);
    }

    /// A whole scan was told. What the table told of before and doesn't now has ended: a record is in the ring still, or the
    /// kernel half only counted it. One more scan is waited for the former.
    fn scanned(&mut self, at: Mono) {
        let scan = self.scan;
        self.entries.retain(|_, entry| match entry.witness {
            Witness::Table { scan: told } => entry.timewait.is_some() || told + 1 >= scan,
            Witness::Sweep => true,
        });
        self.scan += 1;
        self.forget_ends(at);
        self.announce(at);
    }

    fn forget_ends(&mut self, at: Mono) {
        while let Some(&(then, cookie)) = self.ended_order.front() {
            if at.since(then) < REMEMBERED {
                break;
            }
            self.ended.remove(&cookie);
            self.ended_order.pop_front();
        }
    }

    pub(crate) fn remember_end(&mut self, at: Mono, cookie: Cookie) {
        // Without a kernel half there are no scans that would do it.
        self.forget_ends(at);
        if self.ended.insert(cookie) {
            self.ended_order.push_back((at, cookie));
        }
    }

    /// Whether it is known that this socket's full life, or its timewait, has ended.
    pub(crate) fn has_ended(&self, cookie: Cookie) -> bool {
        self.ended.contains(&cookie)
    }

    fn life_ended(&mut self, mut ended: EndedLife) {
        let cookie = ended.life.cookie;
        if self.has_ended(cookie) || self.handed.contains_key(&cookie) {
            return;
        }
        let ending = ended.ending();
        let entry = self.entries.remove(&cookie);
        if entry.is_none() {
            self.adopted += u64::from(ended.life.adopted);
        }
        let witness = Witness::Table { scan: self.scan };
        let mut entry = entry.unwrap_or_else(|| Entry::new(ended.life.clone(), witness));
        entry.end(ended.life, ended.from, ended.at);
        ended.life = entry.life.clone();
        entry.seen = Some(self.seen_at_end(&ended, entry.seen));
        let end = (ended.at, ended.from, Next::Ended(ending));
        for (step, until, _) in spans(&ended.life, Some(end)) {
            if ending == Ending::HandedFinWait2 && step.state == TcpState::FinWait2 {
                continue;
            }
            self.dwells
                .ended(ended.life.side, step.state, until.since(step.at.latest()), 1);
        }
        self.entries.insert(cookie, entry);
        self.tell_left(cookie, (ending != Ending::HandedFinWait2).then_some(end));
        let Some(entry) = self.entries.remove(&cookie) else {
            return;
        };
        if ending == Ending::HandedFinWait2 {
            self.hand_over(ended.at, entry);
        } else {
            self.remember_end(ended.at, cookie);
        }
    }

    fn seen_at_end(&self, ended: &EndedLife, before: Option<Seen>) -> Seen {
        Seen {
            at: ended.at,
            endpoints: ended.endpoints,
            netns: ended.life.netns,
            // Who had it open, before HAProxy closed it: what it was held by in the states it has left.
            open_by: before.and_then(|seen| seen.open_by),
            queues: true,
            unread: ended.unread,
            unacked: ended.unacked,
            retransmits: before.map_or(0, |seen| seen.retransmits),
            timer: Timer::None,
            rto: None,
            quiet: None,
            still_since: ended.at,
            orphaned: ended.dead,
            unaccepted: ended.unaccepted,
        }
    }

    fn hand_over(&mut self, at: Mono, entry: Entry) {
        let Some(step) = entry
            .life
            .current()
            .filter(|step| step.state == TcpState::FinWait2)
        else {
            return;
        };
        if self.room() {
            let announced = entry.announced;
            let handed = Handed {
                at,
                since: step.at,
                life: entry.life,
                seen: entry.seen,
                announced,
            };
            self.handed.insert(handed.life.cookie, handed);
        }
    }

    /// A timewait in FIN_WAIT2 is over, at a moment that is known.
    fn timewait_over(&mut self, at: Mono, cookie: Cookie) {
        if let Some(handed) = self.handed.remove(&cookie) {
            self.end_for_good(&handed.into_entry(), Since::Exact(at), Next::Gone);
        } else if let Some(entry) = self.entries.get(&cookie)
            && entry.timewait.is_some()
            && let Some(entry) = self.entries.remove(&cookie)
        {
            self.end_for_good(&entry, Since::Exact(at), Next::Gone);
        }
    }

    /// What looked like a handover was HAProxy's RST: FIN_WAIT2 ended there and then.
    fn no_timewait(&mut self, cookie: Cookie) {
        if let Some(handed) = self.handed.remove(&cookie) {
            let at = Since::Exact(handed.at);
            self.end_for_good(&handed.into_full(), at, Next::Ended(Ending::ResetByHaproxy));
        }
    }

    fn process(&mut self, at: Mono, change: ProcessChange) {
        if let ProcessChange::Ended { pid } = change
            && !self.ended_processes.contains(&pid)
        {
            self.ended_processes.push(pid);
        }
        self.events.push(Event::Process { at, change });
    }
}
