//! Where the store is.

use std::{fmt, path::PathBuf};

use super::Secret;

/// Where users, keys and grants are kept.
#[derive(Clone)]
pub enum StoreLocation {
    /// A PostgreSQL database, by its URL, which may hold a password.
    Postgres(Secret),
    /// A file of SQLite's.
    Sqlite(PathBuf),
}

impl PartialEq for StoreLocation {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Postgres(one), Self::Postgres(other)) => one.expose() == other.expose(),
            (Self::Sqlite(one), Self::Sqlite(other)) => one == other,
            (Self::Postgres(_), Self::Sqlite(_)) | (Self::Sqlite(_), Self::Postgres(_)) => false,
        }
    }
}

impl Eq for StoreLocation {}

/// The kind of database and, where it has no secret in it, the place.
impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(_) => f.write_str("postgres"),
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
        }
    }
}

impl fmt::Debug for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
