//! Where a test's store is.

use portcullis::{
    model::{Secret, StoreLocation},
    store::Store,
};
use tempfile::TempDir;

use crate::postgres::Postgres;

/// A place for a store that nobody else uses.
pub struct Place {
    pub location: StoreLocation,
    _folder: Option<TempDir>,
}

impl Place {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = StoreLocation::Sqlite(folder.path().join("a %store#.db"));
        Self { location, _folder: Some(folder) }
    }

    pub fn postgres() -> Self {
        let url = Postgres::shared().database();
        Self { location: StoreLocation::Postgres(Secret::new(url)), _folder: None }
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.location).await.unwrap()
    }
}

impl Place {
    /// Runs a statement behind the store's back.
    pub async fn run(&self, statement: &'static str) {
        let url = match &self.location {
            StoreLocation::Postgres(url) => String::from_utf8(url.expose().to_vec()).unwrap(),
            StoreLocation::Sqlite(file) => {
                let path = file.display().to_string().replace('%', "%25").replace('#', "%23");
                format!("sqlite://{path}")
            }
        };
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        sqlx::query(statement).execute(&pool).await.unwrap();
        pool.close().await;
    }
}
