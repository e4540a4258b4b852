//! What is in a bundle.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use flate2::read::{GzDecoder, MultiGzDecoder};

/// Its files as text, by their names without the folder; recordings unpacked.
///
/// # Panics
/// When it can't be unpacked.
#[must_use]
pub fn texts(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(path).expect("a bundle");
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut texts = BTreeMap::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name");
        let name = name.file_name().expect("a name").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("its bytes");
        let mut text = String::new();
        if name.ends_with(".hatrace") {
            MultiGzDecoder::new(&bytes[..])
                .read_to_string(&mut text)
                .expect("gzip");
        } else {
            text = String::from_utf8(bytes).expect("text");
        }
        texts.insert(name, text);
    }
    texts
}
