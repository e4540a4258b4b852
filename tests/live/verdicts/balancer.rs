//! The balancer upstream: many peers, one of which never closes.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hatrace_tests::crowd::{Acting, Manner, every, fetch};
use hatrace_tests::release::Release;
use serde_json::json;

use super::{DIRECT, Rig, each_under_one, fixes, on_both, text};

const LEAKY: &str = "10.0.0.7";
const WELL: [&str; 8] = [
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.4",
    "10.0.0.5",
    "10.0.0.6",
    "10.0.0.8",
    "10.0.0.9",
    "10.0.1.10",
];

on_both!(one_of_nine_never_closes);

fn one_of_nine_never_closes(release: &Release) {
    let mut addresses = WELL.to_vec();
    addresses.extend([LEAKY, "10.0.0.1"]);
    let rig = Rig::start(release, &addresses, DIRECT);
    let _server = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Closes);
    let tracer = rig.culprits(30);
    let end = Instant::now() + Duration::from_secs(20);
    let kept = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for address in WELL {
            let netns = &rig.netns;
            scope.spawn(move || {
                every(netns, Duration::from_millis(50), end, || {
                    drop(fetch(address, "10.0.0.1:8000"));
                });
            });
        }
        let (netns, kept) = (&rig.netns, &kept);
        scope.spawn(move || {
            every(netns, Duration::from_millis(500), end, || {
                kept.lock().unwrap().push(fetch(LEAKY, "10.0.0.1:8000"));
            });
        });
    });
    let report = tracer.finish().report();
    let leaked = kept.lock().unwrap().len();
    assert!(leaked >= 20, "{leaked}");
    let culprits = report.culprits();
    assert_eq!(culprits.len(), 1, "nobody else: {culprits:#?}");
    let first = &culprits[0];
    assert_eq!(first["rank"], 1);
    assert_eq!(first["peer"], LEAKY, "{first:#}");
    assert_eq!(first["verdict"], "peer-never-closes");
    assert_eq!(first["responsible"], "peer");
    assert_eq!(first["confidence"], "certain", "{first:#}");
    assert_eq!(
        (&first["side"], &first["state"]),
        (&json!("client"), &json!("FIN_WAIT2"))
    );
    assert_eq!(first["proxy"], "fe");
    assert_eq!(first["open"], leaked);
    assert_eq!(first["pinned"], leaked);
    let fix = fixes(first);
    assert_eq!(
        fix,
        [format!(
            "timeout client-fin 30s (frontend fe, {})",
            rig.line("frontend fe")
        )]
    );
    let clock = &first["clock"];
    assert_eq!(clock["name"], "timeout client", "{clock}");
    assert_eq!(clock["source"], rig.line("timeout client 1h"));
    each_under_one(&report);
    for well in WELL {
        assert!(!text(first, "peer").contains(well));
        let accused = report.json()["notices"]
            .as_array()
            .unwrap()
            .iter()
            .any(|notice| notice["peer"] == well);
        assert!(!accused, "{}", report.json()["notices"]);
    }
}
