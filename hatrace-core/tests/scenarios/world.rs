//! What a story moves: a small model of the kernel half (its table, its ring, its counters) in front of the real engine.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hatrace_core::config::Configuration;
use hatrace_core::ids::{Cookie, Fd, Netns, Pid};
use hatrace_core::input::{Counts, Gap, Input, Limits, ProcessChange, ShortDwell, Sweep, Transition};
use hatrace_core::life::{EndedLife, Life, Step};
use hatrace_core::sock::{BySide, Claim, Endpoints, Quiet, Side, SockRow, Timer};
use hatrace_core::tcp::{StateSet, TcpState};
use hatrace_core::time::{Mono, Since};
use hatrace_core::{Engine, Settings};

use crate::config;
use crate::line::{Line, side, span, state};
use crate::page;
use crate::talk::{self, Open, Talk};

/// The namespace of stories that don't say.
const HOME: u32 = 1;

/// The model and the engine.
pub struct World {
    engine: Option<Engine>,
    names: Vec<String>,
    table: BTreeMap<Cookie, Life>,
    ring: Vec<(Mono, Input)>,
    counts: Counts,
    rows: Vec<SockRow>,
    talk: Talk,
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

    fn tell(&mut self, at: Mono, input: Input) -> Result<(), String> {
        self.engine.as_mut().ok_or("no start yet")?.handle(at, input);
        Ok(())
    }

    fn about(&mut self, line: &Line, input: fn(Cookie) -> Input) -> Result<(), String> {
        let cookie = self.cookie(line.words.first().ok_or("whose?")?);
        self.tell(line.at, input(cookie))
    }

    fn cookie(&mut self, name: &str) -> Cookie {
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
        let (names, table) = (&self.names, &self.table);
        self.talk.look(line, |name| {
            let index = names.iter().position(|known| known == name).unwrap_or(0);
            let cookie = Cookie(index as u64 + 1);
            let life = table.get(&cookie);
            Open {
                cookie,
                endpoints: endpoints(cookie),
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
                endpoints: endpoints(cookie),
                pid: life.pid,
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
        life.reset_received |= line.has("rst-received");
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
            endpoints: endpoints(cookie),
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

    /// `row A client FIN_WAIT2 fd=9`: a socket as the next sweep will find it.
    fn row(&mut self, line: &Line) -> Result<(), String> {
        let [name, side_name, state_name, ..] = line.words.as_slice() else {
            return Err("a row is NAME SIDE STATE".to_owned());
        };
        let cookie = self.cookie(name);
        let timewait = line.has("timewait");
        let fd = line.number("fd", 0)?;
        let claim = match fd {
            0 if line.has("stranger") => Claim::None,
            0 => Claim::Listener,
            fd => Claim::Fd {
                pid: Pid(line.number("pid", 7)?),
                fd: Fd(fd),
            },
        };
        let mut quiet = line.keys.get("quiet").map(|text| text.split(',').map(span));
        let mut next = || quiet.as_mut().and_then(Iterator::next).transpose();
        let quiet = match (next()?, next()?, next()?) {
            (Some(data_sent), Some(data_received), Some(ack_received)) => Some(Quiet {
                data_sent,
                data_received,
                ack_received,
            }),
            _ => None,
        };
        let left = line.span("left")?;
        let (retransmit, probe) = (line.span("retransmit")?, line.span("probe")?);
        self.rows.push(SockRow {
            cookie,
            timewait,
            state: state(state_name)?,
            claim,
            side: side(side_name)?,
            endpoints: endpoints(cookie),
            netns: Netns(line.number("netns", HOME)?),
            inode: (fd != 0).then_some(u64::from(fd) + 1000),
            orphaned: None,
            unread: line.number("unread", 0)?,
            unacked: line.number("unacked", 0)?,
            retransmits: line.number("retransmits", 0)?,
            timer: match (left, retransmit, probe) {
                (Some(left), _, _) if timewait => Timer::Timewait(left),
                (Some(left), _, _) => Timer::Keepalive(left),
                (_, Some(left), _) => Timer::Retransmit(left),
                (_, _, Some(left)) => Timer::Probe(left),
                (None, None, None) => Timer::None,
            },
            quiet,
            rto: line.span("rto")?,
        });
        Ok(())
    }

    fn sweep(&mut self, line: &Line) -> Result<(), String> {
        let netns = Netns(line.number("netns", HOME)?);
        let overflow = line.keys.get("overflow").map(|text| text.parse());
        let sweep = Sweep {
            netns: vec![netns],
            states: match line.keys.get("states") {
                None => TcpState::ALL.into_iter().collect(),
                Some(names) => names.split(',').map(state).collect::<Result<StateSet, _>>()?,
            },
            took: line.span("took")?.unwrap_or_default(),
            fds: !line.has("no-fds"),
            rows: std::mem::take(&mut self.rows),
            timewait_overflow: overflow.transpose().map_err(|_| "overflow wants a number")?,
            limits: vec![(
                netns,
                Limits {
                    fin_timeout: Some(line.span("fin_timeout")?.unwrap_or(Duration::from_secs(60))),
                    orphan_retries: Some(line.number("orphan_retries", 0)?),
                    retries2: Some(line.number("retries2", 15)?),
                },
            )],
        };
        self.tell(line.at, Input::Sweep(Box::new(sweep)))
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
        reset_received: false,
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

fn endpoints(cookie: Cookie) -> Endpoints {
    let host = u8::try_from(cookie.0 % 250).unwrap_or(0) + 1;
    Endpoints::new(
        SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80)),
        SocketAddr::from((Ipv4Addr::new(198, 51, 100, host), 40_000)),
    )
}
