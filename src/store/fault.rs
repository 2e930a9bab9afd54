//! Why the store did not do as it was asked.

/// Why the store did not do as it was asked. No message repeats a URL or a secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// There is no such user or key.
    #[error("there is no such {what}")]
    Absent {
        /// What was asked for.
        what: &'static str,
    },
    /// The database could not be asked, or answered with a fault.
    #[error("the store is unavailable: {0}")]
    Away(#[source] sqlx::Error),
    /// The store's file cannot be made or opened.
    #[error("cannot open the store's file: {0}")]
    File(#[source] std::io::Error),
    /// A later version has changed the tables.
    #[error(
        "the store has schema {found}, and this version knows {known} and older ones: a newer \
         portcullis has used it"
    )]
    Newer {
        /// The schema of the store.
        found: i64,
        /// The latest that this version knows.
        known: i64,
    },
    /// No random bytes could be had.
    #[error("no random bytes could be had")]
    Randomness,
    /// The database took too long.
    #[error("the store takes too long to answer")]
    Slow,
    /// The name is somebody else's.
    #[error("the {what} is taken")]
    Taken {
        /// What must be unique.
        what: &'static str,
    },
    /// A row says something that no version has written.
    #[error("the store holds a damaged {what}")]
    Unreadable {
        /// What is damaged.
        what: &'static str,
    },
}

impl StoreFault {
    /// Whether the store is at fault, and not what it was asked.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Absent { .. } | Self::Taken { .. } => false,
            Self::Away(_)
            | Self::File(_)
            | Self::Newer { .. }
            | Self::Randomness
            | Self::Slow
            | Self::Unreadable { .. } => true,
        }
    }

    /// Makes of a broken uniqueness the name of what is not unique.
    pub(super) fn taken(error: sqlx::Error, what: &'static str) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                Self::Taken { what }
            }
            _ => Self::Away(error),
        }
    }
}

impl From<sqlx::Error> for StoreFault {
    fn from(error: sqlx::Error) -> Self {
        Self::Away(error)
    }
}
