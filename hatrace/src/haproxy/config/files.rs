//! The files of a process's configuration, found and read as it found them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::arguments::Arguments;

/// A file, or why there is none.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path as the process knows it.
    pub path: String,
    /// What it holds, and when it was last written.
    pub found: Result<(String, Option<SystemTime>), String>,
}

/// Every file: each tried below each of `roots`, relative ones below `directories`; of a folder every `*.cfg` in the order of their names.
#[must_use]
pub fn read(arguments: &Arguments, roots: &[PathBuf], directories: &[PathBuf]) -> Vec<File> {
    let mut files = Vec::new();
    for file in &arguments.files {
        let path = file.to_string_lossy().into_owned();
        let stream = path == "-" || path.starts_with("/dev/") || path.starts_with("/proc/self/");
        if stream {
            files.push(File {
                path,
                found: Err("it was read from a stream that is gone".to_owned()),
            });
            continue;
        }
        let base = arguments.directory.clone().unwrap_or_default();
        // Absolute paths are the process's own: its root may be another one than ours.
        let path_there = base.join(file);
        let from = if path_there.is_absolute() {
            roots
        } else {
            directories
        };
        let below = path_there.strip_prefix("/").unwrap_or(&path_there);
        let places: Vec<PathBuf> = from.iter().map(|from| from.join(below)).collect();
        match places.iter().find(|place| place.exists()).or(places.first()) {
            Some(place) if place.is_dir() => files.extend(folder(place, &path)),
            Some(place) => files.push(one(place, path)),
            None => {}
        }
    }
    files
}

/// HAProxy takes what ends in `.cfg` and isn't hidden.
fn folder(place: &Path, name: &str) -> Vec<File> {
    let listed = match std::fs::read_dir(place) {
        Ok(listed) => listed,
        Err(error) => {
            return vec![File {
                path: name.to_owned(),
                found: Err(error.to_string()),
            }];
        }
    };
    let mut names: Vec<String> = listed
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| {
            !name.starts_with('.')
                && Path::new(name)
                    .extension()
                    .is_some_and(|extension| extension == "cfg")
        })
        .collect();
    names.sort();
    names
        .iter()
        .map(|file| {
            one(
                &place.join(file),
                format!("{}/{file}", name.trim_end_matches('/')),
            )
        })
        .collect()
}

fn one(place: &Path, path: String) -> File {
    let written = std::fs::metadata(place).and_then(|meta| meta.modified()).ok();
    let found = std::fs::read(place)
        .map(|bytes| (String::from_utf8_lossy(&bytes).into_owned(), written))
        .map_err(|error| error.to_string());
    File { path, found }
}

/// By how much a file is newer than the process. A second is forgiven: a process that is started by the script that has just written its
/// file is no suspect, and start times are told in hundredths.
#[must_use]
pub fn newer(written: SystemTime, started: SystemTime) -> Option<Duration> {
    written
        .duration_since(started)
        .ok()
        .filter(|by| *by >= Duration::from_secs(1))
}
