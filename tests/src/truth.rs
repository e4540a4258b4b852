//! What `show sess all` says, read by itself: the truth that hatrace's join is held against. It is joined by addresses, not by descriptors.

use std::collections::HashMap;

/// One stream in the long form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Its pointer.
    pub ptr: String,
    /// The client as HAProxy calls it.
    pub source: String,
    /// Frontend.
    pub frontend: String,
    /// Backend.
    pub backend: String,
    /// Server.
    pub server: String,
    /// HAProxy's address towards the server.
    pub back_local: Option<String>,
}

/// Every stream but the command line's own.
#[must_use]
pub fn streams(text: &str) -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    for line in text.lines() {
        let word = |key: &str| {
            line.split([' ', ','])
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
                .map(str::to_owned)
        };
        if line.starts_with("0x") {
            streams.push(Stream {
                ptr: line.split(':').next().unwrap_or_default().to_owned(),
                source: word("source").unwrap_or_default(),
                ..Stream::default()
            });
        } else if let Some(stream) = streams.last_mut() {
            let line = line.trim_start();
            if line.starts_with("frontend=") {
                stream.frontend = word("frontend").unwrap_or_default();
            } else if line.starts_with("backend=") {
                stream.backend = word("backend").unwrap_or_default();
                stream.back_local = word("addr");
            } else if line.starts_with("server=") {
                stream.server = word("server").unwrap_or_default();
            }
        }
    }
    streams.retain(|stream| stream.frontend != "GLOBAL" && !stream.frontend.is_empty());
    streams
}

/// The streams of one backend by HAProxy's address towards the server: towards another server the same port can be used again.
#[must_use]
pub fn by_back(text: &str, backend: &str) -> HashMap<String, Stream> {
    streams(text)
        .into_iter()
        .filter(|stream| stream.backend == backend)
        .filter_map(|stream| Some((stream.back_local.clone()?, stream)))
        .collect()
}
