//! The lines of a configuration, section by section: for rules about what the engine needs no model of.

use crate::config::{Place, ProxyKind};
use crate::stream::Name;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Where it stands.
    pub place: Place,
    /// Its words; at least one.
    pub words: Vec<String>,
    /// It is certainly in force.
    pub certain: bool,
}

impl Statement {
    /// Whether it begins with these words.
    #[must_use]
    pub fn begins(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len() && words.iter().zip(&self.words).all(|(one, other)| one == other)
    }

    /// Whether a word is among those behind the first.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().skip(1).any(|own| own == word)
    }

    /// What follows a word.
    #[must_use]
    pub fn after(&self, word: &str) -> Option<&str> {
        let at = self.words.iter().skip(1).position(|own| own == word)?;
        self.words.get(at + 2).map(String::as_str)
    }
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its keyword: `frontend`.
    pub keyword: Name,
    /// Its name; empty where it has none.
    pub name: Name,
    /// Its header.
    pub place: Place,
    /// Which `defaults` it takes what it doesn't say from: its index.
    pub defaults: Option<usize>,
    /// Its lines.
    pub lines: Vec<Statement>,
}

impl Section {
    /// `frontend fe`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.keyword, self.name).trim_end().to_owned()
    }

    /// What kind of proxy it is.
    #[must_use]
    pub fn kind(&self) -> Option<ProxyKind> {
        [ProxyKind::Frontend, ProxyKind::Backend, ProxyKind::Listen]
            .into_iter()
            .find(|kind| kind.keyword() == &*self.keyword)
    }

    /// Its own lines that begin so, in force for certain.
    pub fn all<'a>(&'a self, words: &'a [&'a str]) -> impl Iterator<Item = &'a Statement> + 'a {
        self.lines
            .iter()
            .filter(move |line| line.certain && line.begins(words))
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The sections in the files' order.
    pub sections: Vec<Section>,
}

impl Text {
    /// Sections of this keyword.
    pub fn of<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a Section> + 'a {
        self.sections
            .iter()
            .filter(move |section| &*section.keyword == keyword)
    }

    /// Proxies.
    pub fn proxies(&self) -> impl Iterator<Item = (&Section, ProxyKind)> {
        self.sections
            .iter()
            .filter_map(|section| Some((section, section.kind()?)))
    }

    /// The last of a section's lines that begin so, or else of its defaults'.
    #[must_use]
    pub fn effective<'a>(&'a self, section: &'a Section, words: &'a [&'a str]) -> Option<&'a Statement> {
        section.all(words).last().or_else(|| {
            let defaults = self.sections.get(section.defaults?)?;
            // Of a chain of defaults the nearest that says it.
            self.effective(defaults, words)
        })
    }

    /// Whether an option is on.
    #[must_use]
    pub fn option<'a>(&'a self, section: &'a Section, option: &'a str) -> Option<&'a Statement> {
        let own = section.lines.iter().rfind(|line| {
            line.certain && (line.begins(&["option", option]) || line.begins(&["no", "option", option]))
        });
        match own {
            Some(line) if line.begins(&["no"]) => None,
            Some(line) => Some(line),
            None => self.option(self.sections.get(section.defaults?)?, option),
        }
    }
}
