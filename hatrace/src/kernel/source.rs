//! The traced source: the kernel half's records, its table, and sweeps, as inputs for the engine.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use hatrace_common::wire::{self, process};
use hatrace_core::ids::{Cookie, Fd, FdTable, Netns, Pid};
use hatrace_core::input::{Counts, Gap, Input};
use hatrace_core::sock::{BySide, Claim, HeldSock, Side, SockRow};
use hatrace_core::survey::Survey;
use hatrace_core::tcp::TcpState;
use hatrace_core::time::Mono;

use super::decode::{self, Decoded};
use super::files::{Files, Held, Purpose};
use super::ghosts::Ghosts;
use super::load::{LoadOptions, Loaded};
use super::memory;
use super::ports::{Told, address_of};
use super::refusal::LoadError;
use crate::ability::{Abilities, Ability};
use crate::clock;
use crate::error::Problem;
use crate::port::{Cost, Depth, Source, Stamped};
use crate::sockdiag::{self, DiagRow, Listeners, Namespaces, sock_row};
use crate::target::{Target, tables};

/// The table is read this often: how late a socket that lingers is noticed.
const SCAN: Duration = Duration::from_millis(250);

/// After a scan that took a millisecond of processor time, this many of silence at least: the table may be large.
const PATIENCE: u32 = 100;

/// The kernel half at work.
pub struct Traced {
    loaded: Loaded,
    logger: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
    files: Files,
    told: Told,
    target: Target,
    namespaces: Namespaces,
    sweep_interval: Duration,
    min: Duration,
    last_scan: Option<Mono>,
    /// Processor time of the last scan. Not how long it took: one that was kept waiting by a busy machine says nothing of the table, and
    /// the table grows at scans alone.
    scan_cpu: Duration,
    last_sweep: Option<Mono>,
    /// Cookies of closing lives of which a sweep has told the addresses.
    named: BTreeSet<Cookie>,
    /// Closing lives older than half the minimum that no sweep has told of.
    unnamed: bool,
    /// The last sweep found sockets of HAProxy's that the table doesn't have.
    strangers: bool,
    ghosts: Ghosts,
    /// Runs that the kernel refused, when last asked.
    missed: u64,
    /// Processes whose sockets may be older than our knowledge of them.
    adopt: bool,
    /// A timewait may be waiting to be seen: handed over since the last sweep, or seen by it.
    timewaits: bool,
    cost: Cost,
}

impl Traced {
    /// Loads the kernel half and takes the target over: attach first, then own, then adopt, so that nothing falls between.
    ///
    /// # Errors
    /// What this kernel, or our rights, don't allow.
    pub fn start(options: &LoadOptions, target: Target, sweep_interval: Duration) -> Result<Self, LoadError> {
        let mut loaded = Loaded::load(options)?;
        if let Err(why) = sockdiag::probe(&options.without) {
            loaded.abilities.lack(Ability::SockDiag, why);
        }
        let logger = loaded.logger();
        let mut this = Self {
            loaded,
            logger,
            files: Files::default(),
            told: Told::default(),
            target,
            namespaces: Namespaces::all_but(&options.without),
            sweep_interval,
            min: options.min,
            last_scan: None,
            scan_cpu: Duration::ZERO,
            last_sweep: None,
            named: BTreeSet::new(),
            unnamed: false,
            strangers: false,
            ghosts: Ghosts::default(),
            missed: 0,
            adopt: true,
            timewaits: true,
            cost: Cost::default(),
        };
        // The first reading makes the processes HAProxy's and tells their listeners; the second adopts, knowing sides.
        this.read_files(Purpose::Look)
            .map_err(|error| LoadError::Refused {
                what: "a reading of HAProxy's files".to_owned(),
                why: error.to_string(),
            })?;
        Ok(this)
    }

    /// What this kernel allows beyond the core.
    #[must_use]
    pub const fn abilities(&self) -> &Abilities {
        &self.loaded.abilities
    }

    fn read_files(&mut self, purpose: Purpose) -> std::io::Result<Vec<Held>> {
        let pids = self.target.pids();
        let held = self.files.read(&mut self.loaded, &pids, purpose)?;
        self.told.learn(&mut self.loaded, &held, &self.target);
        Ok(held)
    }

    fn drain(&mut self, now: Mono, out: &mut Vec<Stamped>) {
        while let Some(decoded) = self.loaded.ring.next().map(|item| decode::record(&item, now)) {
            match decoded {
                Decoded::Input(stamped) => {
                    // Any end may be a handover; the sweep that follows settles it.
                    self.timewaits |= matches!(stamped.1, Input::Ended(_));
                    out.push(stamped);
                }
                Decoded::Listen(listen) => {
                    let local = address_of(&listen.listener);
                    self.told.add(
                        &mut self.loaded,
                        Netns(listen.listener.netns),
                        local,
                        Side::Client,
                    );
                }
                Decoded::Process(told) => {
                    match told.what {
                        process::BORN => {
                            if self.target.born(Pid(told.tgid)).is_none() {
                                continue;
                            }
                        }
                        _ => self.target.ended(Pid(told.tgid)),
                    }
                    out.push(decode::process_change(&told));
                }
            }
        }
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// Tells the engine the whole table.
    fn scan(&mut self, now: Mono, out: &mut Vec<Stamped>) {
        let mut open: BySide<u64> = BySide::default();
        let mut closing = BTreeSet::new();
        let (mut unnamed, mut steps) = (false, 0);
        let (min, named) = (self.min, &self.named);
        // What was adopted in this very look may have begun to close after the look's own moment.
        let (read, cpu) = (clock::now(), clock::own_cpu());
        let used = self.loaded.table.scan(|record| {
            let side = decode::side(record.side);
            steps += u64::from(record.steps);
            if record.flags & wire::flag::ADOPTED == 0 {
                open.set(side, open.get(side) + 1);
            }
            let lingers = TcpState::from_kernel(record.state).is_some_and(TcpState::lingers);
            if !lingers {
                return;
            }
            let Some(life) = decode::life(record, read) else {
                return;
            };
            let since = life.current().map_or(now, |step| step.at.latest());
            closing.insert(life.cookie);
            unnamed |= !named.contains(&life.cookie) && (life.adopted || now.since(since) * 2 >= min);
            out.push((now, Input::Open(life)));
        });
        out.push((now, Input::Scanned));
        if let Err(error) = self.loaded.table.grow(used) {
            tracing::warn!("the table of lives can't grow beyond {used}: {error}");
        }
        self.named.retain(|cookie| closing.contains(cookie));
        self.unnamed = unnamed;
        let mut counts: Counts = self.loaded.figures.read();
        counts.open = open;
        counts.transitions += steps;
        self.ghosts.count(&mut counts);
        counts.missed_runs = self.loaded.missed_runs();
        // What was missed leaves records behind that only a look at the sockets can put right: two looks, an interval apart.
        if counts.missed_runs > self.missed {
            self.missed = counts.missed_runs;
            self.strangers = true;
        }
        out.push((now, Input::Counts(Box::new(counts))));
        self.last_scan = Some(now);
        self.cost.scan = self.cost.scan.max(clock::now().since(read));
        self.scan_cpu = clock::own_cpu().saturating_sub(cpu);
    }

    /// A sweep for timewaits and addresses; with what HAProxy's processes have open it tells of all that lingers.
    fn sweep(&mut self, now: Mono, held: Option<HashMap<Cookie, Held>>, out: &mut Vec<Stamped>) {
        let fds = held.is_some();
        let held = held.unwrap_or_default();
        let unreachable = self.namespaces.enter(self.target.namespaces());
        let looked = self.namespaces.look(now, fds);
        let mut gaps: Vec<Gap> = unreachable.into_iter().chain(looked.gaps()).collect();
        let (mut sweep, mut rows) = (looked.sweep, looked.rows);
        let listening: Vec<_> = rows
            .extract_if(.., |(_, row)| row.state == TcpState::Listen)
            .collect();
        if fds {
            gaps.extend(self.told.compare(&mut self.loaded, &listening));
        }
        out.extend(gaps.into_iter().map(|gap| (now, Input::Gap(gap))));
        let mut listeners = Listeners::default();
        for (netns, local, side) in self.told.iter() {
            listeners.add(netns, local, side);
        }
        let mut taken = HashSet::with_capacity(rows.len());
        for (netns, row) in &rows {
            taken.insert(row.cookie);
            sweep
                .rows
                .push(Self::row(row, held.get(&row.cookie), &listeners, *netns));
        }
        // Held in a namespace that sock_diag couldn't look into: the fds alone tell of it.
        for (cookie, held) in held.iter().filter(|(cookie, _)| !taken.contains(cookie)) {
            sweep.rows.extend(Self::row_of_file(*cookie, held));
        }
        let has_timewaits = sweep
            .rows
            .iter()
            .any(|row| row.timewait && row.state == TcpState::FinWait2);
        self.timewaits = has_timewaits;
        self.strangers = fds && self.ghosts.settle(&self.loaded.table, now, &sweep);
        self.named.extend(
            sweep
                .rows
                .iter()
                .filter(|row| !row.timewait)
                .map(|row| row.cookie),
        );
        self.unnamed = false;
        self.last_sweep = Some(now);
        out.push((now, Input::Sweep(Box::new(sweep))));
    }

    fn held_by_cookie(&mut self, now: Mono, out: &mut Vec<Stamped>) -> HashMap<Cookie, Held> {
        let purpose = if self.adopt { Purpose::Adopt } else { Purpose::Look };
        self.adopt = false;
        match self.read_files(purpose) {
            Ok(held) => held
                .into_iter()
                .filter(|held| held.row.cookie != 0)
                .map(|held| (Cookie(held.row.cookie), held))
                .collect(),
            Err(error) => {
                out.push((
                    now,
                    Input::Gap(Gap::SweepFailed {
                        why: format!("reading HAProxy's files: {error}"),
                    }),
                ));
                HashMap::new()
            }
        }
    }

    fn row(diag: &DiagRow, held: Option<&Held>, listeners: &Listeners, netns: Netns) -> SockRow {
        let owner = held.map(|held| (held.pid, Fd(held.row.fd)));
        let mut row = sock_row(diag, owner, listeners, netns);
        if let Some(held) = held {
            row.side = decode::side(held.row.side);
        }
        row
    }

    fn row_of_file(cookie: Cookie, held: &Held) -> Option<SockRow> {
        let state = TcpState::from_kernel(held.row.state).filter(|state| state.lingers())?;
        Some(SockRow {
            queues: false,
            cookie,
            timewait: false,
            state,
            claim: Claim::Fd {
                pid: held.pid,
                fd: Fd(held.row.fd),
            },
            side: decode::side(held.row.side),
            endpoints: decode::endpoints(&held.row.ends),
            netns: Netns(held.row.netns),
            inode: Some(held.row.inode),
            orphaned: Some(false),
            unread: 0,
            unacked: 0,
            retransmits: 0,
            timer: hatrace_core::sock::Timer::None,
            quiet: None,
            rto: None,
        })
    }

    fn due(last: Option<Mono>, now: Mono, interval: Duration) -> bool {
        last.is_none_or(|last| now.since(last) >= interval)
    }
}

impl Source for Traced {
    fn look(&mut self, now: Mono, depth: Depth, out: &mut Vec<Stamped>) -> Result<(), Problem> {
        let full = depth == Depth::Full || self.last_sweep.is_none();
        self.drain(now, out);
        let sweep_due = Self::due(self.last_sweep, now, self.sweep_interval);
        // Adoption before the first scan: what is older than hatrace is in the table by then.
        let adopted = (self.last_sweep.is_none()).then(|| self.held_by_cookie(now, out));
        if full || Self::due(self.last_scan, now, SCAN.max(self.scan_cpu * PATIENCE)) {
            self.scan(now, out);
        }
        if full || sweep_due && (self.timewaits || self.unnamed || self.strangers) {
            let began = clock::now();
            let fds = full || self.unnamed || self.strangers;
            let held = adopted.or_else(|| fds.then(|| self.held_by_cookie(now, out)));
            self.sweep(now, held, out);
            self.cost.sweep = self.cost.sweep.max(clock::now().since(began));
        }
        if sweep_due {
            for change in self.target.refresh() {
                // A worker that the kernel half didn't tell of: its sockets may be older than this look.
                self.adopt |= matches!(change, hatrace_core::input::ProcessChange::Born { .. });
                out.push((now, Input::Process(change)));
            }
        }
        Ok(())
    }

    fn pids(&self) -> Vec<Pid> {
        self.target.pids()
    }

    fn cost(&self) -> Cost {
        Cost {
            map_bytes: memory::of_maps(),
            ..self.cost
        }
    }

    fn survey(&mut self, thorough: bool) -> Result<Survey, String> {
        let began = clock::now();
        let held = self.held(&self.target.pids())?;
        let (found, opposites) = self.namespaces.survey(&held)?;
        self.cost.survey = self.cost.survey.max(clock::now().since(began));
        Ok(self.target.complete(found, &opposites, thorough))
    }

    fn held(&mut self, pids: &[Pid]) -> Result<Vec<HeldSock>, String> {
        let all = self.target.pids();
        let mut held = self
            .files
            .read(&mut self.loaded, &all, Purpose::Every)
            .map_err(|error| format!("reading HAProxy's files: {error}"))?;
        held.retain(|held| pids.contains(&held.pid));
        let mut threads: BTreeMap<Pid, Vec<u32>> = BTreeMap::new();
        for held in &held {
            threads.entry(held.pid).or_default().push(held.row.tid);
        }
        // One table is the rule: nothing to compare then.
        let tables: BTreeMap<Pid, _> = threads
            .into_iter()
            .filter(|(pid, threads)| threads.iter().any(|thread| *thread != pid.0))
            .map(|(pid, threads)| (pid, tables(pid, &threads)))
            .collect();
        let table = |held: &Held| {
            let of_thread = tables.get(&held.pid)?.get(&held.row.tid)?;
            Some(*of_thread)
        };
        Ok(held
            .iter()
            .filter_map(|held| decode::held(held.pid, table(held).unwrap_or(FdTable::FIRST), &held.row))
            .collect())
    }
}
