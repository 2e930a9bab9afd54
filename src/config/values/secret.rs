//! Secrets, and the files that values are read from.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ValueFault, Written, written};
use crate::model::Secret;

/// A secret: its text, a file that holds it, or its bytes in base64.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SecretSource {
    /// The secret itself, or `${NAME}` for an environment variable.
    Text(SecretText),
    /// A file's bytes, one trailing newline dropped.
    File(SecretFile),
    /// Bytes.
    Base64(SecretBytes),
}

/// `{ file: PATH }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// The file; relative to the config file.
    pub file: FilePath,
}

/// `{ base64: TEXT }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretBytes {
    /// The bytes in base64 (RFC 4648, section 4).
    pub base64: Base64Text,
}

/// A secret in the file's own text.
#[derive(Clone, Debug)]
pub struct SecretText(pub Secret);

impl Written for SecretText {
    const FORMAT: &'static str = "secret";
    const EXPECTS: &'static str = "a secret: text, `{ file: PATH }` or `{ base64: TEXT }`";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, ValueFault> {
        Ok(Self(Secret::new(text)))
    }
}

/// Secret bytes, decoded.
#[derive(Clone, Debug)]
pub struct Base64Text(pub Secret);

impl Written for Base64Text {
    const FORMAT: &'static str = "secret-base64";
    const EXPECTS: &'static str = "base64";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, ValueFault> {
        let text: String = text.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(text).map_err(|_| ValueFault::malformed())?;
        Ok(Self(Secret::new(bytes)))
    }
}

/// A file, as written: relative to the config file unless absolute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(pub PathBuf);

impl FilePath {
    /// The path as written.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Written for FilePath {
    const FORMAT: &'static str = "file";
    const EXPECTS: &'static str = "the path of a file";

    fn read(text: &str) -> Result<Self, ValueFault> {
        if text.is_empty() || text.contains('\0') {
            return Err(ValueFault::malformed());
        }
        Ok(Self(text.into()))
    }
}

/// A folder, as written: relative to the config file unless absolute. It need not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderPath(pub PathBuf);

impl FolderPath {
    /// The path as written.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Written for FolderPath {
    const FORMAT: &'static str = "folder";
    const EXPECTS: &'static str = "the path of a folder";

    fn read(text: &str) -> Result<Self, ValueFault> {
        FilePath::read(text).map(|path| Self(path.0))
    }
}

/// A socket of the file system, as written: relative to the config file unless absolute. It need not
/// be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketPath(pub PathBuf);

impl SocketPath {
    /// The path as written.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Written for SocketPath {
    const FORMAT: &'static str = "socket";
    const EXPECTS: &'static str = "the path of a socket";

    fn read(text: &str) -> Result<Self, ValueFault> {
        FilePath::read(text).map(|path| Self(path.0))
    }
}

written!(SecretText, Base64Text, FilePath, FolderPath, SocketPath);
