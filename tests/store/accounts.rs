//! Users, keys and the log of their changes.

use portcullis::{
    model::{Role, Secret, Timestamp},
    store::{
        Author, KeyChange, KeyTerms, PasswordSet, RevocationKind, StoreFault, UserChange, UserTerms,
    },
};

use crate::{on_both, place::Place};

on_both! {
    a_user_is_kept_changed_and_removed
    names_are_unique
    names_that_letter_case_alone_keeps_apart_are_one_name
    twins_of_an_older_store_live_on
    an_import_is_all_or_nothing
    a_long_import_holds_nobody_up
    no_key_speaks_as_a_user_by_its_id_alone
    a_key_knows_whether_its_owner_is_a_user
    the_log_of_changes_says_what_is_so_from_then_on
    the_log_of_changes_is_kept_for_a_year_and_its_last_line_for_ever
    a_key_is_rotated_and_revoked
    a_hash_is_replaced_unless_the_password_changed
    changes_come_in_the_order_of_their_numbers
}

fn by(seconds: i64) -> Author<'static> {
    Author { who: "test", origin: "192.0.2.1", at: Timestamp::from_seconds(seconds) }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn user(subject: &str, username: &str) -> UserTerms {
    UserTerms {
        subject: subject.into(),
        username: username.into(),
        password: Some(Secret::new("$2b$04$x")),
        roles: vec![Role::from("user"), Role::from("a \"quoted\", role")],
        permissions: vec![],
        plan: Some("pro".into()),
        disabled: false,
    }
}

fn key(id: &str, byte: u8) -> KeyTerms {
    KeyTerms {
        id: id.into(),
        sha256: [byte; 32],
        name: Some("build".into()),
        owner: Some("7".into()),
        is_users: false,
        roles: vec![Role::from("user")],
        permissions: vec![],
        plan: None,
        networks: vec!["192.0.2.0/24".parse().unwrap()],
        expires: Some(at(5000)),
    }
}

async fn a_user_is_kept_changed_and_removed(place: Place) {
    let store = place.open().await;
    let added = store.add_user(&user("7", "alice"), &by(1)).await.unwrap();
    assert_eq!(added.terms.roles, user("7", "alice").roles);
    store.add_key(&key("k", 1), &by(1)).await.unwrap();
    let change = UserChange {
        roles: Some(vec![]),
        plan: Some(None),
        password: Some(PasswordSet::Nothing),
        ..UserChange::default()
    };
    store.change_user("7", &change, &by(2)).await.unwrap();
    store.note_logins(&[("7".into(), at(60))]).await.unwrap();
    store.note_logins(&[("7".into(), at(50))]).await.unwrap();
    let kept = store.user_by_name("alice").await.unwrap().unwrap();
    let terms = &kept.terms;
    assert!(terms.roles.is_empty() && terms.plan.is_none() && terms.password.is_none());
    assert_eq!((kept.created, kept.last_login), (at(1), Some(at(60))));

    let before = store.position().await.unwrap().revision;
    store.remove_user("7", &by(3)).await.unwrap();
    assert!(store.user("7").await.unwrap().is_none());
    assert_eq!(store.removals_since(before).await.unwrap(), ["7"]);
    let owned = store.key("k").await.unwrap().unwrap();
    assert_eq!(owned.revoked, Some(at(3)), "the keys of a user go with it");
    assert!(matches!(store.remove_user("7", &by(3)).await, Err(StoreFault::Absent { .. })));
    let log = store.audit(i64::MAX, 10).await.unwrap();
    let actions: Vec<_> = log.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["user.remove", "user.set", "key.create", "user.add"]);
    assert_eq!((log[0].who.as_str(), log[0].origin.as_str()), ("test", "192.0.2.1"));
}

async fn names_are_unique(place: Place) {
    let store = place.open().await;
    store.add_user(&user("7", "alice"), &by(1)).await.unwrap();
    for twin in [user("7", "bob"), user("8", "alice")] {
        let refused = store.add_user(&twin, &by(1)).await;
        assert!(matches!(refused, Err(StoreFault::Taken { .. })), "{refused:?}");
    }
    store.add_user(&user("8", "bob"), &by(1)).await.unwrap();
    let change = UserChange { username: Some("alice".into()), ..UserChange::default() };
    let refused = store.change_user("8", &change, &by(2)).await;
    assert!(matches!(refused, Err(StoreFault::Taken { .. })), "{refused:?}");
    let log = store.audit(i64::MAX, 10).await.unwrap();
    assert_eq!(log.len(), 2, "what did not happen is not in the log");
}

async fn names_that_letter_case_alone_keeps_apart_are_one_name(place: Place) {
    let store = place.open().await;
    store.add_user(&user("7", "Alice"), &by(1)).await.unwrap();
    for name in ["alice", "ALICE", "Ａlice"] {
        let refused = store.add_user(&user("8", name), &by(1)).await.unwrap_err();
        assert_eq!(refused.to_string(), "the username, but for its letter case, is taken");
    }
    let twins = [user("8", "bob"), user("9", "Bob")];
    let imported = store.import_users(&twins, &by(1), |_| {}).await;
    assert!(matches!(imported, Err((Some(1), StoreFault::Taken { .. }))));
    store.add_user(&user("8", "bob"), &by(1)).await.unwrap();
    let renamed = |name: &str| UserChange { username: Some(name.into()), ..UserChange::default() };
    let refused = store.change_user("8", &renamed("aLICE"), &by(2)).await;
    assert!(matches!(refused, Err(StoreFault::Taken { .. })), "{refused:?}");
    // Its own name may be spelled otherwise, and what somebody gave up is free.
    store.change_user("7", &renamed("alice"), &by(2)).await.unwrap();
    store.change_user("7", &renamed("carol"), &by(3)).await.unwrap();
    store.change_user("8", &renamed("ALICE"), &by(4)).await.unwrap();
    store.remove_user("8", &by(5)).await.unwrap();
    store.add_user(&user("9", "alice"), &by(6)).await.unwrap();
    assert!(store.user_by_name("ALICE").await.unwrap().is_none(), "a login is by the exact name");
}

async fn twins_of_an_older_store_live_on(place: Place) {
    let store = place.open().await;
    store.add_user(&user("7", "alice"), &by(1)).await.unwrap();
    store.close().await;
    // As the version before would have left it.
    for statement in [
        "DROP TABLE portcullis_names",
        "DROP TABLE portcullis_staged_users",
        "ALTER TABLE portcullis_keys DROP COLUMN is_users",
        "DROP INDEX portcullis_audit_at",
        "UPDATE portcullis_state SET version = 1",
        "INSERT INTO portcullis_users (subject, username, roles, permissions, disabled, created, revision)
         VALUES ('8', 'Alice', '[]', '[]', 0, 2, 1)",
    ] {
        place.run(statement).await;
    }
    let store = place.open().await;
    for (name, subject) in [("alice", "7"), ("Alice", "8")] {
        assert_eq!(store.user_by_name(name).await.unwrap().unwrap().terms.subject, subject);
    }
    let refused = store.add_user(&user("9", "aLice"), &by(3)).await;
    assert!(matches!(refused, Err(StoreFault::Taken { .. })), "{refused:?}");
    let wanted = UserChange { disabled: Some(true), ..UserChange::default() };
    store.change_user("8", &wanted, &by(4)).await.unwrap();
    let renamed = UserChange { username: Some("bob".into()), ..UserChange::default() };
    store.change_user("8", &renamed, &by(5)).await.unwrap();
}

async fn an_import_is_all_or_nothing(place: Place) {
    let store = place.open().await;
    let mut users: Vec<UserTerms> =
        (0..50).map(|index| user(&format!("{index:02}"), &format!("user{index}"))).collect();
    users.push(user("99", "user7"));
    match store.import_users(&users, &by(1), |_| {}).await {
        Err((Some(50), StoreFault::Taken { .. })) => {}
        other => panic!("{other:?}"),
    }
    assert!(store.users_after("", 10).await.unwrap().is_empty());
    users.pop();
    let mut last = 0;
    store.import_users(&users, &by(1), |done| last = done).await.unwrap();
    assert_eq!(last, 50);
    let page = store.users_after("47", 10).await.unwrap();
    let subjects: Vec<_> = page.iter().map(|user| user.terms.subject.as_str()).collect();
    assert_eq!(subjects, ["48", "49"]);
}

async fn a_long_import_holds_nobody_up(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    store.add_user(&user("7", "alice"), &by(1)).await.unwrap();
    let users: Vec<UserTerms> =
        (0..1700).map(|index| user(&format!("u{index:04}"), &format!("user{index}"))).collect();
    let shut = UserChange { disabled: Some(true), ..UserChange::default() };
    let mut shut_out = 0;
    let author = by(1);
    let import = store.import_users(&users, &author, |done| {
        // Half-way, and on the thread of the import: it goes on when this is done.
        let meanwhile = async {
            other.change_user("7", &shut, &by(2)).await.unwrap();
            assert!(other.user("u0000").await.unwrap().is_none(), "all or nothing");
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(meanwhile));
        shut_out = done;
    });
    import.await.unwrap();
    assert_eq!(shut_out, 1700);
    assert!(store.user("u1699").await.unwrap().is_some());
    // A list one of whose users is there already is refused with its place, and leaves nothing.
    let mut twins = users[1200..1210].to_vec();
    twins.iter_mut().take(4).for_each(|user| {
        user.subject.push('x');
        user.username.push('x');
    });
    match store.import_users(&twins, &by(3), |_| {}).await {
        Err((Some(4), StoreFault::Taken { .. })) => {}
        other => panic!("{other:?}"),
    }
    assert!(store.user("u1200x").await.unwrap().is_none());
    let mut last = Vec::new();
    store.import_users(&[user("z", "user-z")], &by(4), |done| last.push(done)).await.unwrap();
    assert_eq!(last, [1]);
}

async fn no_key_speaks_as_a_user_by_its_id_alone(place: Place) {
    let store = place.open().await;
    store.add_user(&user("7", "alice"), &by(1)).await.unwrap();
    let alone = |id: &str, byte| KeyTerms { owner: None, ..key(id, byte) };
    let refused = store.add_key(&alone("7", 1), &by(1)).await.unwrap_err();
    assert!(refused.to_string().contains("name him as the owner"), "{refused}");
    store.add_key(&key("7", 1), &by(1)).await.unwrap();
    store.add_key(&alone("ci", 2), &by(1)).await.unwrap();
    let refused = store.add_user(&user("ci", "ci"), &by(1)).await;
    assert!(matches!(refused, Err(StoreFault::Taken { .. })), "{refused:?}");
    let list = [user("8", "bob"), user("ci", "ci")];
    let refused = store.import_users(&list, &by(1), |_| {}).await;
    assert!(matches!(refused, Err((Some(1), StoreFault::Taken { .. }))), "{refused:?}");
    assert!(store.user("8").await.unwrap().is_none());
    // Once the key is gone for good the name is free.
    store.revoke_key("ci", &by(2)).await.unwrap();
    store.add_user(&user("ci", "ci"), &by(3)).await.unwrap();
}

async fn a_key_knows_whether_its_owner_is_a_user(place: Place) {
    let store = place.open().await;
    store.add_user(&user("7", "alice"), &by(1)).await.unwrap();
    let owned = |id: &str, byte, owner: Option<&str>, is_users| KeyTerms {
        owner: owner.map(str::to_owned),
        is_users,
        ..key(id, byte)
    };
    for (byte, (owner, said, expected)) in [
        (Some("7"), false, true),
        (Some("of-the-file"), true, true),
        (Some("a-service"), false, false),
        (None, true, false),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("k{byte}");
        let wanted = owned(&id, byte as u8, owner, said);
        let added = store.add_key(&wanted, &by(1)).await.unwrap();
        let kept = store.key(&id).await.unwrap().unwrap();
        assert_eq!((added.terms.is_users, kept.terms.is_users), (expected, expected), "{owner:?}");
    }
}

async fn the_log_of_changes_says_what_is_so_from_then_on(place: Place) {
    let store = place.open().await;
    store.add_user(&user("7", "alice"), &by(1)).await.unwrap();
    store.add_key(&key("k", 1), &by(1)).await.unwrap();
    let wanted = UserChange {
        roles: Some(vec![Role::from("admin")]),
        password: Some(PasswordSet::To(Secret::new("$2b$04$hush"))),
        ..UserChange::default()
    };
    store.change_user("7", &wanted, &by(2)).await.unwrap();
    let wanted = KeyChange { plan: Some(None), disabled: Some(true), ..KeyChange::default() };
    store.change_key("k", &wanted, &by(3)).await.unwrap();
    let log = store.audit(i64::MAX, 10).await.unwrap();
    let told: Vec<_> =
        log.iter().map(|line| (line.at, line.action.as_str(), line.detail.as_str())).collect();
    assert_eq!(
        told,
        [
            (at(3), "key.set", r#"{"disabled":true,"plan":null}"#),
            (at(2), "user.set", r#"{"password":"set","roles":["admin"]}"#),
            (
                at(1),
                "key.create",
                r#"{"expires":"1970-01-01T01:23:20Z","name":"build","networks":["192.0.2.0/24"],"owner":"7","roles":["user"]}"#
            ),
            (
                at(1),
                "user.add",
                r#"{"password":"set","plan":"pro","roles":["user","a \"quoted\", role"],"username":"alice"}"#
            ),
        ]
    );
}

async fn the_log_of_changes_is_kept_for_a_year_and_its_last_line_for_ever(place: Place) {
    let store = place.open().await;
    let day = 86_400;
    for (index, days) in [0, 30, 31, 400].into_iter().enumerate() {
        let name = format!("user{index}");
        store.add_user(&user(&name, &name), &by(days * day)).await.unwrap();
    }
    let kept = async |days: i64| {
        store.forget(at(days * day)).await.unwrap();
        let log = store.audit(i64::MAX, 10).await.unwrap();
        log.into_iter().map(|line| line.revision).collect::<Vec<_>>()
    };
    assert_eq!(kept(366).await, [4, 3, 2, 1], "a year is never too long ago");
    assert_eq!(kept(430).await, [4, 3, 2]);
    let here = store.position().await.unwrap();
    assert_eq!(kept(4000).await, [4]);
    assert!(here == store.position().await.unwrap() && store.continues(&here).await.unwrap());
}

async fn a_key_is_rotated_and_revoked(place: Place) {
    let store = place.open().await;
    let added = store.add_key(&key("k", 1), &by(1)).await.unwrap();
    assert_eq!((added.terms.networks.len(), added.terms.expires), (1, Some(at(5000))));
    let refused = store.add_key(&key("k", 2), &by(1)).await;
    assert!(matches!(refused, Err(StoreFault::Taken { .. })), "{refused:?}");
    let rotated = store.rotate_key("k", &[2; 32], at(100), &by(2)).await.unwrap();
    let kept = store.key("k").await.unwrap().unwrap();
    assert_eq!((kept.terms.sha256, kept.previous), ([2; 32], rotated.previous));
    assert_eq!(kept.previous.unwrap().sha256, [1; 32]);
    store.note_uses(&[("k".into(), at(120))]).await.unwrap();
    store.revoke_key("k", &by(3)).await.unwrap();
    let again = store.revoke_key("k", &by(4)).await.unwrap();
    assert_eq!((again.revoked, again.last_used), (Some(at(3)), Some(at(120))));
    let change = KeyChange { disabled: Some(false), ..KeyChange::default() };
    for refused in [
        store.change_key("k", &change, &by(5)).await,
        store.rotate_key("k", &[3; 32], at(100), &by(5)).await,
    ] {
        assert!(matches!(refused, Err(StoreFault::Absent { .. })), "{refused:?}");
    }
    let marks = store.revocations_since(0).await.unwrap();
    assert_eq!((marks[0].kind, marks[0].name.as_str()), (RevocationKind::Key, "k"));
}

async fn a_hash_is_replaced_unless_the_password_changed(place: Place) {
    let store = place.open().await;
    store.add_user(&user("7", "alice"), &by(1)).await.unwrap();
    let (old, new, other) =
        (Secret::new("$2b$04$x"), Secret::new("$argon2id$new"), Secret::new("$2b$04$y"));
    let replaced = store.upgrade_password("7", &other, &new, &by(2)).await.unwrap();
    assert!(!replaced);
    assert!(store.upgrade_password("7", &old, &new, &by(2)).await.unwrap());
    let kept = store.user("7").await.unwrap().unwrap();
    assert_eq!(kept.terms.password.unwrap().expose(), new.expose());
    assert!(store.revocations_since(0).await.unwrap().is_empty(), "nobody is logged out by it");
}

async fn changes_come_in_the_order_of_their_numbers(place: Place) {
    let store = place.open().await;
    let other = place.open().await;
    let writers = [store.clone(), other].into_iter().enumerate().map(|(writer, store)| {
        tokio::spawn(async move {
            for index in 0..20 {
                let name = format!("w{writer}-{index}");
                store.add_user(&user(&name, &name), &by(1)).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    // A follower that asks while they write sees each change once, whatever it sees when.
    let (mut seen, mut place) = (Vec::new(), (0_i64, String::new()));
    while seen.len() < 40 {
        for changed in store.users_changed((place.0, &place.1), 3).await.unwrap() {
            place = (changed.revision, changed.terms.subject.clone());
            seen.push(changed.revision);
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen, (1..=40).collect::<Vec<i64>>());
}
