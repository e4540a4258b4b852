//! A recording in several files: together they are one; a later one alone is a recording that begins late, and says so.

use super::*;

/// Recorded in as many files as it takes, of which so many are kept. All of them, oldest first.
fn turned(folder: &Path, limit: u64, keep: usize) -> (Vec<PathBuf>, u64) {
    let path = folder.join("tape");
    let mut recorder = Recorder::create(plan(&path, Some(limit), Some(keep)), header()).unwrap();
    for (at, input) in story() {
        recorder.take(at, &input);
    }
    recorder.cut(Mono::from_ns(15_000_000_000), &header().context);
    let recorded = recorder.finish().unwrap();
    assert!(!recorded.full);
    let mut files: Vec<PathBuf> = (1..=keep)
        .map(|nth| folder.join(format!("tape.{nth}")))
        .filter(|path| path.exists())
        .collect();
    files.reverse();
    files.push(path);
    (files, recorded.turned)
}

fn read(files: &[PathBuf]) -> (Vec<String>, bool, bool) {
    let mut reels = Reel::open(files).unwrap();
    assert_eq!(reels.len(), 1);
    let (mut inputs, mut lost, mut late) = (Vec::new(), false, false);
    while let Some(item) = reels[0].advance() {
        match item {
            Item::Input((_, Input::Gap(Gap::Unreadable { .. }))) => lost = true,
            Item::Input((_, Input::Gap(Gap::Beginning { .. }))) => late = true,
            Item::Input(stamped) => inputs.push(format!("{stamped:?}")),
            Item::Cut(at) => inputs.push(format!("cut {at:?}")),
            Item::Context(_) | Item::Names(_) => {}
        }
    }
    (inputs, lost, late)
}

#[test]
fn all_files_together_are_the_recording_in_whatever_order_they_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, count) = turned(folder.path(), 1500, 100);
    assert!(count >= 3 && files.len() as u64 == count + 1, "{files:?}");
    for file in &files {
        assert!(file.metadata().unwrap().len() <= 1500);
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(read(&files), (whole(), false, false));
    files.reverse();
    assert_eq!(read(&files), (whole(), false, false));
}

#[test]
fn the_oldest_are_dropped_and_the_rest_begins_late_with_what_still_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (files, count) = turned(folder.path(), 1500, 1);
    assert!(count >= 3 && files.len() == 2, "{files:?}");
    assert!(!folder.path().join("tape.2").exists());
    let (inputs, lost, late) = read(&files);
    assert!(late && !lost);
    // Of the counters only what was added since; everything else as it was told, and its asking first.
    assert!(inputs[0].contains("questions: 0, took: 0ns"), "{}", inputs[0]);
    let counted: Vec<&String> = inputs.iter().filter(|input| input.contains("Counts(")).collect();
    assert!(counted[0].contains("transitions: 1,"), "{}", counted[0]);
    let told: Vec<&String> = inputs[1..]
        .iter()
        .filter(|input| !input.contains("Counts("))
        .collect();
    let whole = whole();
    let mut rest = whole.iter().filter(|input| !input.contains("Counts("));
    assert!(told.iter().all(|input| rest.any(|known| known == *input)));
    let reel = Reel::open(&files).unwrap().pop().unwrap();
    assert!(reel.context().started_mono > header().context.started_mono);
    let apart = reel.context().started_mono.since(header().context.started_mono);
    let wall = reel
        .context()
        .started_at
        .duration_since(header().context.started_at);
    assert_eq!(Duration::try_from(wall).unwrap(), apart);
}

#[test]
fn a_file_missing_in_between_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, _) = turned(folder.path(), 1500, 100);
    files.remove(1);
    let (inputs, lost, late) = read(&files);
    assert!(lost && !late && inputs.len() < whole().len());
}

#[test]
fn one_part_given_twice_is_refused_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = turned(folder.path(), 1500, 1);
    let copy = folder.path().join("copy");
    std::fs::copy(&files[0], &copy).unwrap();
    let refused = Reel::open(&[files[0].clone(), copy]).err().unwrap();
    assert!(refused.what.contains("same part"), "{}", refused.what);
    // A file of an earlier rotation is in the way, though FILE itself is gone.
    std::fs::remove_file(&files[1]).unwrap();
    let refused = Recorder::create(plan(&files[1], Some(1500), Some(1)), header())
        .err()
        .unwrap();
    assert!(refused.what.contains("tape.1"), "{}", refused.what);
}
