//! Recordings with nonsense in them that is still JSON: whatever can be read is believed, an engine and every view take it, and nothing
//! falls over.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use hatrace_core::Engine;
use hatrace_core::compare::compare;
use hatrace_core::what_if::WhatIf;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::haproxy::supposed;
use crate::tape::{Item, Plan, Recorder, Reel};
use crate::view::compare::Sight;
use crate::view::{
    Page, compare as comparison, culprits, hlog, report, sessions, stuck, what_if as supposition,
};

/// The kept recording of format 1.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/samples/recordings/v1.hatrace")
}

/// The same, recorded again today.
fn again(folder: &Path) -> PathBuf {
    let path = folder.join("again");
    let mut reel = Reel::open(&[kept()]).unwrap().pop().unwrap();
    let plan = Plan {
        path: path.clone(),
        limit: None,
        keep: None,
        redact: true,
    };
    let mut recorder = Recorder::create(plan, reel.header().clone()).unwrap();
    while let Some(item) = reel.advance() {
        match item {
            Item::Input((at, input)) => recorder.take(at, &input),
            Item::Cut(at) => recorder.cut(at, &reel.context()),
            Item::Context(_) | Item::Names(_) => {}
        }
    }
    recorder.finish().unwrap();
    path
}

/// Both as lines.
fn texts() -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    for path in [kept(), again(folder.path())] {
        let packed = std::fs::read(path).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&packed[..]), &mut text)
            .unwrap();
        lines.extend(
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()),
        );
    }
    lines
}

/// Every place of a value, by its pointer.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| places(value, &format!("{at}/{key}"), out)),
        Value::Array(all) => {
            let all = all.iter().enumerate().take(4);
            all.for_each(|(index, value)| places(value, &format!("{at}/{index}"), out));
        }
        _ => {}
    }
}

/// What is put in the place of something else.
fn nonsense() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(0)),
        Just(json!(1)),
        Just(json!(-1)),
        Just(json!(u64::MAX)),
        Just(json!(i64::MAX)),
        Just(json!(1e300)),
        Just(json!("")),
        Just(json!("FIN_WAIT2")),
        Just(json!("\u{1b}[31m")),
        Just(json!([])),
        Just(json!({})),
        Just(json!(true)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<u32>().prop_map(|number| json!(number)),
    ]
}

fn read_whole(path: &Path) {
    for mut reel in Reel::open(&[path.to_owned()]).unwrap_or_default() {
        let mut context = reel.context();
        let mut engine = Engine::new(reel.header().settings, context.started_mono);
        let mut last = context.started_mono;
        let lines = ["timeout tunnel 1s", "timeout client-fin 2s", "timeout server 3s"];
        let lines = lines.into_iter().map(|line| supposed(line).unwrap()).collect();
        let mut what_if = WhatIf::new(lines, context.version());
        while let Some(item) = reel.advance() {
            match item {
                Item::Input((at, input)) => {
                    engine.handle(at, input);
                    let events = engine.events();
                    what_if.watch(&engine, &events);
                    last = last.max(at);
                }
                Item::Context(told) => context = *told,
                Item::Names(_) | Item::Cut(_) => {}
            }
        }
        let snapshot = engine.snapshot(last);
        let page = Page::default();
        let mut out = Vec::new();
        let told = what_if.conclude(&engine, &snapshot);
        supposition::write(&mut out, None, &told, &page).unwrap();
        let compared = compare(&snapshot, &snapshot);
        let sight = Sight {
            snapshot: &snapshot,
            context: &context,
        };
        comparison::write(&mut out, &compared, sight, sight, &page).unwrap();
        report::write(&mut out, &snapshot, &context, &page).unwrap();
        culprits::write(&mut out, &snapshot, &context, &page).unwrap();
        stuck::write(&mut out, &snapshot, &context, &page).unwrap();
        sessions::write(&mut out, &snapshot, &context, &page, true).unwrap();
        hlog::write(&mut out, &[], &context).unwrap();
        crate::view::json::write(&mut out, "report", &snapshot, &context, &page).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn json_with_nonsense_in_it(changes in proptest::collection::vec((any::<u32>(), any::<u32>(), nonsense()), 1..40)) {
        let mut lines = texts();
        for (line, place, nonsense) in changes {
            let count = lines.len();
            let line = &mut lines[line as usize % count];
            let mut all = Vec::new();
            places(line, "", &mut all);
            let place = &all[place as usize % all.len()];
            if let Some(value) = line.pointer_mut(place) {
                *value = nonsense;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape");
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, text).unwrap();
        read_whole(&path);
    }
}
