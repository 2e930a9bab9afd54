//! The store on both databases that it knows: every law is held on SQLite and on PostgreSQL.

mod accounts;
mod grants;
mod place;
#[expect(dead_code, reason = "outages are what the gateway is tested with")]
#[path = "../support/postgres.rs"]
mod postgres;
mod schema;

/// Makes a test of a law for each database.
macro_rules! on_both {
    ($($(#[$doc:meta])* $law:ident)+) => {
        mod on_sqlite {
            $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $law() {
                super::$law($crate::place::Place::sqlite()).await;
            })+
        }
        mod on_postgres {
            $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $law() {
                super::$law($crate::place::Place::postgres()).await;
            })+
        }
    };
}
pub(crate) use on_both;
