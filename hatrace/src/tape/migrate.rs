//! Older formats: a table of steps, each from one version to the next.

use serde_json::Value;

use super::FORMAT;

/// From one version to the next.
struct Step {
    from: u32,
    /// What becomes of a header.
    header: fn(&mut Value),
    /// What becomes of a line, in a recording with such a header (as it is today).
    line: fn(&mut Value, &Value),
}

/// In order. A new version adds its step here, and a recording of the old one to the tests.
const STEPS: [Step; 1] = [Step {
    from: 1,
    header: |header| {
        // The host's name is a part of what views know.
        let host = header.get("host").cloned();
        set(header.get_mut("context"), "host", host);
    },
    line: |line, header| {
        set(
            line.pointer_mut("/what/context"),
            "host",
            header.get("host").cloned(),
        );
    },
}];

/// Sets a key, where there is an object to have it.
fn set(object: Option<&mut Value>, key: &str, value: Option<Value>) {
    if let (Some(Value::Object(object)), Some(value)) = (object, value) {
        object.insert(key.to_owned(), value);
    }
}

/// The way from a version to today's.
#[derive(Clone, Debug)]
pub(super) struct Migration {
    from: u32,
    /// The recording's, as it is today.
    header: Value,
}

impl Migration {
    /// For a recording of an older version, with this header. `None`: of today's.
    pub(super) fn of(from: u32, header: Value) -> Option<Self> {
        if from >= FORMAT {
            return None;
        }
        let mut this = Self {
            from,
            header: Value::Null,
        };
        this.header = this.header(header);
        Some(this)
    }

    fn steps(&self) -> impl Iterator<Item = &'static Step> + use<> {
        let from = self.from;
        STEPS.iter().filter(move |step| step.from >= from)
    }

    /// The header of a member, as it is today.
    pub(super) fn header(&self, mut header: Value) -> Value {
        for step in self.steps() {
            (step.header)(&mut header);
        }
        set(Some(&mut header), "hatrace_tape", Some(FORMAT.into()));
        header
    }

    /// A line, as it is today.
    pub(super) fn line(&self, mut line: Value) -> Value {
        for step in self.steps() {
            (step.line)(&mut line, &self.header);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_step_from_every_version_that_there_was() {
        let from: Vec<u32> = STEPS.iter().map(|step| step.from).collect();
        assert_eq!(from, (1..FORMAT).collect::<Vec<u32>>());
    }
}
