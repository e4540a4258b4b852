//! What a line would have freed, told from a recording made without it, against what happens with it.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::ready;
use hatrace_tests::tracer::{Tracer, run};
use serde_json::Value;

use super::TCP;

/// Connections, one begun every 80 ms.
const COUNT: u32 = 100;
const APART: f64 = 0.08;
/// How long it is recorded.
const SECONDS: f64 = 18.0;

/// Who sends its FIN first; the other end then does what its number says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Server,
    Client,
}

/// What the end that should close does instead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Nothing, ever.
    Silent,
    /// It closes after a second.
    Prompt,
    /// After five.
    Late,
    /// It sends a byte every second.
    Busy,
    /// It sends one after five seconds, and one after six.
    Pauses,
}

impl Manner {
    fn of(number: u32) -> Self {
        match number % 10 {
            0..4 => Self::Silent,
            4 | 5 => Self::Prompt,
            6 | 7 => Self::Late,
            8 => Self::Busy,
            _ => Self::Pauses,
        }
    }

    /// When it sends, and when it closes, in seconds after the other's FIN.
    fn acts(self) -> (Vec<f64>, Option<f64>) {
        match self {
            Self::Silent => (Vec::new(), None),
            Self::Prompt => (Vec::new(), Some(1.0)),
            Self::Late => (Vec::new(), Some(5.0)),
            Self::Busy => ((1..18).map(f64::from).collect(), None),
            Self::Pauses => (vec![5.0, 6.0], None),
        }
    }
}

struct Played {
    pair: Pair,
    first: First,
    manner: Manner,
    begun: f64,
    sends: Vec<f64>,
    closes: Option<f64>,
    /// HAProxy ended it before the script did.
    freed: bool,
    over: bool,
}

impl Played {
    fn begin(mut pair: Pair, first: First, number: u32, now: f64) -> Self {
        match first {
            First::Server => pair.server_closes(),
            First::Client => pair.client_closes(),
        }
        for end in [&pair.client, &pair.server] {
            end.set_nonblocking(true).unwrap();
        }
        let manner = Manner::of(number);
        let (mut sends, closes) = manner.acts();
        sends.reverse();
        Self {
            pair,
            first,
            manner,
            begun: now,
            sends,
            closes,
            freed: false,
            over: false,
        }
    }

    fn step(&mut self, now: f64) {
        let (closed, other) = match self.first {
            First::Server => (&mut self.pair.server, &mut self.pair.client),
            First::Client => (&mut self.pair.client, &mut self.pair.server),
        };
        let after = now - self.begun;
        let mut bytes = [0u8; 64];
        if !self.over {
            // What has closed hears that the session is over: it has done nothing to end it.
            match closed.read(&mut bytes) {
                Ok(0) => (self.over, self.freed) = (true, true),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => (self.over, self.freed) = (true, true),
            }
        }
        if self.over {
            return;
        }
        if self.sends.last().is_some_and(|at| *at <= after) {
            self.sends.pop();
            let _ = other.write_all(b"x");
        }
        if self.closes.is_some_and(|at| at <= after) {
            let _ = other.shutdown(std::net::Shutdown::Write);
            self.over = true;
        }
    }
}

/// What happened.
struct Truth {
    tape: String,
    freed: u64,
    cut: u64,
    idle_ended: u64,
}

/// Plays the scenario through a HAProxy with these lines, recorded. `idle`: connections beside it on which nothing ever happens.
fn play(folder: &Path, name: &str, lines: &str, firsts: &[First], idle: usize) -> Truth {
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let config = TCP.replace("timeout connect 5s", &format!("timeout connect 5s\n{lines}"));
    let haproxy = Haproxy::start(&netns, &config);
    let tape = folder.join(name).to_str().unwrap().to_owned();
    let pid = haproxy.pid().to_string();
    let length = format!("{SECONDS}");
    let recorder = Tracer::start(&["record", "-o", &tape, "-d", &length, "--pid", &pid]);
    let start = Instant::now();
    let mut idle = server.pairs(&netns, "127.0.0.1:8000", idle);
    let mut played: Vec<Played> = Vec::new();
    let mut begun = 0;
    while start.elapsed().as_secs_f64() < SECONDS - 0.5 {
        let now = start.elapsed().as_secs_f64();
        while begun < COUNT && f64::from(begun) * APART <= now {
            let pair = server.pairs(&netns, "127.0.0.1:8000", 1).remove(0);
            let first = firsts[begun as usize / 10 % firsts.len()];
            played.push(Played::begin(pair, first, begun, now));
            begun += 1;
        }
        played.iter_mut().for_each(|one| one.step(now));
        std::thread::sleep(Duration::from_millis(20));
    }
    let recorded = recorder.finish();
    assert!(recorded.status.success(), "{}", recorded.stderr);
    // Both ends are told: an RST is as good as a FIN.
    let ended = |pair: &mut Pair| {
        pair.server.set_nonblocking(true).unwrap();
        let read = pair.server.read(&mut [0u8; 8]);
        !matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    };
    let count = |test: &dyn Fn(&Played) -> bool| played.iter().filter(|one| test(one)).count() as u64;
    Truth {
        tape,
        freed: count(&|one| one.freed),
        cut: count(&|one| one.freed && one.manner == Manner::Pauses),
        idle_ended: idle
            .iter_mut()
            .filter_map(|pair| ended(pair).then_some(()))
            .count() as u64,
    }
}

fn told(tape: &str, line: &str) -> Value {
    let finished = run(&["advise", "--json", "--from", tape, "--what-if", line]);
    assert!(finished.status.success(), "{}", finished.stderr);
    let advised: Value = serde_json::from_str(&finished.stdout).unwrap();
    advised["what_if"][0].clone()
}

fn near(predicted: &Value, happened: u64, what: &str) {
    let predicted = predicted
        .as_u64()
        .unwrap_or_else(|| panic!("{what}: {predicted}"));
    let apart = predicted.abs_diff(happened) as f64;
    assert!(
        apart <= 0.05 * happened.max(1) as f64,
        "{what}: predicted {predicted}, happened {happened}"
    );
}

fn predicts(lines: &str, line: &str, firsts: &[First], idle: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (without, with) = std::thread::scope(|scope| {
        let path = folder.path();
        let without = scope.spawn(move || play(path, "without", lines, firsts, idle));
        let with = play(path, "with", &format!("{lines}\n  {line}"), firsts, idle);
        (without.join().unwrap(), with)
    });
    assert_eq!(
        (without.freed, without.idle_ended),
        (0, 0),
        "nothing ends them without it"
    );
    assert_eq!(
        with.freed,
        u64::from(COUNT / 10 * 7),
        "all but the prompt and the busy"
    );
    let told_before = told(&without.tape, line);
    let told_after = told(&with.tape, line);
    let what = |of: &str| format!("{of}\nwithout: {told_before}\nwith: {told_after}");
    near(&told_before["freed_waiting"], with.freed, &what("freed"));
    near(
        &told_before["freed_other_sides"],
        with.freed,
        &what("other sides"),
    );
    near(&told_before["cut"], with.cut, &what("cut"));
    near(&told_before["freed_idle"], with.idle_ended, &what("idle"));
    assert_eq!(with.idle_ended, idle as u64);
    // What it held at most with the line is what its own recording says that it held.
    let peak = told_after["held_peak"]["then"].as_u64().unwrap();
    near(&told_before["held_peak"]["now"], peak, &what("peak"));
    let before = told_before["held_peak"]["then"].as_u64().unwrap();
    assert!(before > peak * 5 / 4, "{}", what("the line makes a difference"));
    // Where the line is there already it changes nothing.
    assert_eq!(told_after["freed"], 0, "{}", what("twice"));
    let text = run(&["advise", "--from", &without.tape, "--what-if", line]).stdout;
    assert!(
        text.contains("freed ") && text.contains("that were at work"),
        "{text}"
    );
}

#[test]
fn client_fin_frees_what_it_was_said_to() {
    if !ready("what_if::client_fin_frees_what_it_was_said_to") {
        return;
    }
    predicts("", "timeout client-fin 3s", &[First::Server], 0);
}

#[test]
fn server_fin_frees_what_it_was_said_to() {
    if !ready("what_if::server_fin_frees_what_it_was_said_to") {
        return;
    }
    predicts(
        "  timeout client 1h\n  timeout server 1h",
        "timeout server-fin 3s",
        &[First::Client],
        0,
    );
}

#[test]
fn tunnel_frees_what_it_was_said_to_and_what_is_idle() {
    if !ready("what_if::tunnel_frees_what_it_was_said_to_and_what_is_idle") {
        return;
    }
    predicts("", "timeout tunnel 3s", &[First::Server, First::Client], 20);
}
