//! Recordings of older formats, as they were made then.

use super::*;
use hatrace_core::Engine;

/// Whom, of what, how many.
type Culprit = (String, &'static str, u64);

/// What recordings among the samples come to: how much lingers at the end, culprits, notices about recordings.
fn read(files: &[&str]) -> (Header, usize, Vec<Culprit>, Vec<&'static str>) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/samples/recordings");
    let paths: Vec<PathBuf> = files.iter().map(|file| samples.join(file)).collect();
    let mut reel = Reel::open(&paths).unwrap().pop().unwrap();
    let first = reel.header().clone();
    let mut engine = Engine::new(first.settings, reel.context().started_mono);
    let mut cut = None;
    while let Some(item) = reel.advance() {
        match item {
            Item::Input((at, input)) => engine.handle(at, input),
            Item::Cut(at) => cut = Some(at),
            Item::Context(context) => assert_eq!(context.host, first.host),
            Item::Names(_) => {}
        }
    }
    let snapshot = engine.snapshot(cut.unwrap());
    let culprits = snapshot.findings.iter().filter(|finding| finding.accuses());
    let culprits = culprits.map(|finding| (finding.whom.to_string(), finding.verdict.code(), finding.open));
    let codes = snapshot.notices.iter().map(|notice| notice.code);
    (
        first,
        snapshot.lingering.len(),
        culprits.collect(),
        codes.filter(|code| code.starts_with("record")).collect(),
    )
}

fn never(peer: &str, open: u64) -> Culprit {
    (peer.to_owned(), "peer-never-closes", open)
}

/// Of a traced HAProxy 2.6 with two leaky peers, 12 s, by the version that wrote format 1: 33 sockets lingered at its end.
#[test]
fn one_of_format_1_is_read_as_what_it_was() {
    let (header, lingering, culprits, notices) = read(&["v1.hatrace"]);
    assert_eq!(
        (header.hatrace_tape, header.context.host.as_str()),
        (FORMAT, "vm")
    );
    assert_eq!(lingering, 33);
    assert_eq!(culprits, [never("127.0.0.7", 11), never("127.0.0.2", 2)]);
    assert!(notices.is_empty(), "{notices:?}");
}

/// The same in format 2: the last two files of four.
#[test]
fn one_of_format_2_is_read_as_what_it_was() {
    let (header, lingering, culprits, notices) = read(&["v2.hatrace", "v2.1.hatrace"]);
    assert_eq!(header.hatrace_tape, 2);
    assert_eq!(lingering, 28);
    assert_eq!(culprits, [never("127.0.0.7", 9)]);
    assert_eq!(notices, ["recording-part"]);
}
