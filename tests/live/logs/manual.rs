//! Every code that HAProxy's manual documents is explained as the manual has it: of each release's own manual.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use hatrace_tests::release::Release;
use hatrace_tests::tracer::run;
use serde_json::Value;

/// Section 8.5 of a manual.
struct Section {
    /// The letters of each of the four places, and what is said of them.
    letters: [BTreeMap<char, String>; 4],
    /// The pairs of the first two, and of the last two.
    pairs: [BTreeMap<String, String>; 2],
}

/// An entry: its name where one begins, and the text of the line.
fn entry(line: &str, indent: usize, colon: bool) -> Option<(&str, &str)> {
    let text = line.strip_prefix(&" ".repeat(indent))?;
    if text.starts_with(' ') {
        return None;
    }
    let (name, rest) = text.split_once(' ')?;
    match colon {
        true => Some((name, rest.strip_prefix(": ")?)),
        false => Some((name, rest.strip_prefix("  ")?.trim_start())),
    }
}

/// What a text is of.
enum Key {
    Letter(usize, char),
    Pair(usize, String),
}

impl Section {
    fn text(&mut self, key: &Key) -> &mut String {
        match key {
            Key::Letter(place, letter) => self.letters[*place].entry(*letter).or_default(),
            Key::Pair(which, pair) => self.pairs[*which].entry(pair.clone()).or_default(),
        }
    }

    fn of(manual: &str) -> Self {
        let start = manual.find("\n8.5. S").unwrap();
        let end = start + manual[start..].find("\n8.6. ").unwrap();
        let mut section = Self {
            letters: Default::default(),
            pairs: Default::default(),
        };
        let (mut place, mut which): (Option<usize>, Option<usize>) = (None, None);
        let mut into: Option<Key> = None;
        for line in manual[start..end].lines() {
            if line.starts_with("  - ") {
                place = Some(place.map_or(0, |place| place + 1));
            } else if line.starts_with("The combination of the two") {
                which = Some(which.map_or(0, |which| which + 1));
            }
            let found = match (place, which) {
                (Some(place), None) => entry(line, 8, true)
                    .map(|(name, text)| (Key::Letter(place, name.chars().next().unwrap()), text)),
                (_, Some(which)) => {
                    entry(line, 5, false).map(|(name, text)| (Key::Pair(which, name.to_owned()), text))
                }
                _ => None,
            };
            if let Some((key, text)) = found {
                section.text(&key).push_str(text);
                into = Some(key);
            } else if let Some(key) = into.as_ref().filter(|_| !line.trim().is_empty()) {
                let of = section.text(key);
                of.push(' ');
                of.push_str(line.trim());
            } else {
                into = None;
            }
        }
        section
    }
}

fn manual(release: &Release) -> Option<Section> {
    let root = release.root.clone().unwrap_or_else(|| PathBuf::from("/"));
    let file = root.join("usr/share/doc/haproxy/configuration.txt.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).ok()?)
        .read_to_string(&mut text)
        .unwrap();
    Some(Section::of(&text))
}

fn explained(word: &str) -> Value {
    let told = run(&["explain", "--json", word]);
    assert!(told.status.success(), "{word}: {} {}", told.stdout, told.stderr);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        (&told["kind"], &told["word"]),
        (&"termination code".into(), &word.into()),
        "{told}"
    );
    told
}

/// The settings among what stands in quotes.
fn settings(text: &str) -> impl Iterator<Item = &str> {
    let setting = |word: &&str| {
        [
            "timeout ",
            "option ",
            "tune.",
            "http-request ",
            "http-response ",
            "maxconn",
            "ulimit-n",
        ]
        .iter()
        .any(|begin| word.starts_with(begin))
    };
    text.split('"').skip(1).step_by(2).filter(setting)
}

fn as_the_manual_has_it(release: &Release) {
    let version = &format!("{:?}", release.number());
    let Some(section) = manual(release) else {
        panic!("{version}: there is no manual");
    };
    let documented: Vec<usize> = section.letters.iter().map(BTreeMap::len).collect();
    assert!(
        documented
            .iter()
            .zip([12, 8, 8, 7])
            .all(|(found, least)| *found >= least),
        "{version}: {documented:?} letters"
    );
    for (place, letters) in section.letters.iter().enumerate() {
        for letter in letters.keys() {
            let mut code = ['-'; 4];
            code[place] = *letter;
            let code: String = code.iter().collect();
            let told = explained(&code);
            let found = told["letters"].as_array().unwrap();
            assert!(
                found.iter().any(|found| found["letter"] == letter.to_string()),
                "{version} {code}: {told}"
            );
        }
    }
    assert!(
        section.pairs[0].len() >= 24 && section.pairs[1].len() >= 6,
        "{:?}",
        section.pairs
    );
    for (which, pairs) in section.pairs.iter().enumerate() {
        for (code, text) in pairs {
            pair_is_explained(version, which, code, text);
        }
    }
}

fn pair_is_explained(version: &str, which: usize, code: &str, text: &str) {
    let told = explained(&if which == 0 {
        code.to_owned()
    } else {
        format!("--{code}")
    });
    let part = if which == 0 {
        &told["ending"]
    } else {
        &told["cookie"]
    };
    assert_eq!(part["code"], *code, "{version}: the manual has it: {told}");
    let ours = part.to_string();
    // Whatever setting the manual names, it names, too.
    for setting in settings(text) {
        let known = setting.split(' ').all(|word| ours.contains(word));
        assert!(known, "{version} {code}: {setting}: {ours}");
    }
    // And who did it.
    let who = text.split_whitespace().take(6).collect::<Vec<_>>().join(" ");
    for (name, others) in [("client", "client"), ("server", "server")] {
        if which == 0 && who.contains(&format!("The {name}")) && !who.contains("timeout") {
            assert!(ours.contains(others), "{version} {code}: {who}: {ours}");
        }
    }
}

on!(of_3_0, |name| Release::of("trixie", name), as_the_manual_has_it);
on!(of_3_2, |name| Release::of("sid", name), as_the_manual_has_it);
on!(
    of_the_newest,
    |name| Release::of("experimental", name),
    as_the_manual_has_it
);
