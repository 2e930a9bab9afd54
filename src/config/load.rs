//! A file and every file that it names: read once, bounded, and handed on, so that whoever
//! compiles the configuration opens nothing.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Config, codes,
    diagnostic::{self, Diagnostic, quoted},
    document::{Document, MAX_BYTES, too_large},
    expansions::Expansions,
    reading::{self, Faulty, NamedFile, Written},
    scalar::Environment,
    schema, shape,
    source::{Source, Span},
    values::{FilePath, SecretSource},
};
use crate::model::Secret;

/// The most that a key, a secret or a key set may hold.
const MAX_NAMED_BYTES: usize = 1 << 20;

/// A configuration as it was written, with everything that it needs and everything that is wrong
/// with it.
#[derive(Debug)]
pub struct Loaded {
    /// The text as a tree, for places.
    pub document: Document,
    /// The types. What has a fault is a hole, or absent.
    pub config: Config,
    /// The files that it names.
    pub files: Files,
    /// What is wrong so far, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// Where something is wrong, so that nobody complains twice.
    pub faulty: Faulty,
    /// What variables were replaced by.
    pub expansions: Expansions,
}

/// The file itself could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`: {error}", path.display())]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// Reads a file, and those that it names relative to it.
pub fn load(path: &Path, environment: &Environment<'_>) -> Result<Loaded, Unreadable> {
    let name = path.display().to_string();
    let text = match read_text(path, &name)? {
        Ok(text) => text,
        Err(fault) => return Ok(Loaded::nothing(&name, path, fault)),
    };
    let base = path.parent().unwrap_or(Path::new(""));
    let mut loaded =
        load_with(&name, text, environment, base, &|path| read_bounded(path, MAX_NAMED_BYTES));
    loaded.files.own = Some(path.to_owned());
    Ok(loaded)
}

/// A file of another shape in the same notation, with everything that is wrong with it.
#[derive(Debug)]
pub struct Companion<T> {
    /// The text as a tree, for places.
    pub document: Document,
    /// The types. What has a fault is a hole, or absent.
    pub value: T,
    /// What is wrong, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a file of another shape, which names no files.
pub fn load_companion<T: Written>(
    path: &Path,
    environment: &Environment<'_>,
) -> Result<Companion<T>, Unreadable> {
    let name = path.display().to_string();
    let nothing = |source: &Arc<Source>, mut diagnostics| {
        diagnostic::finish(&mut diagnostics);
        Companion { document: Document::empty(source), value: T::default(), diagnostics }
    };
    let text = match read_text(path, &name)? {
        Ok(text) => text,
        Err(fault) => return Ok(nothing(&Arc::new(Source::new(name, "")), vec![fault])),
    };
    let source = Arc::new(Source::new(name, text));
    let (document, mut diagnostics) = Document::parse(&source);
    let Some(document) = document else { return Ok(nothing(&source, diagnostics)) };
    let read = reading::read(&document, &shape::of(&schema::of::<T>()), environment);
    diagnostics.extend(read.diagnostics);
    diagnostic::finish(&mut diagnostics);
    Ok(Companion { document, value: read.value, diagnostics })
}

/// Reads a text that names no files; those that it names all the same are faults.
pub fn load_text(name: &str, text: impl Into<String>, environment: &Environment<'_>) -> Loaded {
    let absent = |_: &Path| Err(FileFault::Unreadable(io::ErrorKind::NotFound.into()));
    load_with(name, text, environment, Path::new(""), &absent)
}

/// Why a file's content is not there.
#[derive(Debug)]
pub enum FileFault {
    /// Larger than is ever needed; it was not read.
    TooLarge,
    /// As the system says.
    Unreadable(io::Error),
}

/// Reads a text with another way to read the files that it names.
pub fn load_with(
    name: &str,
    text: impl Into<String>,
    environment: &Environment<'_>,
    base: &Path,
    open: &dyn Fn(&Path) -> Result<Vec<u8>, FileFault>,
) -> Loaded {
    let source = Arc::new(Source::new(name, text));
    let (document, mut diagnostics) = Document::parse(&source);
    let Some(document) = document else {
        diagnostic::finish(&mut diagnostics);
        return Loaded { diagnostics, ..Loaded::empty(Document::empty(&source)) };
    };
    let read = reading::read(&document, shape::root(), environment);
    diagnostics.extend(read.diagnostics);
    let mut faulty = read.faulty;
    let mut files = Files { base: base.to_owned(), own: None, contents: BTreeMap::new() };
    for file in &read.files {
        if let Some(fault) = files.take(&source, file, open) {
            faulty.add(&file.key);
            diagnostics.push(fault);
        }
    }
    diagnostic::finish(&mut diagnostics);
    let (config, expansions) = (read.value, read.expansions);
    Loaded { document, config, files, diagnostics, faulty, expansions }
}

impl Loaded {
    /// Whether there is a fault that makes it unusable.
    pub fn is_faulty(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    fn empty(document: Document) -> Self {
        Self {
            document,
            config: Config::default(),
            files: Files::default(),
            diagnostics: Vec::new(),
            faulty: Faulty::whole(),
            expansions: Expansions::default(),
        }
    }

    fn nothing(name: &str, path: &Path, fault: Diagnostic) -> Self {
        let source = Arc::new(Source::new(name, ""));
        let files = Files { own: Some(path.to_owned()), ..Files::default() };
        let mut diagnostics = vec![fault];
        diagnostic::finish(&mut diagnostics);
        Self { diagnostics, files, ..Self::empty(Document::empty(&source)) }
    }
}

/// The files that a configuration names, by their path as written.
#[derive(Debug, Default)]
pub struct Files {
    base: PathBuf,
    own: Option<PathBuf>,
    contents: BTreeMap<PathBuf, Option<Secret>>,
}

impl Files {
    /// A file's bytes. `None` if it could not be read, which has been complained about.
    pub fn bytes(&self, path: &FilePath) -> Option<&[u8]> {
        self.contents.get(path.as_path())?.as_ref().map(Secret::expose)
    }

    /// A secret, wherever it stands. `None` if its file could not be read, which has been
    /// complained about.
    pub fn secret(&self, source: &SecretSource) -> Option<Secret> {
        match source {
            SecretSource::Base64(bytes) => Some(bytes.base64.0.clone()),
            SecretSource::File(file) => {
                self.bytes(&file.file).map(|bytes| Secret::new(trimmed(bytes)))
            }
            SecretSource::Text(text) => Some(text.0.clone()),
        }
    }

    /// A path as the file means it: relative to the folder that it is in.
    pub fn beside(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// The configuration's own file and all that it names: those whose change matters.
    pub fn watched(&self) -> Vec<PathBuf> {
        let named = self.contents.keys().map(|path| self.base.join(path));
        self.own.iter().cloned().chain(named).collect()
    }

    /// Reads a file unless that has been done. The fault, if it is not as it should be.
    fn take(
        &mut self,
        source: &Arc<Source>,
        file: &NamedFile,
        open: &dyn Fn(&Path) -> Result<Vec<u8>, FileFault>,
    ) -> Option<Diagnostic> {
        let path = PathBuf::from(&file.path);
        let span = Span::new(source, file.range.clone());
        let written = quoted(source.slice(file.range.clone()).trim_matches(['"', '\'']));
        if !self.contents.contains_key(&path) {
            let content = open(&self.base.join(&path));
            let fault = content.as_ref().err().map(|fault| match fault {
                FileFault::TooLarge => {
                    let message = format!("{written} is larger than 1 MiB");
                    Diagnostic::error(codes::FILE_TOO_LARGE, span.clone(), message)
                }
                FileFault::Unreadable(error) => {
                    let message = format!("{written} cannot be read: {}", reason(error));
                    let fault = Diagnostic::error(codes::UNREADABLE_FILE, span.clone(), message);
                    fault.help("paths are relative to the file that names them")
                }
            });
            self.contents.insert(path, content.ok().map(Secret::new));
            return fault.or_else(|| self.empty(file, span, &written));
        }
        match self.contents.get(&path) {
            Some(None) => {
                let message = format!("{written} cannot be read");
                Some(Diagnostic::error(codes::UNREADABLE_FILE, span, message))
            }
            _ => self.empty(file, span, &written),
        }
    }

    fn empty(&self, file: &NamedFile, span: Span, written: &str) -> Option<Diagnostic> {
        let content = self.contents.get(Path::new(&file.path))?.as_ref()?;
        let empty = file.filled && trimmed(content.expose()).is_empty();
        empty.then(|| {
            let message = format!("the secret in {written} is empty");
            Diagnostic::error(codes::EMPTY_SECRET, span, message)
        })
    }
}

/// A file's bytes without one newline at their end.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// An error without the number that the system gives it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

/// A file's text, or the fault for which it is none.
fn read_text(path: &Path, name: &str) -> Result<Result<String, Diagnostic>, Unreadable> {
    let bytes = match read_bounded(path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(FileFault::TooLarge) => return Ok(Err(too_large(name))),
        Err(FileFault::Unreadable(error)) => {
            return Err(Unreadable { path: path.to_owned(), error });
        }
    };
    Ok(String::from_utf8(bytes).map_err(|error| {
        let lines = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = lines.filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("{} is not UTF-8, line {line} first of all", quoted(name));
        Diagnostic::of_file(codes::NOT_UTF8, message)
    }))
}

fn read_bounded(path: &Path, most: usize) -> Result<Vec<u8>, FileFault> {
    // Before it is opened: opening a pipe would wait for a writer.
    let kind = fs::metadata(path).map_err(FileFault::Unreadable)?;
    if kind.is_dir() {
        return Err(FileFault::Unreadable(io::ErrorKind::IsADirectory.into()));
    }
    if !kind.is_file() {
        return Err(FileFault::Unreadable(io::Error::other("it is not a regular file")));
    }
    if kind.len() > most as u64 {
        return Err(FileFault::TooLarge);
    }
    let file = fs::File::open(path).map_err(FileFault::Unreadable)?;
    let mut bytes = Vec::new();
    // It may have grown since.
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(FileFault::Unreadable)?;
    if bytes.len() > most { Err(FileFault::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::{OneOrMany, SecretText};

    fn bare(_: &str) -> Option<String> {
        None
    }

    fn written(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn secrets(loaded: &Loaded) -> Vec<Vec<u8>> {
        let token = loaded.config.token.as_ref().unwrap();
        let secrets = token.secret.as_ref().map(OneOrMany::as_slice).unwrap_or_default();
        secrets.iter().map(|s| loaded.files.secret(s).unwrap().expose().to_vec()).collect()
    }

    fn codes(loaded: &Loaded) -> Vec<&'static str> {
        loaded.diagnostics.iter().map(|fault| fault.code).collect()
    }

    #[test]
    fn a_secret_comes_from_text_a_file_or_base64() {
        let text = b"token: { secret: [{ file: a }, { base64: aHVudGVyMg== }, '${S:-x}'] }";
        let folder = written(&[("gateway.yaml", text), ("a", b"hunter2\n\n")]);
        let path = folder.path().join("gateway.yaml");
        let loaded = load(&path, &bare).unwrap();
        assert_eq!(secrets(&loaded), [b"hunter2\n".to_vec(), b"hunter2".to_vec(), b"x".to_vec()]);
        assert_eq!(loaded.files.watched(), [path, folder.path().join("a")]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_fault_at_each_place() {
        let text = "token:\n  secret:\n    - file: nowhere\n    - file: nowhere\n    - file: .\n";
        let folder = written(&[("gateway.yaml", text.as_bytes())]);
        let loaded = load(&folder.path().join("gateway.yaml"), &bare).unwrap();
        assert_eq!(codes(&loaded), [codes::UNREADABLE_FILE; 3]);
        assert!(loaded.faulty.touches("token.secret[1]"));
        let token = loaded.config.token.as_ref().unwrap();
        assert!(loaded.files.secret(&token.secret.as_ref().unwrap().as_slice()[0]).is_none());
    }

    #[test]
    fn an_empty_secret_in_a_file_is_a_fault_but_for_the_admin_token() {
        let text = b"token: { secret: { file: a } }\nadmin: { token: { file: a } }\n";
        let folder = written(&[("gateway.yaml", text), ("a", b"\n")]);
        let loaded = load(&folder.path().join("gateway.yaml"), &bare).unwrap();
        assert_eq!(codes(&loaded), [codes::EMPTY_SECRET]);
    }

    #[test]
    fn a_file_that_is_not_there_is_told_from_one_that_is_wrong() {
        let folder =
            written(&[("bad.yaml", b"a: \xff\n"), ("big.yaml", &vec![b' '; MAX_BYTES + 1])]);
        assert!(load(&folder.path().join("nowhere.yaml"), &bare).is_err());
        assert!(load(folder.path(), &bare).is_err());
        let load = |name| load(&folder.path().join(name), &bare).unwrap();
        assert_eq!(codes(&load("bad.yaml")), [codes::NOT_UTF8]);
        assert_eq!(codes(&load("big.yaml")), [codes::FILE_TOO_LARGE]);
    }

    #[test]
    fn a_named_file_over_its_bound_is_not_read() {
        let text = b"token: { secret: { file: a } }\n";
        let folder = written(&[("gateway.yaml", text), ("a", &vec![b'x'; MAX_NAMED_BYTES + 1])]);
        let loaded = load(&folder.path().join("gateway.yaml"), &bare).unwrap();
        assert_eq!(codes(&loaded), [codes::FILE_TOO_LARGE]);
    }

    #[test]
    fn what_was_loaded_never_prints_a_secret() {
        let loaded = load_text("x", "token: { secret: hunter2hunter2 }", &bare);
        let token = loaded.config.token.as_ref().unwrap();
        assert!(matches!(
            token.secret.as_ref().unwrap().as_slice(),
            [SecretSource::Text(SecretText(_))]
        ));
        assert!(!format!("{loaded:?}").contains("hunter2"));
    }
}
