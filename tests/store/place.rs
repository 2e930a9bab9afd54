//! Where a test's store is.

use portcullis::{model::StoreLocation, store::Store};
use tempfile::TempDir;

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

    pub async fn open(&self) -> Store {
        Store::open(&self.location).await.unwrap()
    }
}

impl Place {
    /// Runs a statement behind the store's back.
    pub async fn run(&self, statement: &'static str) {
        let StoreLocation::Sqlite(file) = &self.location else { panic!("a file") };
        let path = file.display().to_string().replace('%', "%25").replace('#', "%23");
        let url = format!("sqlite://{path}");
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        sqlx::query(statement).execute(&pool).await.unwrap();
        pool.close().await;
    }
}
