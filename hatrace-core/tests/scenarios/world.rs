//! What a story moves: a small model of the kernel half (its table, its ring, its counters) in front of the real engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hatrace_core::config::Configuration;
use hatrace_core::ids::{Cookie, Netns, Pid};
use hatrace_core::input::{Counts, Gap, Input, ProcessChange, ShortDwell, Transition};
use hatrace_core::life::{EndedLife, Life, Step};
use hatrace_core::sock::{BySide, Endpoints, Side, SockRow};
use hatrace_core::tcp::TcpState;
use hatrace_core::time::{Mono, Since};
use hatrace_core::{Engine, Settings};

use crate::config;
use crate::line::{Line, side, state};
use crate::page;
use crate::rows::{HOME, endpoints};
use crate::talk::{self, Open, Talk};

/// The model and the engine.
pub struct World {
    engine: Option<Engine>,
    names: Vec<String>,
    table: BTreeMap<Cookie, Life>,
    ring: Vec<(Mono, Input)>,
    counts: Counts,
    pub(crate) rows: Vec<SockRow>,
    talk: Talk,
    /// Addresses that rows gave to their sockets.
    pub(crate) ends: BTreeMap<Cookie, Endpoints>,
    configuration: Configuration,
    /// `-a`: every transition is told as it happens.
    all: bool,
}

impl World {
    pub fn new() -> Self {
        Self {
            engine: None,
            names: Vec::new(),
            table: BTreeMap::new(),
            ring: Vec::new(),
            counts: Counts::default(),
            rows: Vec::new(),
            talk: Talk::default(),
            ends: BTreeMap::new(),
            configuration: Configuration::default(),
            all: false,
        }
    }

    /// The page of a `snapshot`.
    pub fn page(&mut self, at: Mono) -> Result<Vec<String>, String> {
        self.count(at)?;
        let names = &self.names;
        let engine = self.engine.as_mut().ok_or("no start yet")?;
        let events = engine.events();
        let mut page = page::page(names, &engine.snapshot(at), &events);
        page.extend(talk::wants(names, &engine.wants(at, None)));
        Ok(page)
    }

    /// Any other line.
    pub fn take(&mut self, line: &Line) -> Result<(), String> {
        let at = line.at;
        match line.verb.as_str() {
            "start" => self.start(line),
            "scan" => self.scan(at),
            "row" => self.row(line),
            "sweep" => self.sweep(line),
            "ring" => {
                for (then, input) in std::mem::take(&mut self.ring) {
                    self.tell(then, input)?;
                }
                Ok(())
            }
            "tick" => self.tell(at, Input::Tick),
            "no-timewait" => self.about(line, Input::NoTimewait),
            "timewait-ended" => self.about(line, Input::TimewaitEnded),
            "malformed" => self.tell(at, Input::Gap(Gap::Malformed { length: 3 })),
            "sweep-failed" => self.tell(
                at,
                Input::Gap(Gap::SweepFailed {
                    why: "no room".into(),
                }),
            ),
            "missed-runs" => {
                self.counts.missed_runs += line.number("count", 1)?;
                Ok(())
            }
            "process-ended" => {
                let pid = Pid(line.number("pid", 0)?);
                self.tell(at, Input::Process(ProcessChange::Ended { pid }))
            }
            "before" | "after" => self.look(line),
            "stream" => self.talk.stream(line),
            "fd" => self.talk.line(line),
            "told" => {
                let told = self.talk.told();
                self.tell(at, told)
            }
            "asking" => self.tell(at, talk::asking(line)?),
            "proxy" => {
                self.configuration.proxies.push(config::proxy(line)?);
                let configuration = Arc::new(self.configuration.clone());
                self.tell(at, Input::Configured(Pid(7), configuration))
            }
            "doubt" => {
                self.configuration.doubts.push(config::newer());
                let configuration = Arc::new(self.configuration.clone());
                self.tell(at, Input::Configured(Pid(7), configuration))
            }
            name if name.starts_with(char::is_uppercase) => self.transition(line),
            other => Err(format!("no such verb: {other}")),
        }
    }

    fn start(&mut self, line: &Line) -> Result<(), String> {
        let settings = Settings {
            min: line.span("min")?.unwrap_or(Duration::from_secs(1)),
            max_lives: line.number("keep", 1000)?,
            polled: line.has("polled"),
            exact_timewaits: line.has("exact-timewaits"),
            sessions: line.has("sessions"),
            by: hatrace_core::verdicts::By::Peer,
        };
        self.all = line.has("all");
        self.engine = Some(Engine::new(settings, line.at));
        Ok(())
    }

    pub(crate) fn tell(&mut self, at: Mono, input: Input) -> Result<(), String> {
        self.engine.as_mut().ok_or("no start yet")?.handle(at, input);
        Ok(())
    }

    fn about(&mut self, line: &Line, input: fn(Cookie) -> Input) -> Result<(), String> {
        let cookie = self.cookie(line.words.first().ok_or("whose?")?);
        self.tell(line.at, input(cookie))
    }

    pub(crate) fn cookie(&mut self, name: &str) -> Cookie {
        let index = self.names.iter().position(|known| known == name);
        let index = index.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        Cookie(index as u64 + 1)
    }

    fn count(&mut self, at: Mono) -> Result<(), String> {
        let mut open = BySide::default();
        for life in self.table.values().filter(|life| !life.adopted) {
            add(&mut open, life.side);
        }
        self.counts.open = open;
        let counts = Box::new(self.counts.clone());
        self.tell(at, Input::Counts(counts))
    }

    fn scan(&mut self, at: Mono) -> Result<(), String> {
        for life in self.table.values().cloned().collect::<Vec<_>>() {
            self.tell(at, Input::Open(life))?;
        }
        self.count(at)?;
        self.tell(at, Input::Scanned)
    }

    /// What the kernel says of HAProxy's descriptors.
    fn look(&mut self, line: &Line) -> Result<(), String> {
        for name in line.keys.values() {
            self.cookie(name);
        }
        let (names, table, ends) = (&self.names, &self.table, &self.ends);
        self.talk.look(line, |name| {
            let index = names.iter().position(|known| known == name).unwrap_or(0);
            let cookie = Cookie(index as u64 + 1);
            let life = table.get(&cookie);
            Open {
                cookie,
                endpoints: endpoints(ends, cookie),
                state: life
                    .and_then(Life::current)
                    .map_or(TcpState::Established, |step| step.state),
                side: life.map_or(Side::Client, |life| life.side),
            }
        })
    }

    /// `A client FIN_WAIT1 FIN_WAIT2`: a transition; `A client adopt FIN_WAIT2`: found by the kernel half as it was.
    fn transition(&mut self, line: &Line) -> Result<(), String> {
        let cookie = self.cookie(&line.verb);
        let [side_name, from, to, ..] = line.words.as_slice() else {
            return Err("a transition is NAME SIDE FROM TO".to_owned());
        };
        let (side, to) = (side(side_name)?, state(to)?);
        self.counts.transitions += 1;
        let adopted = from == "adopt";
        let open = &mut self.counts.seen;
        let life = self.table.entry(cookie).or_insert_with(|| {
            if !adopted {
                add(open, side);
            }
            newborn(cookie, side, adopted)
        });
        if let Some(pid) = line.keys.get("pid") {
            life.pid = Some(Pid(pid.parse().map_err(|_| "pid wants a number")?));
        }
        if adopted {
            life.closing = Some(Step {
                state: to,
                at: Since::Before(line.at),
            });
            return Ok(());
        }
        let from = state(from)?;
        if self.all {
            let transition = Transition {
                cookie: Some(cookie),
                side,
                from,
                to,
                endpoints: endpoints(&self.ends, cookie),
                pid: life.pid,
                sk_err: None,
            };
            self.tell(line.at, Input::Transition(transition))?;
        }
        if to == TcpState::Close {
            return self.close(line, cookie, from);
        }
        if let Some(life) = self.table.get_mut(&cookie) {
            enter(life, from, to, line.at);
        }
        Ok(())
    }

    fn close(&mut self, line: &Line, cookie: Cookie, from: TcpState) -> Result<(), String> {
        let Some(mut life) = self.table.remove(&cookie) else {
            return Err("no such life".to_owned());
        };
        life.reset_sent |= line.has("rst-sent");
        if line.has("counted") {
            add(&mut self.counts.counted, life.side);
            let ends = life.second.map_or(line.at, |second| second.at.latest());
            let spans = life.closing.map(|first| (first, ends)).into_iter();
            for (step, until) in spans.chain(life.second.map(|second| (second, line.at))) {
                let span = until.since(step.at.latest());
                self.counts.short.push(ShortDwell {
                    side: life.side,
                    state: step.state,
                    low: span,
                    high: span,
                    count: 1,
                });
            }
            return Ok(());
        }
        if line.has("lost") {
            add(&mut self.counts.lost, life.side);
            return Ok(());
        }
        if !life.adopted {
            add(&mut self.counts.delivered, life.side);
        }
        if from == TcpState::Closing || (from == TcpState::FinWait2 && line.has("done")) {
            add(&mut self.counts.timewait_begun, life.side);
        }
        let ended = EndedLife {
            life,
            at: line.at,
            from,
            sk_err: line.number("err", 0)?,
            dead: line.has("dead"),
            done: line.has("done"),
            unaccepted: line.has("unaccepted"),
            endpoints: endpoints(&self.ends, cookie),
            unread: line.number("unread", 0)?,
            unacked: line.number("unacked", 0)?,
        };
        let input = Input::Ended(Box::new(ended));
        if line.has("late") {
            self.ring.push((line.at, input));
            return Ok(());
        }
        self.tell(line.at, input)
    }
}

fn newborn(cookie: Cookie, side: Side, adopted: bool) -> Life {
    Life {
        cookie,
        side,
        netns: Netns(HOME),
        pid: None,
        connecting_at: None,
        established_at: None,
        closing: None,
        second: None,
        orphaned_at: None,
        retransmits: 0,
        reset_sent: false,
        adopted,
    }
}

/// What the kernel half writes into its record at a transition.
fn enter(life: &mut Life, from: TcpState, to: TcpState, at: Mono) {
    let step = Step {
        state: to,
        at: Since::Exact(at),
    };
    match to {
        TcpState::SynSent => life.connecting_at = Some(at),
        TcpState::Established => life.established_at = Some(at),
        _ if from == to => life.orphaned_at = Some(at),
        _ if life.closing.is_none() => life.closing = Some(step),
        _ => life.second = Some(step),
    }
}

fn add(figures: &mut BySide<u64>, side: Side) {
    figures.set(side, figures.get(side) + 1);
}
