//! The files of one recording, in their order.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use hatrace_core::input::{Gap, Input};
use hatrace_core::time::Mono;

use super::lines::Header;
use super::reader::{Item, Tape};
use crate::error::Problem;
use crate::port::Context;

/// A recording that is read.
pub struct Reel {
    tapes: VecDeque<Tape>,
    header: Header,
    /// The moment from which on it is read, where that isn't its beginning.
    late: Option<Mono>,
    /// That, in words, until it is said.
    partial: Option<String>,
}

impl Reel {
    /// Opens files, of one recording or of several: sorted by host, then by when they began, then by name.
    ///
    /// # Errors
    /// One can't be read, isn't a recording, is one of a later hatrace, or is given twice.
    pub fn open(files: &[PathBuf]) -> Result<Vec<Self>, Problem> {
        let mut recordings: BTreeMap<String, Vec<Tape>> = BTreeMap::new();
        for file in files {
            let tape = Tape::open(file)?;
            recordings
                .entry(tape.header().recording.clone())
                .or_default()
                .push(tape);
        }
        let mut reels = recordings
            .into_values()
            .map(Self::of)
            .collect::<Result<Vec<_>, _>>()?;
        reels.sort_by_cached_key(|reel| {
            let header = &reel.header;
            (
                header.host.clone(),
                header.context.started_at,
                header.recording.clone(),
            )
        });
        Ok(reels)
    }

    fn of(mut tapes: Vec<Tape>) -> Result<Self, Problem> {
        tapes.sort_by_key(|tape| tape.header().member);
        for pair in tapes.windows(2) {
            if let [one, other] = pair
                && one.header().member == other.header().member
            {
                return Err(Problem::usage(format!(
                    "{} and {} are the same part of one recording",
                    one.path().display(),
                    other.path().display()
                ))
                .remedy("leave one of them out"));
            }
        }
        let mut tapes = VecDeque::from(tapes);
        let header = tapes.front().map(|tape| tape.header().clone());
        let header = header.ok_or_else(|| Problem::usage("--from was given no file"))?;
        let mut this = Self {
            tapes: VecDeque::new(),
            late: None,
            partial: None,
            header,
        };
        if let Some(first) = tapes.front_mut()
            && first.begins_late()
        {
            this.late = this.header.began;
            this.partial = Some(this.words_of_late(first));
        }
        this.tapes = tapes;
        Ok(this)
    }

    fn words_of_late(&self, first: &Tape) -> String {
        let context = &self.header.context;
        let when = self.late.map_or(context.started_at, |at| context.wall(at));
        format!(
            "the recording began at {:.0}, what is here of it begins at {when:.0} with {}: what had ended before is in no figure, and what HAProxy had closed by then is not followed.",
            context.started_at,
            first.path().display()
        )
    }

    /// The first header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What views know beside the snapshot, with the beginning of what is there.
    #[must_use]
    pub fn context(&self) -> Context {
        self.since(self.header.context.clone())
    }

    /// The same of a later one.
    fn since(&self, mut context: Context) -> Context {
        if let Some(late) = self.late {
            context.started_at = context.wall(late);
            context.started_mono = late;
        }
        context
    }

    /// The next thing told; `None` at the end. What can't be read is passed over, and a gap says how much that was.
    pub fn advance(&mut self) -> Option<Item> {
        if let Some(why) = self.partial.take() {
            let at = self.context().started_mono;
            return Some(Item::Input((at, Input::Gap(Gap::Beginning { why }))));
        }
        loop {
            let tape = self.tapes.front_mut()?;
            match tape.advance() {
                Some(Item::Context(context)) => {
                    return Some(Item::Context(Box::new(self.since(*context))));
                }
                Some(item) => return Some(item),
                None => {
                    let place = tape.place.clone();
                    self.tapes.pop_front();
                    if let Some(next) = self.tapes.front_mut() {
                        next.place = place;
                    }
                }
            }
        }
    }
}
