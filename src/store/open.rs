//! From a place to a store that is open, private and of our schema.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::{Arc, Once},
    time::Duration,
};

use percent_encoding::{AsciiSet, CONTROLS};
use sqlx::{AnyPool, Executor as _, any::AnyPoolOptions};

use tokio::sync::Semaphore;

use super::{OpenFile, Store, StoreFault, schema, within};
use crate::model::StoreLocation;

/// Connections at most. What requests need is in memory, so few are needed.
const CONNECTIONS: u32 = 8;

/// Of those that write at once.
const WRITERS: usize = 4;

/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long changes of the tables may take, those of another process that are waited for included.
const MIGRATION: Duration = Duration::from_secs(120);

impl Store {
    /// Opens the store, makes it at the first start, and brings it to our schema.
    ///
    /// # Errors
    /// The database cannot be reached, or is of a newer schema.
    pub async fn open(location: &StoreLocation) -> Result<Self, StoreFault> {
        if let StoreLocation::Sqlite(file) = location {
            make_private(file).map_err(StoreFault::File)?;
        }
        Self::open_again(location).await
    }

    /// Opens a store that was there before: a file that is missing is not made.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_again(location: &StoreLocation) -> Result<Self, StoreFault> {
        // Before it is opened: if another takes its place in between, that is noticed later.
        let file = match location {
            StoreLocation::Postgres(_) => None,
            StoreLocation::Sqlite(file) => Some(OpenFile::at(file).map_err(StoreFault::File)?),
        };
        let pool = connect(location).await?;
        let store = Self { pool, turns: Arc::new(Semaphore::new(WRITERS)), file };
        match within(MIGRATION, schema::bring_up(&store.pool)).await {
            Ok(()) => Ok(store),
            Err(fault) => {
                store.close().await;
                Err(fault)
            }
        }
    }
}

async fn connect(location: &StoreLocation) -> Result<AnyPool, StoreFault> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let (url, greeting) = match location {
        StoreLocation::Postgres(url) => {
            let url = std::str::from_utf8(url.expose()).unwrap_or_default();
            // A client that went away leaves no statement behind.
            (url.to_owned(), "SET statement_timeout = 30000; SET lock_timeout = 10000")
        }
        StoreLocation::Sqlite(file) => {
            let greeting = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON";
            (url_of(file), greeting)
        }
    };
    let options = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(greeting)).await.map(drop) })
        });
    Ok(options.connect(&url).await?)
}

impl OpenFile {
    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    pub(super) fn is_in_its_place(&self) -> bool {
        let there = fs::metadata(&self.path);
        there.is_ok_and(|there| (there.dev(), there.ino()) == (self.device, self.inode))
    }
}

/// What stands for itself in the path of a URL.
const IN_A_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'?');

fn url_of(file: &Path) -> String {
    let path = file.as_os_str().as_encoded_bytes();
    let path = percent_encoding::percent_encode(path, IN_A_PATH);
    format!("sqlite://{path}?mode=rw")
}

/// Makes the file, for its owner alone; SQLite gives those beside it the same mode.
fn make_private(file: &Path) -> io::Result<()> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(file)?.permissions().mode();
            if mode & 0o077 != 0 {
                tracing::warn!(
                    event = "store_not_private",
                    mode = format!("{:03o}", mode & 0o777),
                    "others than the owner may read the store's file: `chmod 600` it"
                );
            }
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}
