//! The content of files, by digest: what tells a change from a touch.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use ring::digest::{Context, SHA256};

/// More of a file is not read; the configuration refuses files of this size.
const MOST: u64 = 16 << 20;

/// The content of some files at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Vec<u8>)>);

impl Fingerprint {
    /// Reads these files. One that cannot be read has a content too: none.
    pub fn take<'f>(files: impl IntoIterator<Item = &'f PathBuf>) -> Self {
        Self(
            files
                .into_iter()
                .map(|file| (file.clone(), digest(file).unwrap_or_default()))
                .collect(),
        )
    }

    /// The same files as they are now.
    pub fn again(&self) -> Self {
        Self::take(self.files())
    }

    /// Of these files alone, if it knows them all.
    pub fn of(&self, files: &[PathBuf]) -> Option<Self> {
        let known = |file: &PathBuf| self.0.iter().find(|(known, _)| known == file).cloned();
        files.iter().map(known).collect::<Option<_>>().map(Self)
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.iter().map(|(file, _)| file)
    }
}

fn digest(file: &Path) -> std::io::Result<Vec<u8>> {
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(file)?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let mut context = Context::new(&SHA256);
    let mut content = File::open(file)?.take(MOST);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = content.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        context.update(bytes);
    }
    Ok(context.finish().as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_is_no_change_and_a_removal_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "one").unwrap();
        let before = Fingerprint::take([&file]);
        std::fs::write(&file, "one").unwrap();
        assert_eq!(before, before.again());
        std::fs::remove_file(&file).unwrap();
        assert_ne!(before, before.again());
    }

    #[test]
    fn a_part_of_it_is_known_only_if_all_of_that_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a", "b", "c"].map(|name| folder.path().join(name));
        let [a, b, c] = &files;
        std::fs::write(a, "one").unwrap();
        let whole = Fingerprint::take([a, b]);
        assert_eq!(whole.of(std::slice::from_ref(b)), Some(Fingerprint::take([b])));
        assert_eq!(whole.of(&files), None);
        assert!(whole.of(std::slice::from_ref(c)).is_none());
    }
}
