use std::time::Instant;

use super::*;
use crate::policy::password::Argon2;

const BCRYPT: HashKind = HashKind::Bcrypt { cost: 4 };
const ARGON2: HashKind = HashKind::Argon2id(Argon2 { memory: 8, passes: 1, lanes: 1, length: 32 });

fn user(password: Option<&str>) -> User {
    User {
        subject: "7".into(),
        username: "alice".into(),
        password: password.map(Secret::new),
        roles: [].into(),
        permissions: [].into(),
        plan: None,
        disabled: false,
    }
}

fn bcrypt_of(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn argon2_of(password: &str) -> String {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    let params = Params::new(8, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(password.as_bytes()).unwrap().to_string()
}

fn passwords() -> Passwords {
    Passwords::new(2, Duration::from_secs(60))
}

/// The answer, and how many hashes of each kind were computed for it.
async fn checked(
    user: Option<&User>,
    password: &[u8],
    kinds: &[HashKind],
) -> (bool, Vec<(HashKind, u64)>) {
    let passwords = passwords();
    let right = passwords.check(user, password, kinds).await.unwrap();
    (right, passwords.checks().into_iter().collect())
}

#[tokio::test]
async fn the_right_password_is_right_with_every_kind_of_hash() {
    let bcrypt = bcrypt_of("wonderland");
    for hash in [
        argon2_of("wonderland"),
        bcrypt.replace("$2b$", "$2a$"),
        bcrypt.replace("$2b$", "$2y$"),
        bcrypt,
    ] {
        let user = user(Some(&hash));
        assert!(checked(Some(&user), b"wonderland", &[BCRYPT]).await.0, "{hash}");
        assert!(!checked(Some(&user), b"Wonderland", &[BCRYPT]).await.0, "{hash}");
        assert!(!checked(Some(&user), b"", &[BCRYPT]).await.0, "{hash}");
    }
}

#[tokio::test]
async fn a_hash_that_another_implementation_made_is_checked() {
    // Made with the `bcrypt` and `argon2-cffi` packages of PyPI, and with Python's hashlib, for "pässword 1".
    for hash in PYTHON {
        let user = user(Some(hash));
        assert!(checked(Some(&user), "pässword 1".as_bytes(), &[]).await.0, "{hash}");
        assert!(!checked(Some(&user), "pässword 2".as_bytes(), &[]).await.0, "{hash}");
    }
}

const PYTHON: [&str; 7] = [
    "$2b$05$3lcG1UJXxbHZyJZQ2Ta66u.bx58Y9M6azs8OSHLIcIPD6zUuu4/Gq",
    "$2a$05$/fSgfjT66IFw/19YWRQ08Oq8F6BB4/ktBtwH0ePJ33egGR/k97DfK",
    "$argon2id$v=19$m=64,t=1,p=2$hGfDkyW146URi6ca2HNCPQ$XT2g/5u7OhF05DeqNEYCCQ6+AeFCT13B5y8P+KphBXA",
    "$argon2id$v=19$m=32,t=2,p=1$5F5ng53VHQ4$1U+rqlxNaYPSKgqHe5BOzA",
    "pbkdf2_sha256$1000$aSalt$4dwICtrB6HEk1whXr1DjeSsTwihc319KNwycRaaZBbc=",
    "scrypt$aSalt$16$8$2$PU6GloIECQ/E3rrrFCR0gVJG4HLRamEL2mo8WE/BmoZGwo4q3SvF0EQ6vXPZ42rGdWSu8eDsYD+5Fj69C68NWg==",
    "$scrypt$ln=5,r=8,p=1$YVNhbHQ$WTwNUmBh1/V0KfltbdaI3IYxSaEZuRofCQYgC7J/ruE",
];

#[tokio::test]
async fn unknown_shut_out_and_wrong_cost_exactly_one_check_with_the_same_parameters() {
    for (hash, kind) in [(bcrypt_of("x"), BCRYPT), (argon2_of("x"), ARGON2)] {
        let sound = user(Some(&hash));
        let shut_out = User { disabled: true, ..sound.clone() };
        let without = user(None);
        let nobody: [(Option<&User>, &[u8]); 6] = [
            (None, b"x"),
            (Some(&shut_out), b"x"),
            (Some(&shut_out), b"y"),
            (Some(&without), b"x"),
            (Some(&sound), b"y"),
            (Some(&sound), &[b'y'; 73]),
        ];
        for (user, password) in nobody {
            assert_eq!(checked(user, password, &[kind]).await, (false, vec![(kind, 1)]));
        }
        assert_eq!(checked(Some(&sound), b"x", &[kind]).await, (true, vec![(kind, 1)]));
    }
}

#[tokio::test]
async fn with_several_kinds_in_use_every_failure_costs_one_check_of_each() {
    let foreign = |index: usize| HashKind::of(&Secret::new(PYTHON[index])).unwrap();
    let kinds = [BCRYPT, ARGON2, foreign(4), foreign(5)];
    let one_each = vec![(ARGON2, 1), (BCRYPT, 1), (foreign(4), 1), (foreign(5), 1)];
    let (bcrypt, argon2) = (user(Some(&bcrypt_of("x"))), user(Some(&argon2_of("x"))));
    let (pbkdf2, scrypt) = (user(Some(PYTHON[4])), user(Some(PYTHON[5])));
    for user in [None, Some(&bcrypt), Some(&argon2), Some(&pbkdf2), Some(&scrypt)] {
        assert_eq!(checked(user, b"y", &kinds).await, (false, one_each.clone()));
    }
    assert_eq!(checked(Some(&argon2), b"x", &kinds).await, (true, vec![(ARGON2, 1)]));
}

#[tokio::test]
async fn bcrypt_takes_72_bytes_and_refuses_what_it_would_cut_off() {
    let long = "a".repeat(80);
    let user = user(Some(&bcrypt_of(&long)));
    assert!(checked(Some(&user), &[b'a'; 72], &[BCRYPT]).await.0);
    assert!(!checked(Some(&user), &[b'a'; 73], &[BCRYPT]).await.0);
    assert!(!checked(Some(&user), long.as_bytes(), &[BCRYPT]).await.0, "its own password, cut off");
    let twin = format!("{}b", "a".repeat(79));
    assert!(!checked(Some(&user), twin.as_bytes(), &[BCRYPT]).await.0);
    assert!(!checked(Some(&user), b"a\0b", &[BCRYPT]).await.0);
}

#[tokio::test]
async fn argon2id_takes_1024_bytes_and_a_longer_password_is_not_hashed() {
    let longest = "a".repeat(LONGEST_PASSWORD);
    let user = user(Some(&argon2_of(&longest)));
    assert!(checked(Some(&user), longest.as_bytes(), &[ARGON2]).await.0);
    let longer = "a".repeat(LONGEST_PASSWORD + 1);
    assert_eq!(checked(Some(&user), longer.as_bytes(), &[ARGON2]).await, (false, vec![]));
    assert_eq!(checked(None, longer.as_bytes(), &[ARGON2]).await, (false, vec![]));
}

#[tokio::test]
async fn a_damaged_hash_matches_nothing_and_panics_nowhere() {
    for hash in [
        "",
        "$2b$04$",
        "$2b$04$ééééééééééééééééééééééééé12",
        "$argon2id$v=19$m=8,t=1,p=1$$",
        "plain",
    ] {
        let user = user(Some(hash));
        let (right, checks) = checked(Some(&user), b"plain", &[BCRYPT]).await;
        assert!(!right, "{hash}");
        assert!(checks.contains(&(BCRYPT, 1)), "{hash}");
    }
}

#[tokio::test]
async fn whoever_finds_no_room_is_told_so_and_room_comes_back_when_the_work_ends() {
    let passwords = Arc::new(Passwords::new(1, Duration::ZERO));
    let user = user(Some(&bcrypt::hash("x", 10).unwrap()));
    // The client goes away while its password is being hashed.
    let check = passwords.check(Some(&user), b"x", &[]);
    assert!(timeout(Duration::from_millis(1), check).await.is_err());
    assert_eq!(passwords.room.available_permits(), 0, "the work holds its place");
    let refused = passwords.check(Some(&user), b"x", &[]).await;
    assert!(refused.is_err());
    let patient = Instant::now();
    while passwords.room.available_permits() == 0 {
        assert!(patient.elapsed() < Duration::from_secs(30));
        tokio::task::yield_now().await;
    }
    assert_eq!(passwords.check(Some(&user), b"x", &[]).await, Ok(true));
}

#[test]
fn what_is_remembered_is_of_one_address_one_user_one_hash_and_one_password() {
    let passwords = passwords();
    let at = Timestamp::from_seconds;
    let home = "192.0.2.1".parse().unwrap();
    let alice = user(Some(&bcrypt_of("x")));
    let claim = |client, user, password| passwords.claim(client, Some(user), password).unwrap();
    let right = claim(home, &alice, b"x");
    assert!(!passwords.knows(&right, at(0)));
    passwords.remember(right, at(0));
    assert!(passwords.knows(&claim("::ffff:192.0.2.1".parse().unwrap(), &alice, b"x"), at(599)));
    assert!(!passwords.knows(&right, at(600)));
    let renamed = User { subject: "7x".into(), ..alice.clone() };
    let changed = User { password: Some(Secret::new(bcrypt_of("x"))), ..alice.clone() };
    for other in [
        claim("192.0.2.2".parse().unwrap(), &alice, b"x"),
        claim(home, &renamed, b"x"),
        claim(home, &changed, b"x"),
        claim(home, &alice, b"y"),
    ] {
        assert!(!passwords.knows(&other, at(0)));
    }
    assert!(passwords.claim(home, None, b"x").is_none());
    assert!(passwords.claim(home, Some(&user(None)), b"x").is_none());
}
