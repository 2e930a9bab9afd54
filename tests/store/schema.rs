//! From nothing to the latest tables.

use std::os::unix::fs::PermissionsExt as _;

use portcullis::{
    model::{StoreLocation, Timestamp},
    store::{Author, Store, StoreFault},
};

use crate::{on_both, place::Place};

on_both! {
    many_processes_may_start_at_once
    a_newer_schema_is_refused
    a_store_of_the_last_version_is_brought_to_this_one
}

async fn many_processes_may_start_at_once(place: Place) {
    let opened = (0..6).map(|_| {
        let location = place.location.clone();
        tokio::spawn(async move { Store::open(&location).await })
    });
    let mut positions = Vec::new();
    for opened in opened.collect::<Vec<_>>() {
        positions.push(opened.await.unwrap().unwrap().position().await.unwrap());
    }
    positions.dedup();
    assert_eq!(positions.len(), 1, "one store was made");
    assert_eq!(positions[0].revision, 0);
}

async fn a_newer_schema_is_refused(place: Place) {
    place.open().await.close().await;
    place.run("UPDATE portcullis_state SET version = 1000").await;
    match Store::open(&place.location).await {
        Err(StoreFault::Newer { found: 1000, .. }) => {}
        other => panic!("{other:?}"),
    }
}

async fn a_store_of_the_last_version_is_brought_to_this_one(place: Place) {
    place.open().await.close().await;
    place.run("DROP TABLE portcullis_staged_users").await;
    place.run("ALTER TABLE portcullis_keys DROP COLUMN is_users").await;
    place.run("DROP INDEX portcullis_audit_at").await;
    for statement in [
        "INSERT INTO portcullis_users (subject, username, roles, permissions, disabled, created, revision)
         VALUES ('7', 'alice', '[]', '[]', 0, 0, 0)",
        "INSERT INTO portcullis_keys (id, sha256, owner, roles, permissions, networks, disabled, created, revision)
         VALUES ('a', 'aa', '7', '[]', '[]', '[]', 0, 0, 0), ('b', 'bb', 'x', '[]', '[]', '[]', 0, 0, 0),
                ('c', 'cc', NULL, '[]', '[]', '[]', 0, 0, 0)",
        "UPDATE portcullis_keys SET sha256 = substr('0000000000000000000000000000000000000000000000000000000000000000', 1, 62) || sha256",
    ] {
        place.run(statement).await;
    }
    place.run("UPDATE portcullis_state SET version = 2").await;
    let store = place.open().await;
    for (id, is_users) in [("a", true), ("b", false), ("c", false)] {
        assert_eq!(store.key(id).await.unwrap().unwrap().terms.is_users, is_users, "{id}");
    }
    let author = Author { who: "test", origin: "test", at: Timestamp::from_seconds(1) };
    store.import_users(&[], &author, |_| {}).await.unwrap();
    assert_eq!(store.position().await.unwrap().revision, 1);
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    let place = Place::sqlite();
    let store = place.open().await;
    store.position().await.unwrap();
    let StoreLocation::Sqlite(file) = &place.location else { panic!("a file") };
    for entry in std::fs::read_dir(file.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
}
