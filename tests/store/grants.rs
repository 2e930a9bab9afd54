//! Refresh tokens and revocations.

use std::{sync::Arc, time::Duration};

use portcullis::{
    model::{Secret, Timestamp},
    store::{
        Author, Entry, NewFamily, NewUser, PasswordSet, Revocation, RevocationKind, Use, UserChange,
    },
};

use crate::{on_both, place::Place};

on_both! {
    of_many_uses_of_one_token_one_is_the_first
    a_family_that_ended_grants_nothing
    an_expired_family_grants_nothing_and_is_forgotten
    a_changed_password_ends_the_families
    what_was_taken_back_is_heard_of_once
}

const BY_TEST: Author<'static> = Author { who: "test", origin: "test" };
const ENTRY: Entry<'static> = Entry { action: "family.end", target: "f", detail: "" };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn family(first: &[u8; 32]) -> NewFamily<'_> {
    NewFamily { id: "f", subject: "7", scope: Some("read:items"), expires: at(1000), first }
}

async fn of_many_uses_of_one_token_one_is_the_first(place: Place) {
    let (store, other) = (Arc::new(place.open().await), Arc::new(place.open().await));
    store.open_family(&family(&[0; 32]), at(1)).await.unwrap();
    for round in 0..5_u8 {
        let uses = (0..8_u8).map(|index| {
            let store = if index % 2 == 0 { store.clone() } else { other.clone() };
            tokio::spawn(async move {
                let next = [round * 8 + index + 1; 32];
                let used = store.use_refresh_token(&[0; 32], &next, at(2)).await.unwrap();
                (next, used)
            })
        });
        let mut first = Vec::new();
        for used in uses.collect::<Vec<_>>() {
            match used.await.unwrap() {
                (next, Use::First(family)) => {
                    assert_eq!((family.subject.as_str(), family.issued), ("7", at(1)));
                    first.push(next);
                }
                (_, Use::Reused { used, .. }) => assert_eq!(used, at(2)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(first.len(), usize::from(round == 0), "one winner, once");
    }
}

async fn a_family_that_ended_grants_nothing(place: Place) {
    let store = place.open().await;
    store.open_family(&family(&[1; 32]), at(1)).await.unwrap();
    let Use::First(opened) = store.use_refresh_token(&[1; 32], &[2; 32], at(2)).await.unwrap()
    else {
        panic!("the first use")
    };
    assert_eq!(store.family_of(&[1; 32]).await.unwrap(), Some(opened.clone()));
    store.end_family(&opened, &BY_TEST, &ENTRY, at(3)).await.unwrap();
    for token in [[1; 32], [2; 32]] {
        let used = store.use_refresh_token(&token, &[3; 32], at(4)).await.unwrap();
        assert!(matches!(used, Use::Over(_)), "{used:?}");
    }
    assert_eq!(store.use_refresh_token(&[9; 32], &[3; 32], at(4)).await.unwrap(), Use::Unknown);
    assert_eq!(store.family_of(&[3; 32]).await.unwrap(), None, "no token was added");
    let heard = store.revocations_since(0).await.unwrap();
    assert_eq!((heard[0].kind, heard[0].name.as_str()), (RevocationKind::Family, "f"));
}

async fn an_expired_family_grants_nothing_and_is_forgotten(place: Place) {
    let store = place.open().await;
    store.open_family(&family(&[1; 32]), at(1)).await.unwrap();
    let used = store.use_refresh_token(&[1; 32], &[2; 32], at(1000)).await.unwrap();
    assert!(matches!(used, Use::Over(_)), "{used:?}");
    store.forget(at(1001)).await.unwrap();
    assert_eq!(store.family_of(&[1; 32]).await.unwrap(), None);
}

async fn a_changed_password_ends_the_families(place: Place) {
    let store = place.open().await;
    let user = NewUser {
        subject: "7".into(),
        username: "alice".into(),
        password: None,
        roles: vec![],
        permissions: vec![],
        plan: None,
        disabled: false,
    };
    store.add_user(&user, &BY_TEST, at(1)).await.unwrap();
    store.open_family(&family(&[1; 32]), at(1)).await.unwrap();
    let change = UserChange {
        password: Some(PasswordSet::To(Secret::new("$2b$…"))),
        ..UserChange::default()
    };
    store.change_user("7", &change, &BY_TEST, &ENTRY, at(5)).await.unwrap();
    let used = store.use_refresh_token(&[1; 32], &[2; 32], at(6)).await.unwrap();
    assert!(matches!(used, Use::Over(_)), "{used:?}");
    let marks = store.revocations_since(0).await.unwrap();
    assert_eq!((marks[0].kind, marks[0].at), (RevocationKind::Subject, at(5)));
}

async fn what_was_taken_back_is_heard_of_once(place: Place) {
    let store = place.open().await;
    let revocation = Revocation {
        kind: RevocationKind::Token,
        name: "jti".into(),
        at: at(5),
        until: at(5) + Duration::from_secs(60),
    };
    let before = store.position().await.unwrap().revision;
    store.revoke(&revocation, &BY_TEST, &ENTRY, at(5)).await.unwrap();
    store.revoke(&revocation, &BY_TEST, &ENTRY, at(5)).await.unwrap();
    let after = store.position().await.unwrap().revision;
    assert_eq!(after, before + 2);
    assert_eq!(store.revocations_since(before).await.unwrap(), [revocation]);
    assert_eq!(store.revocations_since(after).await.unwrap(), []);
}
