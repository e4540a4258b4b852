//! hatrace's JSON, by the keys of its contract.

use std::collections::HashMap;

use serde_json::Value;

/// A report or a list of what is stuck.
#[derive(Clone, Debug)]
pub struct Report(Value);

/// One lingering socket.
#[derive(Clone, Debug)]
pub struct Row {
    /// The whole object.
    pub json: Value,
    /// When it can have entered its state at the earliest, in wall-clock seconds; none: unbounded.
    pub earliest: Option<f64>,
    /// And at the latest.
    pub latest: f64,
}

impl Row {
    /// A text field.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or("")
    }

    /// State, holder and side in a word: `FIN_WAIT2/held/client`.
    #[must_use]
    pub fn kind(&self) -> String {
        format!(
            "{}/{}/{}",
            self.text("state"),
            self.text("holder"),
            self.text("side")
        )
    }

    /// Whether the interval in which it can have begun has anything in common with [from, to].
    #[must_use]
    pub fn can_have_begun(&self, from: f64, to: f64) -> bool {
        /// The script's wall clock and the report's are two readings of one clock.
        const READING: f64 = 0.002;
        let to = to + READING + crate::slack();
        self.earliest.is_none_or(|earliest| earliest <= to) && self.latest >= from - READING
    }
}

impl Report {
    /// From what was printed.
    ///
    /// # Panics
    /// When it is no JSON of schema 1.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let json: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON: {error}\n{text}"));
        assert_eq!(json["schema"], 1, "{text}");
        Self(json)
    }

    /// The whole object.
    #[must_use]
    pub const fn json(&self) -> &Value {
        &self.0
    }

    /// When it was taken, in wall-clock seconds.
    ///
    /// # Panics
    /// When the window isn't there.
    #[must_use]
    pub fn taken_at(&self) -> f64 {
        let window = &self.0["window"];
        let start: jiff::Timestamp = window["started_at"]
            .as_str()
            .expect("started_at")
            .parse()
            .expect("RFC 3339");
        #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
        let start = start.as_microsecond() as f64 / 1e6;
        start + window["seconds"].as_f64().expect("seconds")
    }

    /// The lingering sockets.
    ///
    /// # Panics
    /// When a row lacks its age.
    #[must_use]
    pub fn lingering(&self) -> Vec<Row> {
        let taken = self.taken_at();
        let rows = self.0["lingering"].as_array().expect("lingering");
        rows.iter()
            .map(|json| Row {
                json: json.clone(),
                latest: taken - json["age_s"].as_f64().expect("age_s"),
                earliest: json["age_max_s"]
                    .as_f64()
                    .or(match json["age_bound"].as_str() {
                        Some("exact") => json["age_s"].as_f64(),
                        _ => None,
                    })
                    .map(|age| taken - age),
            })
            .collect()
    }

    /// The lingering sockets by their peer's address.
    #[must_use]
    pub fn by_peer(&self) -> HashMap<String, Row> {
        self.lingering()
            .into_iter()
            .map(|row| (row.text("peer").to_owned(), row))
            .collect()
    }

    /// The lingering sockets by their local address.
    #[must_use]
    pub fn by_local(&self) -> HashMap<String, Row> {
        self.lingering()
            .into_iter()
            .map(|row| (row.text("local").to_owned(), row))
            .collect()
    }

    /// A number of `totals`, by path: `lost`, `seen.client`.
    ///
    /// # Panics
    /// When it isn't there.
    #[must_use]
    pub fn total(&self, path: &str) -> u64 {
        let mut at = &self.0["totals"];
        for key in path.split('.') {
            at = &at[key];
        }
        at.as_u64()
            .unwrap_or_else(|| panic!("totals.{path} in {}", self.0["totals"]))
    }

    /// Transitions of this host's sockets at which the kernel refused to run the program. What is exact, or counted, is so but for as many
    /// at most; on a virtual machine under load there are a few.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.total("missed_runs")
    }

    /// Every age is exact, but for those of which the kernel showed no transition; they are intervals then.
    ///
    /// # Panics
    /// When more aren't.
    pub fn all_exact(&self) {
        let rows = self.lingering();
        let inexact: Vec<_> = rows
            .iter()
            .filter(|row| row.text("age_bound") != "exact")
            .map(|row| &row.json)
            .collect();
        let count = u64::try_from(inexact.len()).expect("a small number");
        assert!(count <= self.missed(), "{} missed: {inexact:?}", self.missed());
    }

    /// Nothing was lost, but for lives whose end the kernel didn't show.
    ///
    /// # Panics
    /// When more was.
    pub fn nothing_lost(&self) {
        assert!(self.total("lost") <= self.missed(), "{}", self.0["totals"]);
        assert!(!self.notices("table-full"), "{}", self.0["notices"]);
    }

    /// A row of `dwell`.
    #[must_use]
    pub fn dwell(&self, side: &str, state: &str) -> Value {
        let rows = self.0["dwell"].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .find(|row| row["side"] == side && row["state"] == state)
            .unwrap_or(Value::Null)
    }

    /// Findings that accuse, ranked.
    #[must_use]
    pub fn culprits(&self) -> Vec<Value> {
        self.0["culprits"].as_array().cloned().unwrap_or_default()
    }

    /// The finding or the remark of a verdict.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn finding(&self, verdict: &str) -> Value {
        let notices = self.0["notices"].as_array().cloned().unwrap_or_default();
        self.culprits()
            .into_iter()
            .chain(notices)
            .find(|finding| finding["verdict"] == verdict)
            .unwrap_or_else(|| panic!("no {verdict}: {} {}", self.0["culprits"], self.0["notices"]))
    }

    /// Whether a notice of that code is there.
    #[must_use]
    pub fn notices(&self, code: &str) -> bool {
        self.0["notices"]
            .as_array()
            .is_some_and(|notices| notices.iter().any(|notice| notice["verdict"] == code))
    }
}
