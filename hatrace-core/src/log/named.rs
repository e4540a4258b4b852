//! What is counted by name: frontends, servers.

use std::collections::BTreeMap;

/// Names of proxies and servers that are kept apart, at most.
const NAMES: usize = 20_000;

/// What is counted by name, each once; beyond the bound all are one.
#[derive(Debug)]
pub(super) struct Named<T> {
    numbers: BTreeMap<Vec<u8>, usize>,
    pub(super) all: Vec<T>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            all: Vec::new(),
        }
    }
}

impl<T: Default> Named<T> {
    pub(super) fn of(&mut self, name: &[u8]) -> Option<&mut T> {
        let next = self.all.len();
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                let name = if next < NAMES { name } else { OTHERS };
                let number = *self.numbers.entry(name.to_vec()).or_insert(next);
                if number == next {
                    self.all.push(T::default());
                }
                number
            }
        };
        self.all.get_mut(number)
    }

    /// Takes another one's in.
    pub(super) fn merge(&mut self, other: Self, mut merge: impl FnMut(&mut T, T)) {
        let mut all: Vec<Option<T>> = other.all.into_iter().map(Some).collect();
        for (name, number) in other.numbers {
            let theirs = all.get_mut(number).and_then(Option::take);
            if let (Some(own), Some(theirs)) = (self.of(&name), theirs) {
                merge(own, theirs);
            }
        }
    }

    /// By name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (String, &T)> {
        self.numbers.iter().filter_map(|(name, number)| {
            Some((String::from_utf8_lossy(name).into_owned(), self.all.get(*number)?))
        })
    }
}

/// What stands for names beyond the bound.
const OTHERS: &[u8] = b"(others)";
