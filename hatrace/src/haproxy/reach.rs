//! Whether and how a process can be asked, and what it costs: one way in, checked to be this very process's each time it is used.

use std::io;
use std::time::{Duration, Instant};

use hatrace_core::ids::Pid;
use hatrace_core::naming::Asking;
use hatrace_core::stream::{Access, Unreachable};

use super::address::Address;
use super::client::{Line, MASTERS_OWN};
use super::find::{Candidate, candidates, roots};
use super::parse::{Info, info, version, workers};
use crate::target::Proc;

/// One process and the way to its command line.
#[derive(Debug)]
pub struct Reach {
    process: Proc,
    /// The pid by which HAProxy knows itself: inside of a container, another one.
    own_pid: u32,
    master: Option<Proc>,
    given: Option<Address>,
    line: Option<Line>,
    /// What it said of itself.
    info: Info,
    asking: Asking,
}

/// Why a way in is none; in the order in which it is worth telling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    Nothing,
    OtherProcess(u32),
    Denied,
    Garbage,
    Silent { clients: Option<usize> },
    LevelUser,
}

/// How many clients a command line has slots for by default (`stats maxconn`).
const SLOTS: usize = 10;

impl Reach {
    /// Of a process; `master`: whose worker it is; `given`: the socket that the user named.
    #[must_use]
    pub fn new(process: Proc, master: Option<Proc>, given: Option<Address>) -> Self {
        let own_pid = process.inner_pids.last().copied().unwrap_or(process.pid.0);
        let pid = process.pid;
        Self {
            process,
            own_pid,
            master,
            given,
            line: None,
            info: Info::default(),
            asking: Asking {
                pid,
                access: None,
                questions: 0,
                took: Duration::ZERO,
                longest: Duration::ZERO,
            },
        }
    }

    pub(super) const fn process(&self) -> &Proc {
        &self.process
    }

    /// Which process.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.process.pid
    }

    /// How the asking went so far.
    #[must_use]
    pub const fn asking(&self) -> &Asking {
        &self.asking
    }

    /// What HAProxy said of itself when it was reached.
    #[must_use]
    pub const fn info(&self) -> &Info {
        &self.info
    }

    /// Whether it answers.
    #[must_use]
    pub const fn ready(&self) -> bool {
        matches!(self.asking.access, Some(Access::Ready { .. }))
    }

    /// Looks for the way in, trying one after the other.
    pub async fn open(&mut self) {
        let mut worst = (Refusal::Nothing, None);
        for candidate in self.candidates() {
            let line = self.line_to(&candidate);
            match self.knock(&line, candidate.clients).await {
                Ok(info) => {
                    let through = if line.through_master.is_some() {
                        format!("{} (the master's)", line.address)
                    } else {
                        line.address.to_string()
                    };
                    self.info = info;
                    self.line = Some(line);
                    self.asking.access = Some(Access::Ready { through });
                    return;
                }
                Err(refusal) if refusal > worst.0 || worst.1.is_none() => {
                    worst = (refusal, Some(candidate.address));
                }
                Err(_) => {}
            }
        }
        self.line = None;
        self.asking.access = Some(self.refused(&worst.0, worst.1.as_ref()));
    }

    fn candidates(&self) -> Vec<Candidate> {
        let found = candidates(&self.process, self.master.as_ref());
        let Some(address) = &self.given else {
            return found;
        };
        let given = Candidate {
            address: address.clone(),
            process: self.process.pid,
            master: false,
            clients: None,
        };
        // The one that was named, and none but it; but it can only be one worker's, and an old one's way is through its master.
        let masters = found.into_iter().filter(|candidate| candidate.master);
        std::iter::once(given).chain(masters).collect()
    }

    fn line_to(&self, candidate: &Candidate) -> Line {
        let mut roots = roots(&self.process);
        if self.given.is_some() {
            // A path that the user typed is one of ours.
            roots.reverse();
        }
        Line {
            address: candidate.address.clone(),
            process: candidate.process,
            roots,
            through_master: candidate.master.then_some(self.own_pid),
        }
    }

    /// Asks who is there, and what we may ask.
    async fn knock(&mut self, line: &Line, clients: Option<usize>) -> Result<Info, Refusal> {
        let mut text = String::new();
        let mut take = |line: &str| {
            text.push_str(line);
            text.push('\n');
            text.len() < 256 << 10
        };
        let mut commands = vec!["show cli level", "show version", "show info"];
        if line.through_master.is_some() {
            commands.insert(0, MASTERS_OWN);
        }
        let asked = line.ask(&commands, &mut take).await;
        self.asking.questions += 1;
        match asked {
            Ok(answered) => self.count(answered.took),
            // Whoever spoke before hanging up is judged by what was said.
            Err(error) if text.is_empty() => return Err(refusal(&error, clients)),
            Err(_) => {}
        }
        let Some(mut info) = info(&text) else {
            return Err(Refusal::Garbage);
        };
        let own = self.own_pid;
        if line.through_master.is_some() && !workers(&text).iter().any(|worker| worker.pid == own) {
            // Another HAProxy's master.
            return Err(Refusal::OtherProcess(0));
        }
        if info.version.is_none() {
            info.version = version(&text).map(str::to_owned);
        }
        match info.pid {
            Some(pid) if pid != self.own_pid => return Err(Refusal::OtherProcess(pid)),
            Some(_) => {}
            None => return Err(Refusal::Garbage),
        }
        if text.lines().any(|line| line.trim() == "user") {
            return Err(Refusal::LevelUser);
        }
        Ok(info)
    }

    /// Asks what may be asked of a process that answers. `false`: it was not to be had this time, and is looked for anew.
    pub(super) async fn ask(
        &mut self,
        commands: &[&str],
        take: &mut (dyn FnMut(&str) -> bool + Send),
    ) -> bool {
        let Some(line) = self.line.clone() else {
            return false;
        };
        // The process behind a path changes with a reload: it says who it is in the same breath.
        let mut all = vec!["show info"];
        all.extend(commands);
        let (mut same, mut denied, mut ended) = (None, false, false);
        let own = self.own_pid;
        let mut checked = |text: &str| {
            if same.is_none()
                && let Some(pid) = text.strip_prefix("Pid:")
            {
                same = Some(pid.trim().parse() == Ok(own));
            }
            denied |= text == "Permission denied";
            // Every answer ends with an empty line; one that doesn't was cut short.
            ended = text.is_empty();
            if same == Some(true) {
                take(text)
            } else {
                same.is_none()
            }
        };
        let start = Instant::now();
        let asked = line.ask(&all, &mut checked).await;
        self.asking.questions += 1;
        // What was given up has been worked on as well.
        self.count(
            asked
                .as_ref()
                .map_or_else(|_| start.elapsed(), |answered| answered.took),
        );
        if asked.is_ok() && same == Some(true) && !denied && ended {
            return true;
        }
        // Another process by now, or none: a way in is looked for anew, and only if there is none that is worth a warning.
        self.line = None;
        self.asking.access = None;
        false
    }

    fn count(&mut self, took: Duration) {
        self.asking.took += took;
        self.asking.longest = self.asking.longest.max(took);
    }

    fn refused(&self, refusal: &Refusal, address: Option<&Address>) -> Access {
        const SOCKET: &str = "stats socket /run/haproxy/admin.sock mode 660 level operator";
        let at = address.map_or_else(|| "its stats socket".to_owned(), ToString::to_string);
        let pid = self.process.pid;
        let of_worker = self.master.is_some();
        let (code, why, remedy) = match refusal {
            Refusal::Nothing if self.given.is_some() => (
                Unreachable::NoSocket,
                format!("nobody listens on {at}"),
                Some("leave out --socket: hatrace finds it".to_owned()),
            ),
            Refusal::Nothing => (
                Unreachable::NoSocket,
                format!("HAProxy {pid} has no stats socket"),
                Some(format!("add to its `global` section: {SOCKET}")),
            ),
            Refusal::OtherProcess(_) if of_worker => (
                Unreachable::OldWorker,
                format!("{at} answers for another worker than {pid}, which has been replaced"),
                Some("only the master's command line reaches an old worker: start HAProxy with -S /run/haproxy-master.sock".to_owned()),
            ),
            Refusal::OtherProcess(_) => (
                Unreachable::OtherProcess,
                format!("{at} answers for another process than {pid}"),
                Some(format!("give this one a socket of its own: {SOCKET}")),
            ),
            Refusal::Denied => (
                Unreachable::Denied,
                format!("{at} may not be opened"),
                Some("run hatrace as root, or in the group of the socket".to_owned()),
            ),
            Refusal::Garbage => (
                Unreachable::Garbage,
                format!("what answers on {at} is not HAProxy's command line"),
                Some("name the right one: --socket PATH".to_owned()),
            ),
            Refusal::Silent {
                clients: Some(clients),
            } if *clients >= SLOTS => (
                Unreachable::SlotsTaken,
                format!("{at} has {clients} clients already and takes no more"),
                Some(format!(
                    "end those that hang (ss -xp | grep {at}), or raise `stats maxconn` in `global`"
                )),
            ),
            Refusal::Silent { .. } => (
                Unreachable::NoAnswer,
                format!("{at} doesn't answer"),
                Some("see whether HAProxy hangs, or its command line's slots are taken (`stats maxconn`)".to_owned()),
            ),
            Refusal::LevelUser => (
                Unreachable::LevelUser,
                format!("{at} is `level user`, and `show sess` needs `level operator`"),
                Some(format!("change it to: stats socket {at} level operator")),
            ),
        };
        Access::Refused { code, why, remedy }
    }
}

fn refusal(error: &io::Error, clients: Option<usize>) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Refusal::Nothing,
        io::ErrorKind::PermissionDenied => Refusal::Denied,
        // EAGAIN: the listener's backlog is full as well.
        io::ErrorKind::WouldBlock => Refusal::Silent {
            clients: clients.or(Some(SLOTS)),
        },
        _ => Refusal::Silent { clients },
    }
}
