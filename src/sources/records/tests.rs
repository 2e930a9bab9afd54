//! What memory is worth while the store is there, away, and changed by others.

use std::time::{Duration, Instant};

use super::*;
use crate::{
    model::{Role, Secret},
    store::{Author, Entry, Family, KeyTerms, UserChange, UserTerms},
};

fn by(seconds: i64) -> Author<'static> {
    Author { who: "test", origin: "test", at: Timestamp::from_seconds(seconds) }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

struct World {
    records: Records,
    location: StoreLocation,
    _folder: tempfile::TempDir,
}

async fn world(max_stale: Duration) -> World {
    let folder = tempfile::tempdir().unwrap();
    let location = StoreLocation::Sqlite(folder.path().join("store.db"));
    let records = Records::new(location.clone(), max_stale);
    records.begin().await.unwrap();
    World { records, location, _folder: folder }
}

fn key(id: &str, byte: u8) -> KeyTerms {
    KeyTerms {
        id: id.into(),
        sha256: [byte; 32],
        name: None,
        owner: Some("7".into()),
        is_users: false,
        roles: vec![Role::from("user")],
        permissions: vec![],
        plan: None,
        networks: vec![],
        expires: None,
    }
}

fn user(subject: &str) -> UserTerms {
    UserTerms {
        subject: subject.into(),
        username: format!("user{subject}"),
        password: Some(Secret::new("$2b$04$x")),
        roles: vec![],
        permissions: vec![],
        plan: None,
        disabled: false,
    }
}

fn found(records: &Records, byte: u8) -> Result<Option<ApiKey>, Unavailable> {
    records.api_key(&Digest::from_bytes([byte; 32]), &Accounts::default(), None)
}

/// The store as if it had last been heard so long ago.
fn silence(records: &Records, length: Duration) {
    let heard = records.contact.millis(Instant::now() + Duration::from_secs(1000));
    let length = u64::try_from(length.as_millis()).unwrap();
    records.contact.heard.store(heard.saturating_sub(length), Ordering::Relaxed);
}

/// What memory is worth a thousand seconds from now, so that silence can be made.
fn later(records: &Records) -> Standing {
    records.contact.standing(Instant::now() + Duration::from_secs(1000))
}

#[tokio::test]
async fn a_change_made_here_counts_at_once() {
    let World { records, _folder, .. } = world(Duration::from_secs(600)).await;
    assert_eq!(found(&records, 1).unwrap().map(|key| key.id), None);
    records.add_user(&user("7"), &by(1)).await.unwrap();
    records.add_key(&key("k", 1), &by(1)).await.unwrap();
    assert!(!found(&records, 1).unwrap().unwrap().disabled);
    records.revoke_key("k", &by(2)).await.unwrap();
    assert!(found(&records, 1).unwrap().unwrap().disabled);
    assert!(records.is_revoked(RevocationKind::Key, "k", at(2)).unwrap());
    assert!(!records.is_revoked(RevocationKind::Key, "k", at(3)).unwrap());
}

#[tokio::test]
async fn a_change_made_elsewhere_counts_when_it_is_heard_of() {
    let World { records, location, _folder } = world(Duration::from_secs(600)).await;
    let other = Store::open(&location).await.unwrap();
    other.add_user(&user("7"), &by(1)).await.unwrap();
    other.add_key(&key("k", 1), &by(1)).await.unwrap();
    assert!(found(&records, 1).unwrap().is_none());
    assert_eq!(records.follow().await.unwrap(), Followed::Changes);
    assert_eq!(records.follow().await.unwrap(), Followed::Nothing);
    assert!(!found(&records, 1).unwrap().unwrap().disabled);
    // A key of a user who is shut out is shut out with him.
    let shut = UserChange { disabled: Some(true), ..UserChange::default() };
    other.change_user("7", &shut, &by(2)).await.unwrap();
    records.follow().await.unwrap();
    assert!(found(&records, 1).unwrap().unwrap().disabled);
    assert!(records.is_revoked(RevocationKind::Subject, "7", at(2)).unwrap());
    other.remove_user("7", &by(3)).await.unwrap();
    records.follow().await.unwrap();
    assert!(records.user("7").unwrap().is_none());
    assert!(found(&records, 1).unwrap().unwrap().disabled, "its keys are revoked");
}

fn file_user(subject: &str, disabled: bool) -> Accounts {
    let user = User {
        subject: subject.into(),
        username: subject.into(),
        password: None,
        roles: [].into(),
        permissions: [].into(),
        plan: None,
        disabled,
    };
    Accounts::new(vec![user], vec![])
}

#[tokio::test]
async fn a_key_is_worth_nothing_while_its_user_is_none() {
    let World { records, _folder, .. } = world(Duration::from_secs(600)).await;
    let of_the_file = KeyTerms { is_users: true, owner: Some("f1".into()), ..key("k", 1) };
    records.add_key(&of_the_file, &by(1)).await.unwrap();
    let of_a_service = KeyTerms { owner: Some("s1".into()), ..key("l", 2) };
    records.add_key(&of_a_service, &by(1)).await.unwrap();
    let is_shut = |byte: u8, file: &Accounts| {
        let digest = Digest::from_bytes([byte; 32]);
        records.api_key(&digest, file, None).unwrap().unwrap().disabled
    };
    assert!(!is_shut(1, &file_user("f1", false)));
    assert!(is_shut(1, &file_user("f1", true)), "he is shut out");
    assert!(is_shut(1, &Accounts::default()), "he is gone");
    assert!(records.key_by_id("k", &Accounts::default()).unwrap().unwrap().disabled);
    assert!(!is_shut(2, &Accounts::default()), "nobody ever was that user");
}

#[tokio::test]
async fn a_key_under_the_name_of_a_user_is_shut_out_with_him() {
    let World { records, _folder, .. } = world(Duration::from_secs(600)).await;
    records.add_key(&KeyTerms { owner: None, ..key("f1", 1) }, &by(1)).await.unwrap();
    let is_shut = |file: &Accounts| {
        records.api_key(&Digest::from_bytes([1; 32]), file, None).unwrap().unwrap().disabled
    };
    assert!(!is_shut(&Accounts::default()) && !is_shut(&file_user("f1", false)));
    assert!(is_shut(&file_user("f1", true)));
}

#[tokio::test]
async fn another_history_is_read_from_its_beginning() {
    let World { records, location, _folder } = world(Duration::from_secs(600)).await;
    records.add_key(&key("k", 1), &by(1)).await.unwrap();
    records.add_key(&key("l", 2), &by(1)).await.unwrap();
    // As after a copy from before the second key was restored, and went its own way.
    let pool = behind(&location).await;
    for statement in [
        "DELETE FROM portcullis_keys WHERE id = 'l'",
        "DELETE FROM portcullis_audit WHERE revision = 2",
        "UPDATE portcullis_state SET revision = 1",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let other = Store::open(&location).await.unwrap();
    other.add_key(&key("m", 3), &by(2)).await.unwrap();
    assert_eq!(other.position().await.unwrap().revision, 2);
    assert_eq!(records.follow().await.unwrap(), Followed::Everything);
    let known = [1, 2, 3].map(|byte| found(&records, byte).unwrap().is_some());
    assert_eq!(known, [true, false, true]);
}

/// A connection to the file of a store, behind the store's back.
async fn behind(location: &StoreLocation) -> sqlx::AnyPool {
    let StoreLocation::Sqlite(file) = location else { unreachable!() };
    sqlx::AnyPool::connect(&format!("sqlite://{}", file.display())).await.unwrap()
}

#[tokio::test]
async fn a_change_that_waits_for_the_store_makes_nobody_deaf() {
    let World { records, location, _folder } = world(Duration::from_secs(600)).await;
    let records = Arc::new(records);
    let pool = behind(&location).await;
    let mut writer = pool.acquire().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *writer).await.unwrap();
    let changes: Vec<_> = (0..12)
        .map(|byte| {
            let records = Arc::clone(&records);
            let add = async move {
                let added = records.add_key(&key(&format!("k{byte}"), byte), &by(1)).await;
                added.map(drop)
            };
            tokio::spawn(add)
        })
        .collect();
    for _ in 0..20 {
        let heard = tokio::time::timeout(Duration::from_secs(4), records.follow()).await;
        assert_eq!(heard.expect("nobody waits for a change").unwrap(), Followed::Nothing);
    }
    assert_eq!(records.standing(), Standing::Current);
    assert!(found(&records, 99).unwrap().is_none(), "an unknown key is nobody's");
    sqlx::query("ROLLBACK").execute(&mut *writer).await.unwrap();
    for change in changes {
        change.await.unwrap().unwrap();
    }
    assert!((0..12).all(|byte| found(&records, byte).unwrap().is_some()));
}

#[tokio::test]
async fn nothing_older_is_put_over_something_newer() {
    let World { records, location, _folder } = world(Duration::from_secs(600)).await;
    records.add_user(&user("7"), &by(1)).await.unwrap();
    // Two changes whose answers come the other way round, and then the store is away.
    let store = Store::open(&location).await.unwrap();
    let shut = UserChange { disabled: Some(true), ..UserChange::default() };
    let shut = store.change_user("7", &shut, &by(2)).await.unwrap();
    let open = UserChange { disabled: Some(false), ..UserChange::default() };
    let open = store.change_user("7", &open, &by(3)).await.unwrap();
    records.store().unwrap().close().await;
    records.take_up(change::Effect::User(&open), open.revision, at(3)).await;
    records.take_up(change::Effect::UserCutOff(&shut), shut.revision, at(2)).await;
    assert_eq!(records.standing(), Standing::Stale);
    assert!(!records.user("7").unwrap().unwrap().disabled, "the later change stands");
    assert!(records.is_revoked(RevocationKind::Subject, "7", at(2)).unwrap(), "and both marks");
}

#[tokio::test]
async fn a_file_that_takes_the_place_of_the_store_is_read() {
    let World { records, location, _folder: kept } = world(Duration::from_secs(600)).await;
    let folder = kept.path();
    records.add_key(&key("k", 1), &by(1)).await.unwrap();
    let restored = StoreLocation::Sqlite(folder.join("restored.db"));
    let store = Store::open(&restored).await.unwrap();
    store.add_key(&key("m", 3), &by(1)).await.unwrap();
    store.close().await;
    for end in ["-wal", "-shm"] {
        std::fs::remove_file(folder.join(format!("store.db{end}"))).unwrap();
    }
    std::fs::rename(folder.join("restored.db"), folder.join("store.db")).unwrap();
    assert_eq!(records.follow().await.unwrap(), Followed::Everything);
    let known = [1, 3].map(|byte| found(&records, byte).unwrap().is_some());
    assert_eq!(known, [false, true]);
    // Revocations in it are heard, and changes from here are made there.
    let other = Store::open(&location).await.unwrap();
    other.revoke_key("m", &by(2)).await.unwrap();
    assert_eq!(records.follow().await.unwrap(), Followed::Changes);
    assert!(found(&records, 3).unwrap().unwrap().disabled);
    records.add_key(&key("n", 4), &by(3)).await.unwrap();
    assert!(other.key("n").await.unwrap().is_some());
    other.close().await;

    // One that was taken away is not made anew, and nothing is written into what has no name.
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    records.follow().await.unwrap_err();
    assert_eq!(records.standing(), Standing::Stale);
    assert!(records.add_key(&key("o", 5), &by(4)).await.is_err());
    assert!(!folder.join("store.db").exists());
    Store::open(&location).await.unwrap();
    assert_eq!(records.follow().await.unwrap(), Followed::Everything);
    assert_eq!(records.standing(), Standing::Current);
    assert!(found(&records, 3).unwrap().is_none());
}

#[tokio::test]
async fn what_is_known_serves_for_a_while_and_what_is_not_known_is_not_answered() {
    let World { records, _folder, .. } = world(Duration::from_secs(60)).await;
    records.add_key(&key("k", 1), &by(1)).await.unwrap();
    records.contact.failed();
    assert_eq!(records.standing(), Standing::Stale);
    assert!(found(&records, 1).unwrap().is_some());
    assert_eq!(found(&records, 2).unwrap_err(), Records::AWAY);
    assert_eq!(records.user("8").unwrap_err(), Records::AWAY);
    assert_eq!(records.user_by_name("x").unwrap_err(), Records::AWAY);
    silence(&records, Duration::from_secs(61));
    assert_eq!(later(&records), Standing::Away);
    records.serve_stale_for(Duration::ZERO);
    records.contact.heard.store(1, Ordering::Relaxed);
    assert_eq!(later(&records), Standing::Away);
}

#[test]
fn silence_makes_stale_whether_anybody_noticed_or_not() {
    let records = Records::new(StoreLocation::Sqlite("/nowhere".into()), Duration::from_secs(60));
    assert_eq!(records.standing(), Standing::Away, "never heard");
    assert_eq!(found(&records, 1).unwrap_err(), Records::AWAY);
    for (silent, standing) in [
        (0, Standing::Current),
        (3, Standing::Current),
        (4, Standing::Stale),
        (59, Standing::Stale),
        (61, Standing::Away),
    ] {
        silence(&records, Duration::from_secs(silent));
        assert_eq!(later(&records), standing, "{silent}");
    }
}

#[tokio::test]
async fn a_use_is_noted_to_the_minute() {
    let World { records, location, _folder } = world(Duration::from_secs(60)).await;
    records.add_key(&key("k", 1), &by(1)).await.unwrap();
    for seconds in [600, 630, 665] {
        let digest = Digest::from_bytes([1; 32]);
        records.api_key(&digest, &Accounts::default(), Some(at(seconds))).unwrap();
    }
    records.write_notes().await;
    let store = Store::open(&location).await.unwrap();
    assert_eq!(store.key("k").await.unwrap().unwrap().last_used, Some(at(660)));
}

#[tokio::test]
async fn a_store_without_a_file_is_a_fault_of_the_start() {
    let records =
        Records::new(StoreLocation::Sqlite("/nowhere/at/all.db".into()), Duration::from_secs(60));
    assert!(records.begin().await.is_err());
    let database = StoreLocation::Postgres(Secret::new("postgres://x@127.0.0.1:9/x"));
    let records = Records::new(database, Duration::from_secs(60));
    records.begin().await.expect("it is followed once it is there");
    assert_eq!(records.standing(), Standing::Away);
}

/// An hour after its end a token is forgotten; until then a clock that is set back revives it not.
#[tokio::test]
async fn what_was_revoked_outlives_its_end_by_as_much_as_a_clock_may_be_set_back() {
    let World { records, location, _folder } = world(Duration::from_secs(600)).await;
    let family = Family {
        id: "f".into(),
        subject: "7".into(),
        scope: None,
        issued: at(1),
        expires: at(1000),
        ended: None,
    };
    let entry = Entry { action: "token.revoke", target: "7", detail: "" };
    records.end_family(&family, &entry, &by(2)).await.unwrap();
    for (now, is_known) in [(1001, true), (4000, true), (4700, false)] {
        records.forget(at(now)).await;
        let here = records.is_revoked(RevocationKind::Family, "f", at(1)).unwrap();
        let store = Store::open(&location).await.unwrap();
        let there = !store.revocations_since(0).await.unwrap().is_empty();
        assert_eq!((here, there), (is_known, is_known), "{now}");
    }
}
