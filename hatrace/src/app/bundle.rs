//! `report --bundle`: one file with what HAProxy's maintainers ask for in a bug report, and nothing that names anybody.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hatrace_core::ids::{Fd, Pid, SessionPtr};
use hatrace_core::naming::Tie;
use hatrace_core::snapshot::Snapshot;
use tempfile::{NamedTempFile, TempDir};

use super::replay::{Replayed, replay};
use super::source::Watch;
use crate::cli::WatchOptions;
use crate::error::Problem;
use crate::haproxy::Verbatim;
use crate::tape::{Plan, Recorded, Redactor};
use crate::view::{Page, Selection, bundle, json, report};

/// Sessions whose words are asked for, and descriptors: the oldest.
const SESSIONS: usize = 20;
const DESCRIPTORS: usize = 64;
/// The name of the folder that it unpacks to.
const FOLDER: &str = "hatrace-bundle";

/// A bundle that is being made: where it is to be, and what goes into it meanwhile. It is there when it is whole, or not at all.
pub(super) struct Bundle {
    path: PathBuf,
    file: NamedTempFile,
    folder: TempDir,
}

impl Bundle {
    /// Makes room for it at once: what can't be written is better known before a long watch than after it.
    pub(super) fn create(path: &Path) -> Result<Self, Problem> {
        if path.exists() {
            return Err(there_already(path));
        }
        let unmade = |error: io::Error| Problem::failed(format!("making {}: {error}", path.display()));
        // Beside the bundle: there is room for it there, or nowhere. Nobody else may read it.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = tempfile::Builder::new()
            .prefix(".hatrace-bundle-")
            .tempdir_in(parent.unwrap_or(Path::new(".")))
            .map_err(unmade)?;
        let file = NamedTempFile::new_in(folder.path()).map_err(unmade)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            folder,
        })
    }

    /// How the recording for it is made, the `nth` of several.
    pub(super) fn plan(&self, nth: usize) -> Plan {
        let name = match nth {
            0 => "recording.hatrace".to_owned(),
            nth => format!("recording-{}.hatrace", nth + 1),
        };
        Plan {
            path: self.folder.path().join(name),
            limit: None,
            keep: None,
            redact: true,
        }
    }

    /// Puts everything into it. `words`: HAProxy's own, and who is called what in them; `None`: it is made from recordings.
    pub(super) fn finish(
        self,
        options: &WatchOptions,
        recorded: &[Recorded],
        words: Option<(Vec<Verbatim>, Redactor)>,
    ) -> Result<PathBuf, Problem> {
        // What is said of it is said with its pseudonyms.
        let told = replay(&WatchOptions {
            from: recorded.iter().map(|one| one.path.clone()).collect(),
            at: None,
            hlog: None,
            selection: Selection::default(),
            ..options.clone()
        })?;
        let Self { path, file, folder } = self;
        let failed = |error: io::Error| Problem::failed(format!("writing {}: {error}", path.display()));
        let parts = contents(&told, recorded, words).map_err(failed)?;
        pack(file.as_file(), &parts, recorded).map_err(failed)?;
        file.persist_noclobber(&path)
            .map_err(|kept| match kept.error.kind() {
                io::ErrorKind::AlreadyExists => there_already(&path),
                _ => failed(kept.error),
            })?;
        drop(folder);
        Ok(path)
    }
}

fn there_already(path: &Path) -> Problem {
    Problem::failed(format!("making {}: it is there already", path.display()))
        .remedy("another name; nothing is written over")
}

/// Everything but the recordings.
fn contents(
    told: &Replayed,
    recorded: &[Recorded],
    words: Option<(Vec<Verbatim>, Redactor)>,
) -> io::Result<Vec<Part>> {
    let mut parts = texts(told)?;
    let taped = words.is_none();
    let mut own = Vec::new();
    if let Some((words, mut redactor)) = words {
        let mut said = |of: fn(&Verbatim) -> &str| {
            let texts: Vec<String> = words.iter().map(|words| redactor.prose(of(words))).collect();
            texts.join("\n")
        };
        own = words.iter().map(|words| words.build.clone()).collect();
        own.push(said(|words| &words.info));
        parts.push(text(
            "show-sess.txt",
            "HAProxy's words on the sessions of the oldest stuck ones",
            said(|words| &words.sessions),
        ));
        parts.push(text(
            "show-fd.txt",
            "HAProxy's words on their descriptors",
            said(|words| &words.descriptors),
        ));
    }
    let versions = drawn(|out| bundle::versions(out, &told.context, &told.kernels, &own))?;
    parts.insert(
        0,
        text(
            "versions.txt",
            "hatrace, the kernel, HAProxy and how it was built",
            versions,
        ),
    );
    let mut listed: Vec<(String, String)> = parts
        .iter()
        .map(|(name, what, _)| (name.clone(), what.clone()))
        .collect();
    listed.extend(names(recorded).map(|name| (name, "hatrace report --from reads it".to_owned())));
    let readme = drawn(|out| bundle::readme(out, &listed, taped))?;
    parts.insert(0, text("README.txt", "", readme));
    Ok(parts)
}

fn pack(file: &File, parts: &[Part], recorded: &[Recorded]) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let now = jiff::Timestamp::now().as_second().unsigned_abs();
    for (name, _, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("{FOLDER}/{name}"), text.as_bytes())?;
    }
    for (name, one) in names(recorded).zip(recorded) {
        archive.append_path_with_name(&one.path, format!("{FOLDER}/{name}"))?;
    }
    archive.into_inner()?.finish()?.sync_all()
}

type Part = (String, String, String);

fn text(name: &str, what: &str, text: String) -> Part {
    (name.to_owned(), what.to_owned(), text)
}

fn names(recorded: &[Recorded]) -> impl Iterator<Item = String> + '_ {
    recorded
        .iter()
        .filter_map(|one| Some(one.path.file_name()?.to_string_lossy().into_owned()))
}

fn texts(told: &Replayed) -> io::Result<Vec<Part>> {
    let (snapshot, context) = (&told.snapshot, &told.context);
    let page = Page {
        rows: 10_000,
        ..Page::default()
    };
    Ok(vec![
        text(
            "timeouts.txt",
            "the configuration's timeouts, limits and options, with their lines",
            drawn(|out| bundle::timeouts(out, snapshot))?,
        ),
        text(
            "report.txt",
            "what lingers, for how long, and whom it waits for",
            drawn(|out| report::write(out, snapshot, context, &page))?,
        ),
        text(
            "report.json",
            "the same for programs",
            drawn(|out| json::write(out, "report", snapshot, context, &page))?,
        ),
    ])
}

fn drawn(view: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<String> {
    let mut out = Vec::new();
    view(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Asks each process for its words on what is stuck.
pub(super) async fn words(watch: &mut Watch, snapshot: &Snapshot) -> Vec<Verbatim> {
    let pids: BTreeSet<Pid> = snapshot.lingering.iter().filter_map(|row| row.pid).collect();
    let mut words = Vec::new();
    for pid in pids
        .into_iter()
        .chain(watch.context.pids.clone())
        .collect::<BTreeSet<_>>()
    {
        let rows = || snapshot.lingering.iter().filter(|row| row.pid == Some(pid));
        let mut sessions: Vec<SessionPtr> = Vec::new();
        for session in rows().filter_map(|row| row.naming.session.as_ref()) {
            if session.tie == Tie::Live && !sessions.contains(&session.ptr) && sessions.len() < SESSIONS {
                sessions.push(session.ptr);
            }
        }
        let fds: Vec<Fd> = rows().filter_map(|row| row.fd).take(DESCRIPTORS).collect();
        words.extend(watch.asker.verbatim(pid, &sessions, &fds, ALLOWED).await);
    }
    words
}

/// What the asking for its words may cost a process.
const ALLOWED: Duration = Duration::from_millis(100);
