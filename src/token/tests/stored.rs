//! Users of the store at the token endpoint: what a failure costs tells nothing of them.

use std::collections::BTreeMap;

use super::{refreshing::Refreshing, *};
use crate::{
    policy::password::HashKind,
    store::{Author, UserTerms},
};

fn by(seconds: i64) -> Author<'static> {
    Author { who: "test", origin: "test", at: Timestamp::from_seconds(seconds) }
}

async fn add(world: &Refreshing, username: &str, hash: Option<String>, disabled: bool) {
    let user = UserTerms {
        subject: format!("stored-{username}"),
        username: username.into(),
        password: hash.map(Secret::new),
        roles: vec![],
        permissions: vec![],
        plan: None,
        disabled,
    };
    world.records.add_user(&user, &by(NOW)).await.unwrap();
}

/// What a login answers, and how many hashes of each kind were computed for it.
async fn cost(
    world: &Refreshing,
    username: &str,
    password: &str,
) -> (u16, Value, BTreeMap<HashKind, u64>) {
    let before = world.desk.memory.passwords.checks();
    let form = format!("grant_type=password&username={username}&password={password}");
    let (status, body) = world.ask(&form, 0).await;
    let mut after = world.desk.memory.passwords.checks();
    for (kind, count) in before {
        *after.entry(kind).or_default() -= count;
    }
    (status, body, after)
}

#[tokio::test]
async fn a_failed_login_costs_the_same_hashes_wherever_the_user_is_kept_and_if_there_is_one() {
    let world = Refreshing::new(true).await;
    let bcrypt = |cost| Some(bcrypt::hash("explorer", cost).unwrap());
    let pbkdf2 = "pbkdf2_sha256$1000$aSalt$4dwICtrB6HEk1whXr1DjeSsTwihc319KNwycRaaZBbc=";
    add(&world, "dora", bcrypt(5), false).await;
    add(&world, "diego", Some(pbkdf2.to_owned()), false).await;
    add(&world, "swiper", bcrypt(5), true).await;
    add(&world, "boots", None, false).await;
    let (_, told, once) = cost(&world, "nobody", "x").await;
    assert_eq!(once.values().copied().collect::<Vec<_>>(), [1, 1, 1], "one of each kind in use");
    // alice and bob, who is disabled, are of the file.
    for name in ["dora", "diego", "swiper", "boots", "alice", "bob", "stored-dora"] {
        let (status, body, hashes) = cost(&world, name, "x").await;
        assert_eq!((status, &hashes), (401, &once), "{name}");
        assert_eq!((&body["detail"], &body["error"]), (&told["detail"], &told["error"]), "{name}");
    }
    let (status, body, hashes) = cost(&world, "swiper", "explorer").await;
    assert_eq!((status, &body["detail"], &hashes), (401, &told["detail"], &once), "shut out");
    assert_eq!(cost(&world, "dora", "explorer").await.0, 200);
}
