//! Advice on configurations that were written for it: every planted fault at its line, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hatrace_core::advice::{Host, Subject, advise};

use super::{Arguments, Environment, Whose};

fn read(file: &Path) -> Whose {
    Whose {
        arguments: Arguments {
            files: vec![file.to_owned()],
            ..Arguments::default()
        },
        roots: vec![PathBuf::from("/")],
        directories: Vec::new(),
        environment: Environment::new(),
        version: None,
        started: None,
    }
}

/// Line and rule of everything that is said.
fn said(file: &Path) -> BTreeSet<(u32, String)> {
    let whose = read(file);
    let (configuration, text) = (whose.configuration(), whose.text());
    assert!(configuration.doubts.is_empty(), "{:?}", configuration.doubts);
    let subject = Subject {
        configuration: &configuration,
        text: &text,
        version: None,
        host: Host::default(),
    };
    advise(&subject, None)
        .into_iter()
        .map(|advice| (advice.place.map_or(0, |place| place.line), advice.rule.to_owned()))
        .collect()
}

/// What its comments expect: `# expect RULE RULE`.
fn expected(file: &Path) -> BTreeSet<(u32, String)> {
    let text = std::fs::read_to_string(file).expect("a sample");
    let lines = (1..).zip(text.lines());
    lines
        .filter_map(|(number, line)| Some((number, line.split_once("# expect ")?.1)))
        .flat_map(|(number, rules)| {
            rules
                .split_whitespace()
                .map(move |rule| (number, rule.to_owned()))
        })
        .collect()
}

#[test]
fn every_planted_fault_is_found_at_its_line_and_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/samples/advise");
    let (mut files, mut clean, mut rules) = (0, 0, BTreeSet::new());
    for entry in std::fs::read_dir(folder).expect("the samples") {
        let file = entry.expect("a sample").path();
        let (said, expected) = (said(&file), expected(&file));
        assert_eq!(said, expected, "{}", file.display());
        files += 1;
        clean += usize::from(expected.is_empty());
        rules.extend(expected.into_iter().map(|(_, rule)| rule));
    }
    assert_eq!((files, clean), (14, 3));
    assert!(rules.len() >= 30, "{} rules: {rules:?}", rules.len());
}
