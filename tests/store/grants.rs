//! Refresh tokens and revocations.

use std::{sync::Arc, time::Duration};

use portcullis::{
    model::{Secret, Timestamp},
    store::{
        Author, Entry, MOST_FAMILIES, NewFamily, PasswordSet, Revocation, RevocationKind, Use,
        UserChange, UserTerms,
    },
};

use crate::{on_both, place::Place};

on_both! {
    of_many_uses_of_one_token_one_is_the_first
    a_use_at_the_same_moment_has_lost_and_a_later_one_is_another
    the_oldest_logins_of_a_subject_give_way
    a_family_that_ended_grants_nothing
    an_expired_family_grants_nothing_and_is_forgotten
    a_changed_password_ends_the_families
    a_password_that_changed_meanwhile_opens_no_family
    of_a_login_and_a_change_at_once_nothing_outlives_the_change
    a_clock_that_is_behind_takes_no_mark_back
    what_was_taken_back_is_heard_of_once
}

fn by(seconds: i64) -> Author<'static> {
    Author { who: "test", origin: "test", at: Timestamp::from_seconds(seconds) }
}

const ENTRY: Entry<'static> = Entry { action: "family.end", target: "f", detail: "" };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn family(first: &[u8; 32]) -> NewFamily<'_> {
    NewFamily {
        id: "f",
        subject: "7",
        scope: Some("read:items"),
        expires: at(1000),
        password: None,
        first,
    }
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
                (_, Use::Late(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(first.len(), usize::from(round == 0), "one winner, once");
    }
}

async fn a_use_at_the_same_moment_has_lost_and_a_later_one_is_another(place: Place) {
    let store = place.open().await;
    store.open_family(&family(&[1; 32]), at(1)).await.unwrap();
    let Use::First(opened) = store.use_refresh_token(&[1; 32], &[2; 32], at(500)).await.unwrap()
    else {
        panic!("the first use")
    };
    // The clock of another gateway may be behind, and a use may wait for its turn.
    for (seconds, is_late) in [(480, false), (495, true), (500, true), (501, true), (600, false)] {
        let again = [
            store.use_refresh_token(&[1; 32], &[3; 32], at(seconds)).await.unwrap(),
            store.look_at_refresh_token(&[1; 32], at(seconds)).await.unwrap(),
        ];
        for again in again {
            match again {
                Use::Late(family) => assert!(is_late && family == opened, "{seconds}"),
                Use::Reused { family, used } => {
                    // The store may have been slow to answer.
                    assert!(!is_late && family == opened && used >= at(500), "{seconds}");
                }
                other => panic!("{seconds}: {other:?}"),
            }
        }
    }
    assert_eq!(store.family_of(&[3; 32]).await.unwrap(), None, "whoever lost is given nothing");
    let next = store.use_refresh_token(&[2; 32], &[4; 32], at(501)).await.unwrap();
    assert_eq!(next, Use::First(opened), "the winner's is good");
}

async fn the_oldest_logins_of_a_subject_give_way(place: Place) {
    let store = place.open().await;
    let first = |index: u16| {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&index.to_le_bytes());
        digest
    };
    let opens = async |index: u16, subject: &str, seconds| {
        let (id, digest) = (format!("{subject}-{index:03}"), first(index));
        let family = NewFamily { id: &id, subject, ..family(&digest) };
        assert!(store.open_family(&family, at(seconds)).await.unwrap());
    };
    let is_there = async |index: u16| store.family_of(&first(index)).await.unwrap().is_some();
    let most = u16::try_from(MOST_FAMILIES).unwrap();
    opens(999, "other", 1).await;
    for index in 0..most {
        opens(index, "7", 10 + i64::from(index)).await;
    }
    let ended = store.family_of(&first(50)).await.unwrap().unwrap();
    store.end_family(&ended, &ENTRY, &by(300)).await.unwrap();
    opens(most, "7", 301).await;
    assert_eq!((is_there(50).await, is_there(0).await), (false, true), "first what has ended");
    opens(most + 1, "7", 302).await;
    assert_eq!((is_there(0).await, is_there(1).await), (false, true), "then the oldest");
    let gone = store.use_refresh_token(&first(0), &[99; 32], at(303)).await.unwrap();
    assert_eq!(gone, Use::Unknown);
    assert!(is_there(most + 1).await && is_there(999).await, "nobody else's");
}

async fn a_family_that_ended_grants_nothing(place: Place) {
    let store = place.open().await;
    store.open_family(&family(&[1; 32]), at(1)).await.unwrap();
    let Use::First(opened) = store.use_refresh_token(&[1; 32], &[2; 32], at(2)).await.unwrap()
    else {
        panic!("the first use")
    };
    assert_eq!(store.family_of(&[1; 32]).await.unwrap(), Some(opened.clone()));
    // To look uses nothing up.
    for _ in 0..2 {
        let looked = async |token: &[u8; 32]| store.look_at_refresh_token(token, at(2)).await;
        assert_eq!(looked(&[2; 32]).await.unwrap(), Use::First(opened.clone()));
        assert_eq!(looked(&[1; 32]).await.unwrap(), Use::Late(opened.clone()));
        assert_eq!(looked(&[9; 32]).await.unwrap(), Use::Unknown);
    }
    let expired = store.look_at_refresh_token(&[2; 32], at(1000)).await.unwrap();
    assert!(matches!(expired, Use::Over(_)), "{expired:?}");
    store.end_family(&opened, &ENTRY, &by(3)).await.unwrap();
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
    let user = UserTerms {
        subject: "7".into(),
        username: "alice".into(),
        password: None,
        roles: vec![],
        permissions: vec![],
        plan: None,
        disabled: false,
    };
    store.add_user(&user, &by(1)).await.unwrap();
    store.open_family(&family(&[1; 32]), at(1)).await.unwrap();
    let change = UserChange {
        password: Some(PasswordSet::To(Secret::new("$2b$…"))),
        ..UserChange::default()
    };
    store.change_user("7", &change, &by(5)).await.unwrap();
    let used = store.use_refresh_token(&[1; 32], &[2; 32], at(6)).await.unwrap();
    assert!(matches!(used, Use::Over(_)), "{used:?}");
    let marks = store.revocations_since(0).await.unwrap();
    assert_eq!((marks[0].kind, marks[0].at), (RevocationKind::Subject, at(5)));
}

fn alice(subject: &str, hash: &Secret) -> UserTerms {
    UserTerms {
        subject: subject.into(),
        username: format!("alice{subject}"),
        password: Some(hash.clone()),
        roles: vec![],
        permissions: vec![],
        plan: None,
        disabled: false,
    }
}

fn password(hash: &Secret) -> UserChange {
    UserChange { password: Some(PasswordSet::To(hash.clone())), ..UserChange::default() }
}

fn disabled(disabled: bool) -> UserChange {
    UserChange { disabled: Some(disabled), ..UserChange::default() }
}

async fn a_password_that_changed_meanwhile_opens_no_family(place: Place) {
    let store = place.open().await;
    let (old, new) = (Secret::new("$2b$04$old"), Secret::new("$2b$04$new"));
    store.add_user(&alice("7", &old), &by(1)).await.unwrap();
    let opens = async |id: &str, hash: &Secret, first: u8| {
        let first = [first; 32];
        let family = NewFamily { id, password: Some(hash), ..family(&first) };
        let opened = store.open_family(&family, at(9)).await.unwrap();
        assert_eq!(store.family_of(&first).await.unwrap().is_some(), opened);
        opened
    };
    assert!(opens("a", &old, 1).await);
    store.change_user("7", &password(&new), &by(5)).await.unwrap();
    assert!(!opens("b", &old, 2).await, "the old password");
    assert!(opens("c", &new, 3).await);
    store.change_user("7", &disabled(true), &by(5)).await.unwrap();
    assert!(!opens("d", &new, 4).await, "he is shut out");
    store.change_user("7", &disabled(false), &by(5)).await.unwrap();
    assert!(opens("e", &new, 5).await);
    store.remove_user("7", &by(5)).await.unwrap();
    assert!(!opens("f", &new, 6).await, "he is gone");
}

async fn of_a_login_and_a_change_at_once_nothing_outlives_the_change(place: Place) {
    let (store, other) = (Arc::new(place.open().await), Arc::new(place.open().await));
    let (old, new) = (Secret::new("$2b$04$old"), Secret::new("$2b$04$new"));
    for round in 0..20_u8 {
        let subject = format!("u{round}");
        store.add_user(&alice(&subject, &old), &by(1)).await.unwrap();
        let logins = (0..3_u8).map(|index| {
            let (store, subject, old) = (Arc::clone(&store), subject.clone(), old.clone());
            tokio::spawn(async move {
                let (id, first) = (format!("{subject}-{index}"), [round * 4 + index; 32]);
                let (id, subject) = (id.as_str(), subject.as_str());
                let family = NewFamily { id, subject, password: Some(&old), ..family(&first) };
                store.open_family(&family, at(9)).await.unwrap();
                first
            })
        });
        let logins: Vec<_> = logins.collect();
        other.change_user(&subject, &password(&new), &by(5)).await.unwrap();
        for login in logins {
            let first = login.await.unwrap();
            let kept = store.family_of(&first).await.unwrap();
            assert!(kept.is_none_or(|family| family.ended.is_some()), "round {round}");
        }
    }
}

async fn a_clock_that_is_behind_takes_no_mark_back(place: Place) {
    let store = place.open().await;
    store.add_user(&alice("7", &Secret::new("$2b$04$x")), &by(1)).await.unwrap();
    for seconds in [500, 20] {
        store.change_user("7", &disabled(true), &by(seconds)).await.unwrap();
    }
    let latest = store.position().await.unwrap().revision;
    let marks = store.revocations_since(0).await.unwrap();
    assert_eq!((marks.len(), marks[0].at, marks[0].revision), (1, at(500), latest));
}

async fn what_was_taken_back_is_heard_of_once(place: Place) {
    let store = place.open().await;
    let revocation = Revocation {
        kind: RevocationKind::Token,
        name: "jti".into(),
        at: at(5),
        until: at(5) + Duration::from_secs(60),
        revision: 0,
    };
    let before = store.position().await.unwrap().revision;
    store.revoke(&revocation, &ENTRY, &by(5)).await.unwrap();
    store.revoke(&revocation, &ENTRY, &by(5)).await.unwrap();
    let after = store.position().await.unwrap().revision;
    assert_eq!(after, before + 2);
    let heard = Revocation { revision: after, ..revocation };
    assert_eq!(store.revocations_since(before).await.unwrap(), [heard]);
    assert_eq!(store.revocations_since(after).await.unwrap(), []);
}
