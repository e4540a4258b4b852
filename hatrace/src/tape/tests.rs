//! A recording comes back as it was, or says what of it is lost.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hatrace_core::Settings;
use hatrace_core::ids::{Cookie, Netns, Pid};
use hatrace_core::input::{Counts, Gap, Input, ProcessChange};
use hatrace_core::life::{Life, Step};
use hatrace_core::naming::Asking;
use hatrace_core::sock::Side;
use hatrace_core::tcp::TcpState;
use hatrace_core::time::{Mono, Since};
use hatrace_core::verdicts::By;
use proptest::prelude::*;

mod old;
mod rotate;

use super::{FORMAT, Header, Item, Plan, Recorder, Reel};
use crate::port::{Context, Cost, Mode};

fn header() -> Header {
    let settings = Settings {
        min: Duration::from_secs(1),
        max_lives: 1000,
        polled: false,
        exact_timewaits: true,
        by: By::Peer,
        sessions: false,
    };
    let context = Context {
        host: "lb1".to_owned(),
        parts: Vec::new(),
        pids: vec![Pid(7)],
        master: None,
        haproxy_version: Some("3.2.26".to_owned()),
        mode: Mode::Polled { why: None },
        started_at: "2026-11-21T03:12:00Z".parse().expect("a time"),
        started_mono: Mono::from_ns(5_000_000_000),
        sweep_interval: Duration::from_secs(1),
        min: Duration::from_secs(1),
        cost: Cost::default(),
    };
    Header {
        hatrace_tape: FORMAT,
        member: 0,
        hatrace: "0.1.0".to_owned(),
        kernel: "6.18".to_owned(),
        host: "lb1".to_owned(),
        boot: Some("5c0f".to_owned()),
        began: None,
        recording: "lb1-1".to_owned(),
        settings,
        context,
        limits: Vec::new(),
        sysctls: Vec::new(),
    }
}

fn life(cookie: u64, at: u64) -> Life {
    Life {
        cookie: Cookie(cookie),
        side: Side::Client,
        netns: Netns(1),
        pid: Some(Pid(7)),
        connecting_at: None,
        established_at: None,
        closing: Some(Step {
            state: TcpState::FinWait2,
            at: Since::Exact(Mono::from_ns(at)),
        }),
        second: None,
        orphaned_at: None,
        retransmits: 0,
        reset_sent: false,
        adopted: false,
    }
}

/// Ten seconds: a scan of three lives each, and what happens beside.
fn story() -> Vec<(Mono, Input)> {
    let mut story = vec![(
        Mono::from_ns(5_000_000_003),
        Input::Asking(Asking {
            pid: Pid(7),
            access: None,
            questions: 1,
            took: Duration::from_millis(2),
            longest: Duration::from_millis(2),
        }),
    )];
    for second in 5..15u64 {
        let at = Mono::from_ns(second * 1_000_000_000 + 17);
        story.extend((1..=3).map(|cookie| (at, Input::Open(life(cookie, 5_000_000_001)))));
        story.push((at, Input::Scanned));
        let counts = Counts {
            transitions: second,
            ..Counts::default()
        };
        story.push((at, Input::Counts(Box::new(counts))));
        let change = ProcessChange::Born {
            pid: Pid(8),
            parent: Pid(7),
        };
        story.push((at, Input::Process(change)));
    }
    story
}

fn plan(path: &Path, limit: Option<u64>, keep: Option<usize>) -> Plan {
    Plan {
        path: path.to_owned(),
        limit,
        keep,
        redact: false,
    }
}

fn recorded(folder: &Path, limit: Option<u64>) -> PathBuf {
    let path = folder.join("tape");
    let mut recorder = Recorder::create(plan(&path, limit, None), header()).expect("a recorder");
    for (at, input) in story() {
        recorder.take(at, &input);
    }
    recorder.cut(Mono::from_ns(15_000_000_000), &header().context);
    let _ = recorder.finish();
    path
}

/// Inputs in words, and whether something is said to be lost.
fn told(path: &Path) -> Option<(Vec<String>, bool)> {
    let mut tape = Reel::open(&[path.to_owned()]).ok()?.pop()?;
    let (mut inputs, mut lost) = (Vec::new(), false);
    while let Some(item) = tape.advance() {
        match item {
            Item::Input((_, Input::Gap(Gap::Unreadable { .. }))) => lost = true,
            Item::Input(stamped) => inputs.push(format!("{stamped:?}")),
            Item::Cut(at) => inputs.push(format!("cut {at:?}")),
            Item::Context(_) | Item::Names(_) => {}
        }
    }
    Some((inputs, lost))
}

fn whole() -> Vec<String> {
    let mut whole: Vec<String> = story().iter().map(|stamped| format!("{stamped:?}")).collect();
    whole.push(format!("cut {:?}", Mono::from_ns(15_000_000_000)));
    whole
}

#[test]
fn what_was_recorded_comes_back_in_order_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(folder.path(), None);
    assert_eq!(told(&path), Some((whole(), false)));
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn unpacked_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(folder.path(), None);
    let packed = std::fs::read(&path).unwrap();
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&packed[..]), &mut text).unwrap();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<serde_json::Value>(line).unwrap();
    }
    let plain = folder.path().join("plain");
    std::fs::write(&plain, text).unwrap();
    assert_eq!(told(&plain), Some((whole(), false)));
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(folder.path(), None);
    let before = std::fs::read(&path).unwrap();
    assert!(Recorder::create(plan(&path, None, None), header()).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_limit_is_kept_and_what_is_there_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(folder.path(), Some(1500));
    assert!(path.metadata().unwrap().len() <= 1500);
    let (inputs, lost) = told(&path).expect("a recording");
    assert!(!lost && !inputs.is_empty() && inputs.len() < whole().len());
    assert_eq!(inputs[..], whole()[..inputs.len()]);
}

#[test]
fn cut_off_anywhere_it_is_a_beginning_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(folder.path(), None);
    let bytes = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut");
    let mut ends = 0;
    for length in 0..bytes.len() {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let Some((inputs, lost)) = told(&cut) else {
            continue;
        };
        assert_eq!(inputs[..], whole()[..inputs.len()], "cut at {length}");
        // Between two members nothing shows that there were more.
        ends += usize::from(!lost);
    }
    assert!((5..20).contains(&ends), "{ends} clean ends");
}

#[test]
fn a_later_format_is_refused_and_other_files_are_no_recordings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later");
    std::fs::write(&path, "{\"hatrace_tape\":99,\"hatrace\":\"9.0\"}\n").unwrap();
    let refused = Reel::open(std::slice::from_ref(&path)).err().unwrap();
    assert!(
        refused.what.contains("format 99, by hatrace 9.0"),
        "{}",
        refused.what
    );
    for text in ["", "{\"schema\":1}\n", "GIF89a", "\u{1f}"] {
        std::fs::write(&path, text).unwrap();
        let refused = Reel::open(std::slice::from_ref(&path)).err().unwrap();
        assert!(refused.what.contains("no recording"), "{}", refused.what);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is whole is believed, and nothing else: a flipped bit costs the second it is in, and that is said.
    #[test]
    fn flipped_bits_cost_their_member(at in 0.0..1.0f64, bit in 0u8..8) {
        let folder = tempfile::tempdir().unwrap();
        let path = recorded(folder.path(), None);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = (at * bytes.len() as f64) as usize;
        bytes[at] ^= 1 << bit;
        std::fs::write(&path, &bytes).unwrap();
        let (inputs, lost) = told(&path).expect("nine members of ten");
        let whole = whole();
        let mut rest = whole.iter();
        // In order, with a hole: what is told was recorded.
        prop_assert!(inputs.iter().all(|input| rest.any(|known| known == input)));
        prop_assert!(inputs.len() == whole.len() || lost);
    }

    #[test]
    fn any_bytes_at_all_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..4096), head in 0usize..4) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all([&b""[..], b"{", &[0x1f, 0x8b, 0x08], &[0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3]][head]).unwrap();
        file.write_all(&bytes).unwrap();
        drop(file);
        let _ = told(&path);
    }
}
