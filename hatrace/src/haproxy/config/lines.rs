//! Files into lines that are in force: words split, variables put in, conditional blocks decided.

use hatrace_core::config::{Doubt, Place};
use hatrace_core::stream::Name;

use super::condition::{Facts, Truth, decide};
use super::words::{Environment, words};

/// A line that is in force, or may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub place: Place,
    /// Its words; at least one.
    pub words: Vec<String>,
    /// Not within a block whose condition can't be decided.
    pub certain: bool,
}

/// One `.if` that is open.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Whether the branch at hand is in force.
    now: Truth,
    /// Whether one of its branches has been.
    taken: Truth,
}

/// Reads the files one after the other: what one sets in the environment the next sees, as HAProxy has it.
#[derive(Debug)]
pub struct Reader<'a> {
    environment: Environment,
    started_with: &'a Environment,
    version: Option<&'a str>,
    lines: Vec<Line>,
    doubts: Vec<Doubt>,
    global: bool,
}

impl<'a> Reader<'a> {
    /// A reader for a process with this environment.
    #[must_use]
    pub fn new(environment: &'a Environment, version: Option<&'a str>) -> Self {
        Self {
            environment: environment.clone(),
            started_with: environment,
            version,
            lines: Vec::new(),
            doubts: Vec::new(),
            global: false,
        }
    }

    /// What was read.
    #[must_use]
    pub fn done(self) -> (Vec<Line>, Vec<Doubt>) {
        (self.lines, self.doubts)
    }

    /// Reads a file. Blocks don't reach beyond its end, and neither does a section.
    pub fn file(&mut self, file: &Name, text: &str) {
        let mut blocks: Vec<Block> = Vec::new();
        self.global = false;
        for (number, line) in (1..).zip(text.lines()) {
            let place = Place {
                file: file.clone(),
                line: number,
            };
            let force = if blocks.iter().any(|block| block.now == Some(false)) {
                Some(false)
            } else if blocks.iter().all(|block| block.now == Some(true)) {
                Some(true)
            } else {
                None
            };
            let words = match words(line, &self.environment) {
                Ok(words) => words,
                Err(why) => {
                    if force != Some(false) {
                        self.doubts.push(Doubt::Garbled {
                            place,
                            why: why.to_owned(),
                        });
                    }
                    continue;
                }
            };
            let Some(first) = words.first() else { continue };
            if first.starts_with('.') {
                self.directive(&place, &words, force, &mut blocks);
            } else if force != Some(false) {
                self.obey(&words);
                self.lines.push(Line {
                    place,
                    words,
                    certain: force == Some(true),
                });
            }
        }
    }

    fn directive(&mut self, place: &Place, words: &[String], force: Truth, blocks: &mut Vec<Block>) {
        let [name, condition @ ..] = words else { return };
        let not = |truth: Truth| truth.map(|truth| !truth);
        match name.as_str() {
            ".if" => {
                let now = if force == Some(false) {
                    Some(false)
                } else {
                    self.decide(place, condition)
                };
                blocks.push(Block { now, taken: now });
            }
            ".elif" => {
                let Some(block) = blocks.last().copied() else {
                    return;
                };
                let open = not(block.taken);
                let mut truth = open;
                if open != Some(false) {
                    let own = self.decide(place, condition);
                    truth = match (open, own) {
                        (_, Some(false)) => Some(false),
                        (Some(true), own) => own,
                        _ => None,
                    };
                }
                if let Some(block) = blocks.last_mut() {
                    block.now = truth;
                    block.taken = match (block.taken, truth) {
                        (Some(true), _) | (_, Some(true)) => Some(true),
                        (Some(false), Some(false)) => Some(false),
                        _ => None,
                    };
                }
            }
            ".else" => {
                if let Some(block) = blocks.last_mut() {
                    block.now = not(block.taken);
                    block.taken = Some(true);
                }
            }
            ".endif" => {
                blocks.pop();
            }
            // .diag, .notice, .warning, .alert only speak.
            _ => {}
        }
    }

    fn decide(&mut self, place: &Place, condition: &[String]) -> Truth {
        let condition = condition.join(" ");
        let facts = Facts {
            environment: &self.environment,
            version: self.version,
        };
        let truth = decide(&condition, &facts);
        if truth.is_none() {
            self.doubts.push(Doubt::Undecided {
                place: place.clone(),
                condition,
            });
        }
        truth
    }

    /// `global`'s lines that change the environment.
    fn obey(&mut self, words: &[String]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["global", ..] => self.global = true,
            [first, ..] if super::sections::is_section(first) => self.global = false,
            ["setenv", name, value, ..] if self.global => {
                self.environment.insert((*name).to_owned(), (*value).to_owned());
            }
            ["presetenv", name, value, ..] if self.global => {
                self.environment
                    .entry((*name).to_owned())
                    .or_insert_with(|| (*value).to_owned());
            }
            ["unsetenv", names @ ..] if self.global => {
                for name in names {
                    self.environment.remove(*name);
                }
            }
            ["resetenv", names @ ..] if self.global => {
                self.environment = names
                    .iter()
                    .filter_map(|name| self.started_with.get_key_value(*name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(u32, bool)>, usize) {
        let environment = [("WEB".to_owned(), "yes".to_owned())].into();
        let mut reader = Reader::new(&environment, Some("3.2.1"));
        reader.file(&Name::from("haproxy.cfg"), text);
        let (lines, doubts) = reader.done();
        let told = lines.iter().map(|line| (line.place.line, line.certain)).collect();
        (told, doubts.len())
    }

    #[test]
    fn blocks() {
        let text = "a\n.if defined(WEB)\nb\n.if version_before(3.0)\nc\n.else\nd\n.endif\n.elif 1\ne\n.else\nf\n.endif\ng\n";
        assert_eq!(read(text), (vec![(1, true), (3, true), (7, true), (14, true)], 0));
    }

    #[test]
    fn a_condition_that_nobody_can_decide_makes_doubtful_lines() {
        let text = ".if feature(X)\na\n.elif defined(NO)\nb\n.elif 1\nc\n.else\nd\n.endif\ne";
        assert_eq!(
            read(text),
            (vec![(2, false), (6, false), (8, false), (10, true)], 1)
        );
    }

    #[test]
    fn the_environment_is_the_process_s_and_global_s() {
        let text = "global\n setenv A 1\n presetenv WEB no\n unsetenv B\n\
                    frontend f\n setenv C 1\n.if defined(A) && !defined(C)\nyes\n.endif\n.if streq(\"$WEB\",yes)\nyes\n.endif";
        let (lines, doubts) = read(text);
        assert_eq!(lines.len(), 8, "{lines:?}");
        assert_eq!(doubts, 0);
    }

    #[test]
    fn torn_blocks_and_quotes_are_lived_with() {
        assert_eq!(
            read(".endif\n.else\n.elif 1\na\n.if 0\nb \"\n").0,
            vec![(4, true)]
        );
        assert_eq!(read("b \"\nc").1, 1);
    }
}
