//! Lines as sections, for advice: every word of them, and which `defaults` each section takes what it doesn't say from.

use hatrace_core::advice::{Section, Statement, Text};
use hatrace_core::stream::Name;

use super::lines::Line;
use super::sections::is_section;

/// Puts lines together. Lines before the first section are in none.
#[must_use]
pub fn text(lines: &[Line]) -> Text {
    let mut text = Text::default();
    let mut last = None;
    for line in lines {
        let Some((first, rest)) = line.words.split_first() else {
            continue;
        };
        if is_section(first) {
            let section = section(first, rest, line, &text, last);
            if first == "defaults" {
                last = Some(text.sections.len());
            }
            text.sections.push(section);
        } else if let Some(section) = text.sections.last_mut() {
            section.lines.push(Statement {
                place: line.place.clone(),
                words: line.words.clone(),
                certain: line.certain,
            });
        }
    }
    text
}

fn section(keyword: &str, rest: &[String], line: &Line, text: &Text, last: Option<usize>) -> Section {
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    let (name, from) = match words.as_slice() {
        ["from", from, ..] => ("", Some(*from)),
        [name, "from", from, ..] => (*name, Some(*from)),
        [name, ..] => (*name, None),
        [] => ("", None),
    };
    let named = |from: &str| {
        let mut found = text.sections.iter().enumerate();
        found
            .rfind(|(_, section)| &*section.keyword == "defaults" && &*section.name == from)
            .map(|(at, _)| at)
    };
    let inherits = matches!(keyword, "frontend" | "backend" | "listen");
    Section {
        keyword: Name::from(keyword),
        name: Name::from(name),
        place: line.place.clone(),
        // Without `from` a proxy takes the last `defaults`, and a `defaults` none.
        defaults: match from {
            Some(from) => named(from),
            None => last.filter(|_| inherits),
        },
        lines: Vec::new(),
    }
}
