//! HAProxy's logs: read in every format, counted, dated, followed, and held against the kernel.

/// A test on one release: what it is called, which release, what is done with it.
macro_rules! on {
    ($name:ident, $release:expr, $test:expr) => {
        #[test]
        fn $name() {
            let name = concat!(module_path!(), "::", stringify!($name));
            if hatrace_tests::ready(name) {
                let release: fn(&str) -> Option<Release> = $release;
                if let Some(release) = release(name) {
                    $test(&release);
                }
            }
        }
    };
}

mod configured;
mod corpus;
mod endings;
mod following;
mod kernel;
mod manual;
mod over_time;
mod provoke;
mod rig;

use std::path::Path;

use hatrace_tests::tracer::run;
use serde_json::Value;

/// What `hatrace logs` tells programs of a file.
fn logs(args: &[&str], file: &Path) -> Value {
    // `--from` takes every word behind it.
    let mut all = vec!["logs", "--json", "--unparsed", file.to_str().unwrap()];
    all.extend(args);
    let finished = run(&all);
    assert!(finished.status.success(), "{all:?}: {}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}
