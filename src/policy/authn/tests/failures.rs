//! What failures cost, and whom.

use super::*;

#[tokio::test]
async fn beyond_the_failure_limit_what_is_in_memory_is_still_checked_and_passwords_are_not() {
    let mut bench = Bench::usual().with("x-api-key", "guess");
    for _ in 0..5 {
        assert!(matches!(bench.run().await, Err(Denial::InvalidApiKey { .. })));
    }
    bench.headers.clear();
    let mut bench = bench.basic("alice", "wonderland");
    let before = bench.memory.passwords.checks();
    let denial = bench.run().await.unwrap_err();
    let Denial::RateLimited { retry_after, quota, .. } = denial else { panic!("{denial:?}") };
    assert!((1..=61).contains(&retry_after));
    assert_eq!(&*quota, "3 per 1 minute");
    assert_eq!(bench.memory.passwords.checks(), before, "nothing was hashed");
    bench.headers.clear();
    let mut bench = bench.bearer(&signed(&claims()));
    assert!(bench.run().await.is_ok());
    bench.headers.clear();
    let mut bench = bench.with("x-api-key", KEY);
    assert!(bench.run().await.is_ok());
    bench.headers.clear();
    bench.client = "192.0.2.2".parse().unwrap();
    assert!(
        bench.basic("alice", "wonderland").who().await.is_some(),
        "another client may fail still"
    );
}

#[tokio::test]
async fn a_credential_that_was_good_lately_is_heard_beyond_the_failure_limit_and_no_guess_is() {
    let mut bench = Bench::usual().basic("alice", "wonderland");
    assert!(bench.run().await.is_ok());
    bench.headers.clear();
    let mut bench = bench.with("x-api-key", "guess");
    for _ in 0..3 {
        assert!(bench.run().await.is_err());
    }
    bench.headers.clear();
    let mut bench = bench.basic("alice", "wonderland");
    bench.now = bench.now + Duration::from_secs(30);
    assert!(bench.run().await.is_ok());
    bench.headers.clear();
    let mut bench = bench.basic("alice", "Wonderland");
    assert!(matches!(bench.run().await, Err(Denial::RateLimited { .. })));
}

#[tokio::test]
async fn a_password_that_the_failure_limit_leaves_unread_takes_no_place_among_the_logins() {
    let mut bench = Bench::usual().with("x-api-key", "guess");
    for _ in 0..3 {
        assert!(bench.run().await.is_err());
    }
    bench.headers.clear();
    let mut bench = bench.basic("alice", "wonderland");
    for _ in 0..9 {
        assert!(matches!(bench.run().await, Err(Denial::RateLimited { .. })));
    }
    bench.policy.failure_limit = None;
    assert!(bench.run().await.is_ok(), "nine that were not looked at");
}

#[tokio::test]
async fn what_an_honest_client_may_send_is_no_failure() {
    let old = signed(&changed("exp", json!(NOW - 3600)));
    let elsewhere = signed(&changed("aud", json!("elsewhere")));
    let unknown_algorithm = signed_text(r#"{"alg":"ES256"}"#, &claims().to_string(), SECRET);
    let mut bench = Bench::usual();
    for token in [&old, &elsewhere, &unknown_algorithm, &old, &elsewhere] {
        bench.headers.clear();
        bench = bench.bearer(token);
        assert!(bench.run().await.is_err());
    }
    bench.headers.clear();
    assert!(bench.basic("alice", "wonderland").who().await.is_some());
}

#[tokio::test]
async fn bad_signatures_and_wrong_passwords_are_failures() {
    let mut bench = Bench::usual().bearer(&signed_text(
        r#"{"alg":"HS256"}"#,
        &claims().to_string(),
        OTHER_SECRET,
    ));
    for _ in 0..2 {
        assert!(bench.run().await.is_err());
    }
    bench.headers.clear();
    let mut bench = bench.basic("nobody", "x");
    assert!(matches!(bench.run().await, Err(Denial::InvalidCredentials { .. })));
    assert!(matches!(bench.run().await, Err(Denial::RateLimited { .. })));
}

#[tokio::test]
async fn logins_are_limited_by_name_in_every_spelling_and_a_success_takes_no_place() {
    let mut bench = Bench::usual();
    bench.policy.failure_limit = None;
    for round in 0..8 {
        bench.headers.clear();
        bench = bench.basic("alice", "wonderland");
        bench.client = format!("192.0.2.{round}").parse().unwrap();
        assert!(bench.run().await.is_ok());
    }
    bench.client = "198.51.100.1".parse().unwrap();
    for name in ["carol", "Carol", "CAROL", "ｃａｒｏｌ", "carol"] {
        bench.headers.clear();
        bench = bench.basic(name, "x");
        assert!(matches!(bench.run().await, Err(Denial::InvalidCredentials { .. })), "{name}");
    }
    assert!(matches!(bench.run().await, Err(Denial::RateLimited { .. })));
    bench.headers.clear();
    assert!(bench.basic("alice", "wonderland").who().await.is_some(), "another name from there");
}

#[tokio::test]
async fn one_username_is_guessed_at_no_more_than_ten_times_the_limit_from_everywhere() {
    let mut bench = Bench::usual().basic("carol", "x");
    bench.policy.failure_limit = None;
    let mut tried = 0;
    for host in 0..60 {
        bench.client = format!("10.0.0.{host}").parse().unwrap();
        if matches!(bench.run().await, Err(Denial::InvalidCredentials { .. })) {
            tried += 1;
        }
    }
    assert_eq!(tried, 50);
}

#[tokio::test]
async fn two_users_at_once_never_get_each_others_answer() {
    let mut carol = user("9", "carol");
    carol.password = Some(Secret::new(bcrypt::hash("looking-glass", 5).unwrap()));
    let accounts = Arc::new(Accounts::new(vec![user("7", "alice"), carol], vec![]));
    let memory = Arc::new(Memory::new(10_000));
    let mut policy = Bench::usual().policy;
    policy.accounts = accounts;
    policy.failure_limit = None;
    policy.login_limit = None;
    let policy = Arc::new(policy);
    let mut tasks = tokio::task::JoinSet::new();
    for round in 0..40 {
        let (policy, memory) = (Arc::clone(&policy), Arc::clone(&memory));
        tasks.spawn(async move {
            let (name, password, right) = match round % 4 {
                0 => ("alice", "wonderland", Some("7")),
                1 => ("carol", "looking-glass", Some("9")),
                2 => ("alice", "looking-glass", None),
                _ => ("carol", "wonderland", None),
            };
            let attempt = crate::policy::sources::PasswordAttempt {
                occasion: crate::policy::sources::Occasion::Request,
                username: name,
                password: password.as_bytes(),
                client: "192.0.2.1".parse().unwrap(),
                now: Timestamp::from_seconds(NOW),
            };
            // No room now is no answer; the next try is one.
            loop {
                match Live::new(&policy, &memory).password(&attempt).await {
                    crate::policy::sources::PasswordCheck::Right(user) => {
                        return assert_eq!(Some(&*user.subject), right);
                    }
                    crate::policy::sources::PasswordCheck::Wrong => return assert_eq!(right, None),
                    crate::policy::sources::PasswordCheck::Unavailable(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    tasks.join_all().await;
}
