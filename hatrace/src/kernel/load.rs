//! Loading and attaching the kernel half: what this kernel allows, asked once, and no more taken than that.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, FEntry, Iter};
use aya::{Btf, Ebpf, EbpfLoader};
use hatrace_common::names::{map, program};
use hatrace_common::wire::Listener;

use super::bpf::ProgramFigures;
use super::figures::Figures;
use super::memory::{Bits, Ports};
use super::refusal::{LoadError, refused};
use super::table::{Size, Table};
use super::{bpf, btf, offsets};
use crate::ability::{Abilities, Ability};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/hatrace.bpf.o"));

/// How the kernel half is to work.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// A span of at least this long makes a life worth a record.
    pub min: Duration,
    /// Every life and every transition is worth a record.
    pub everything: bool,
    /// HAProxy's process name (`/proc/PID/comm`).
    pub comm: String,
    /// Of the table of lives.
    pub size: Size,
    /// Bytes of the ring; a power of two.
    pub ring_bytes: u32,
    /// What is to do without.
    pub without: BTreeSet<Ability>,
}

impl LoadOptions {
    /// As little as there can be: for a try.
    fn least() -> Self {
        Self {
            min: Duration::from_secs(1),
            everything: false,
            comm: "haproxy".to_owned(),
            size: Size::of(64, false),
            ring_bytes: 4096,
            without: BTreeSet::new(),
        }
    }
}

/// The path of the kernel's BTF: overridable, so that its absence can be tested.
#[must_use]
pub fn btf_path() -> PathBuf {
    std::env::var_os("HATRACE_BTF").map_or_else(|| PathBuf::from("/sys/kernel/btf/vmlinux"), PathBuf::from)
}

/// The loaded kernel half. Dropping it detaches and unloads everything.
pub struct Loaded {
    ebpf: Ebpf,
    /// Records.
    pub ring: RingBuf<MapData>,
    /// The table of lives.
    pub table: Table,
    /// Owned processes.
    pub tgids: Bits,
    /// Listening ports.
    pub ports: Ports,
    /// Owned listeners.
    pub listeners: HashMap<MapData, Key, u32>,
    /// What the fd iterator is to do.
    pub control: Array<MapData, u32>,
    /// Counters and histograms.
    pub figures: Figures,
    /// What this kernel allows beyond the core.
    pub abilities: Abilities,
}

/// [`Listener`], as aya wants a key.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Key(pub Listener);
// SAFETY: integers, no padding.
unsafe impl aya::Pod for Key {}

/// The programs without which nothing is traced, and the tracepoint of each.
const CORE: [(&str, &str); 4] = [
    (program::SET_STATE, "inet_sock_set_state"),
    (program::FORK, "sched_process_fork"),
    (program::EXEC, "sched_process_exec"),
    (program::EXIT, "sched_process_exit"),
];

/// Those that tell more, where this kernel has their tracepoint as it is expected.
const MORE: [(Ability, &str, &str); 2] = [
    (Ability::ResetsSent, program::SEND_RESET, "tcp_send_reset"),
    (Ability::Retransmits, program::RETRANSMIT, "tcp_retransmit_skb"),
];

struct Prepared {
    ebpf: Ebpf,
    btf: Btf,
    size: Size,
}

fn prepare(options: &LoadOptions) -> Result<Prepared, LoadError> {
    let path = btf_path();
    let bytes = std::fs::read(&path).map_err(|_| LoadError::NoBtf {
        path: path.display().to_string(),
    })?;
    let types = btf::Types::parse(&bytes).ok_or_else(|| LoadError::NoBtf {
        path: path.display().to_string(),
    })?;
    let offsets = offsets::resolve(&types).map_err(LoadError::NoField)?;
    let btf = Btf::parse(&bytes, aya::Endianness::default()).map_err(|error| refused("its BTF", &error))?;
    let size = options.size;
    let min_ns = u64::try_from(options.min.as_nanos()).unwrap_or(u64::MAX);
    let everything = u32::from(options.everything);
    let mut comm = [0u8; 16];
    for (to, from) in comm.iter_mut().zip(options.comm.as_bytes().iter().take(15)) {
        *to = *from;
    }
    let half = |at: usize| u64::from_le_bytes(comm[at..at + 8].try_into().unwrap_or_default());
    let (low, high) = (half(0), half(8));
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(&btf))
        .map_max_entries(map::RECORDS, size.homes())
        .map_max_entries(map::RING, options.ring_bytes)
        .override_global("HOME_PAGES", &size.pages, true)
        .override_global("MIN_NS", &min_ns, true)
        .override_global("EVERY_LIFE", &everything, true)
        .override_global("COMM_LOW", &low, true)
        .override_global("COMM_HIGH", &high, true);
    let object = offsets::write_into(OBJECT, &offsets).map_err(|why| LoadError::Refused {
        what: "its own object".to_owned(),
        why,
    })?;
    let ebpf = loader
        .load(&object)
        .map_err(|error| refused("the kernel half's maps", &error))?;
    Ok(Prepared { ebpf, btf, size })
}

fn load_tracepoint(ebpf: &mut Ebpf, btf: &Btf, name: &str, tracepoint: &str) -> Result<(), LoadError> {
    let what = format!("tp_btf/{tracepoint}");
    let found = ebpf.program_mut(name).ok_or_else(|| missing(name))?;
    let found: &mut BtfTracePoint = found.try_into().map_err(|error| refused(&what, &error))?;
    found
        .load(tracepoint, btf)
        .map_err(|error| refused(&what, &error))
}

fn attach_tracepoint(ebpf: &mut Ebpf, name: &str) -> Result<(), LoadError> {
    let found = ebpf.program_mut(name).ok_or_else(|| missing(name))?;
    let found: &mut BtfTracePoint = found.try_into().map_err(|error| refused(name, &error))?;
    found.attach().map(|_| ()).map_err(|error| refused(name, &error))
}

fn load_fentry(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), LoadError> {
    let what = "fentry/tcp_twsk_destructor";
    let found = ebpf
        .program_mut(program::TIMEWAIT_END)
        .ok_or_else(|| missing(what))?;
    let found: &mut FEntry = found.try_into().map_err(|error| refused(what, &error))?;
    found
        .load("tcp_twsk_destructor", btf)
        .map_err(|error| refused(what, &error))?;
    found.attach().map(|_| ()).map_err(|error| refused(what, &error))
}

fn missing(name: &str) -> LoadError {
    LoadError::Refused {
        what: name.to_owned(),
        why: "it isn't in the eBPF object".to_owned(),
    }
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map, LoadError> {
    ebpf.take_map(name).ok_or_else(|| missing(name))
}

fn fd_of(map: &Map) -> Option<BorrowedFd<'_>> {
    match map {
        Map::Array(data) => Some(data.fd().as_fd()),
        _ => None,
    }
}

impl Loaded {
    /// Loads and attaches. Nothing is owned yet: until the agent says whose sockets are meant, every program leaves at once.
    ///
    /// # Errors
    /// What this kernel, or our rights, don't allow.
    pub fn load(options: &LoadOptions) -> Result<Self, LoadError> {
        if options.without.contains(&Ability::Programs) {
            return Err(LoadError::SwitchedOff);
        }
        let Prepared { mut ebpf, btf, size } = prepare(options)?;
        for (name, tracepoint) in CORE {
            load_tracepoint(&mut ebpf, &btf, name, tracepoint)?;
        }
        let what = "iter/task_file";
        let files: &mut Iter = ebpf
            .program_mut(program::FILES)
            .ok_or_else(|| missing(what))?
            .try_into()
            .map_err(|error| refused(what, &error))?;
        files
            .load("task_file", &btf)
            .map_err(|error| refused(what, &error))?;
        if options.everything {
            // First: it reads what `set_state` then moves on.
            load_tracepoint(&mut ebpf, &btf, program::TRANSITION, "inet_sock_set_state")?;
            attach_tracepoint(&mut ebpf, program::TRANSITION)?;
        }
        for (name, _) in CORE {
            attach_tracepoint(&mut ebpf, name)?;
        }
        let abilities = try_more(&mut ebpf, &btf, Abilities::all_but(&options.without));
        Self::with_maps(ebpf, size, abilities)
    }

    fn with_maps(mut ebpf: Ebpf, size: Size, abilities: Abilities) -> Result<Self, LoadError> {
        let map_error = |name: &'static str| move |error: aya::maps::MapError| refused(name, &error);
        let io_error = |name: &'static str| move |error: std::io::Error| refused(name, &error);
        let records = take(&mut ebpf, map::RECORDS)?;
        let levels = ArrayOfMaps::try_from(take(&mut ebpf, map::LEVELS)?).map_err(map_error(map::LEVELS))?;
        let (tgids, ports) = (take(&mut ebpf, map::TGIDS)?, take(&mut ebpf, map::PORTS)?);
        let port_bits = take(&mut ebpf, map::PORT_BITS)?;
        let fd = |map, name| fd_of(map).ok_or_else(|| missing(name));
        let table = Table::new(fd(&records, map::RECORDS)?, levels, size).map_err(io_error(map::RECORDS))?;
        let tgids = Bits::new(fd(&tgids, map::TGIDS)?, 1 << 16).map_err(io_error(map::TGIDS))?;
        let ports = Ports::new(fd(&ports, map::PORTS)?, fd(&port_bits, map::PORT_BITS)?)
            .map_err(io_error(map::PORTS))?;
        let ring = RingBuf::try_from(take(&mut ebpf, map::RING)?).map_err(map_error(map::RING))?;
        let listeners =
            HashMap::try_from(take(&mut ebpf, map::LISTENERS)?).map_err(map_error(map::LISTENERS))?;
        let control = Array::try_from(take(&mut ebpf, map::CONTROL)?).map_err(map_error(map::CONTROL))?;
        let tally = PerCpuArray::try_from(take(&mut ebpf, map::TALLY)?).map_err(map_error(map::TALLY))?;
        let figures = Figures::new(tally);
        Ok(Self {
            ebpf,
            ring,
            table,
            tgids,
            ports,
            listeners,
            control,
            figures,
            abilities,
        })
    }

    /// The aya-log reader of the kernel half's rare words.
    #[must_use]
    pub fn logger(&mut self) -> Option<aya_log::EbpfLogger<&'static dyn log::Log>> {
        aya_log::EbpfLogger::init(&mut self.ebpf).ok()
    }

    /// The fd iterator's program.
    ///
    /// # Errors
    /// It isn't loaded.
    pub fn files(&self) -> Result<BorrowedFd<'_>, LoadError> {
        files_of(&self.ebpf)
    }

    /// Runs that the kernel refused because the program was already running on that CPU, of the programs that keep lives.
    #[must_use]
    pub fn missed_runs(&self) -> u64 {
        self.programs().map(|(_, figures)| figures.missed).sum()
    }

    /// What the verifier has looked at, by program: instructions, along all the ways that it has followed.
    #[must_use]
    pub fn verified(&self) -> BTreeMap<String, u32> {
        self.programs()
            .map(|(name, figures)| (name.to_owned(), figures.verified))
            .collect()
    }

    /// Those that are loaded, and what the kernel says of them.
    fn programs(&self) -> impl Iterator<Item = (&str, ProgramFigures)> {
        self.ebpf.programs().filter_map(|(name, program)| {
            let figures = bpf::program_figures(program.fd().ok()?.as_fd()).ok()?;
            Some((name, figures))
        })
    }
}

/// Loads and attaches what tells more; what this kernel refuses is lived without.
fn try_more(ebpf: &mut Ebpf, btf: &Btf, mut abilities: Abilities) -> Abilities {
    let mut tried = |ability: Ability, attempt: &mut dyn FnMut() -> Result<(), LoadError>| {
        if abilities.has(ability)
            && let Err(error) = attempt()
        {
            tracing::debug!("{}: {error}", ability.name());
            abilities.lack(ability, error.in_a_line());
        }
    };
    for (ability, name, tracepoint) in MORE {
        tried(ability, &mut || {
            load_tracepoint(ebpf, btf, name, tracepoint)?;
            attach_tracepoint(ebpf, name)
        });
    }
    tried(Ability::TimewaitEnds, &mut || load_fentry(ebpf, btf));
    tried(Ability::OneProcess, &mut || {
        let files = files_of(ebpf)?;
        bpf::link_task_files(files, Some(std::process::id()))
            .map(drop)
            .map_err(|error| refused("an iterator over the files of one process", &error))
    });
    abilities
}

/// The fd iterator's program.
fn files_of(ebpf: &Ebpf) -> Result<BorrowedFd<'_>, LoadError> {
    let found = ebpf
        .program(program::FILES)
        .ok_or_else(|| missing(program::FILES))?;
    let found: &Iter = found
        .try_into()
        .map_err(|error| refused(program::FILES, &error))?;
    found
        .fd()
        .map(AsFd::as_fd)
        .map_err(|error| refused(program::FILES, &error))
}

/// What `doctor` wants to know of this kernel.
#[derive(Debug)]
pub struct Probe {
    /// The core programs and their maps; what the verifier has looked at, by program.
    pub core: Result<BTreeMap<String, u32>, LoadError>,
    /// What is lacking beyond the core.
    pub abilities: Abilities,
}

/// Loads everything once, and lets go of it.
#[must_use]
pub fn probe(without: &BTreeSet<Ability>) -> Probe {
    let options = LoadOptions {
        without: without.clone(),
        ..LoadOptions::least()
    };
    match Loaded::load(&options) {
        Ok(loaded) => Probe {
            core: Ok(loaded.verified()),
            abilities: loaded.abilities,
        },
        Err(error) => {
            let mut abilities = Abilities::all_but(without);
            for ability in Ability::MORE {
                abilities.lack(ability, "the kernel half doesn't load".to_owned());
            }
            Probe {
                core: Err(error),
                abilities,
            }
        }
    }
}

/// Empty programs on the hook of the busiest one: the floor of the bench. They run until the value is dropped.
///
/// # Errors
/// What this kernel, or our rights, don't allow.
pub fn load_empty() -> Result<Ebpf, LoadError> {
    let options = LoadOptions::least();
    let Prepared { mut ebpf, btf, .. } = prepare(&options)?;
    load_tracepoint(&mut ebpf, &btf, program::EMPTY_SET_STATE, "inet_sock_set_state")?;
    attach_tracepoint(&mut ebpf, program::EMPTY_SET_STATE)?;
    Ok(ebpf)
}
