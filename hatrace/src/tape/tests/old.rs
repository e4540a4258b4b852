//! Recordings of older formats, as they were made then.

use super::*;
use hatrace_core::Engine;

/// Of a traced HAProxy 2.6 with two leaky peers, 12 s, by the version that wrote format 1: 33 sockets lingered at its end.
#[test]
fn one_of_format_1_is_read_as_what_it_was() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/samples/recordings/v1.hatrace");
    let mut reel = Reel::open(&[path]).unwrap().pop().unwrap();
    let first = reel.header().clone();
    assert_eq!((first.hatrace_tape, first.context.host.as_str()), (FORMAT, "vm"));
    let mut engine = Engine::new(first.settings, first.context.started_mono);
    let (mut cut, mut contexts) = (None, Vec::new());
    while let Some(item) = reel.advance() {
        match item {
            Item::Input((at, input)) => engine.handle(at, input),
            Item::Cut(at) => cut = Some(at),
            Item::Context(context) => contexts.push(context.host),
            Item::Names(_) => {}
        }
    }
    let snapshot = engine.snapshot(cut.unwrap());
    assert_eq!(contexts, ["vm"]);
    assert_eq!(snapshot.lingering.len(), 33);
    let culprits: Vec<(String, &str, u64)> = snapshot
        .findings
        .iter()
        .filter(|finding| finding.accuses())
        .map(|finding| (finding.whom.to_string(), finding.verdict.code(), finding.open))
        .collect();
    let never = |peer: &str, open| (peer.to_owned(), "peer-never-closes", open);
    assert_eq!(culprits, [never("127.0.0.7", 11), never("127.0.0.2", 2)]);
    let damaged = snapshot
        .notices
        .iter()
        .any(|notice| notice.code.starts_with("recording"));
    assert!(!damaged, "{:?}", snapshot.notices);
}
