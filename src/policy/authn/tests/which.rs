//! Which credential counts.

use super::*;

#[tokio::test]
async fn without_a_credential_nobody_came() {
    assert_eq!(Bench::usual().who().await, None);
    assert_eq!(
        Bench::usual().with("authorization", "Digest x").asking("other=1").who().await,
        None
    );
    assert_eq!(Bench::usual().with("authorization", "Bearertoken").who().await, None);
    assert_eq!(Bench::usual().with("authorization", "").who().await, None);
}

#[tokio::test]
async fn each_method_finds_its_credential() {
    let token = signed(&claims());
    assert_eq!(Bench::usual().bearer(&token).who().await.unwrap(), "corp alice");
    assert_eq!(Bench::usual().with("x-api-key", KEY).who().await.unwrap(), "local ci-robot");
    assert_eq!(Bench::usual().basic("alice", "wonderland").who().await.unwrap(), "local 7");
}

#[tokio::test]
async fn the_scheme_has_no_letter_case() {
    for line in ["bearer ", "BEARER ", "BeArEr   ", " Bearer\t"] {
        let line = format!("{line}{}", signed(&claims()));
        assert!(Bench::usual().with("authorization", &line).who().await.is_some(), "{line}");
    }
}

#[tokio::test]
async fn an_api_key_is_read_from_the_query_in_every_spelling_of_its_name() {
    for query in [
        "api_key=key-of-the-robot",
        "a=1&%61pi%5fkey=key%2Dof-the-robot&b",
        "&api_key=key-of-the-robot&",
    ] {
        assert!(Bench::usual().asking(query).who().await.is_some(), "{query}");
    }
    assert_eq!(Bench::usual().asking("API_KEY=key-of-the-robot").who().await, None);
}

#[tokio::test]
async fn the_first_listed_that_is_present_decides_even_where_another_would_pass() {
    let expired = signed(&changed("exp", json!(NOW - 31)));
    let bench = Bench::usual().bearer(&expired).with("x-api-key", KEY);
    assert_eq!(bench.fault().await, TokenFault::Expired);
    let bench = Bench::usual().bearer(&signed(&claims())).with("x-api-key", "wrong");
    assert_eq!(bench.who().await.unwrap(), "corp alice");
    let mut bench = Bench::usual().bearer(&expired).with("x-api-key", KEY);
    bench.methods.swap(0, 1);
    assert_eq!(bench.who().await.unwrap(), "local ci-robot");
}

#[tokio::test]
async fn a_credential_that_comes_twice_decides_nothing_whichever_method_would_have() {
    let token = signed(&claims());
    let twice = [
        (CredentialKind::Jwt, Bench::usual().bearer(&token).bearer(&token)),
        (CredentialKind::Jwt, Bench::usual().bearer(&token).bearer("")),
        (CredentialKind::ApiKey, Bench::usual().with("x-api-key", KEY).with("x-api-key", KEY)),
        (CredentialKind::ApiKey, Bench::usual().with("x-api-key", KEY).asking("api_key=x")),
        (CredentialKind::ApiKey, Bench::usual().asking("api_key=key-of-the-robot&%61pi_key=x")),
        (CredentialKind::ApiKey, Bench::usual().bearer(&token).asking("api_key&api_key")),
        (CredentialKind::Basic, Bench::usual().basic("alice", "wonderland").basic("bob", "x")),
    ];
    for (expected, bench) in twice {
        let denial = bench.refusal().await;
        assert_eq!(denial, Denial::AmbiguousCredentials { kind: expected });
        assert_eq!(denial.problem().status, StatusCode::BAD_REQUEST);
    }
    let two_kinds = Bench::usual().bearer(&token).basic("alice", "wrong");
    assert_eq!(two_kinds.who().await.unwrap(), "corp alice", "two schemes are two credentials");
}

#[tokio::test]
async fn an_empty_or_malformed_credential_is_an_invalid_one() {
    for value in ["", " ", "x", "a b", "a, Bearer b", "ä", "a.b.c"] {
        assert_eq!(Bench::usual().bearer(value).fault().await, TokenFault::Malformed, "{value}");
    }
    for bench in [
        Bench::usual().with("x-api-key", ""),
        Bench::usual().asking("api_key"),
        Bench::usual().asking("api_key=a%00b"),
    ] {
        let denial = bench.refusal().await;
        assert!(matches!(denial, Denial::InvalidApiKey { fault: ApiKeyFault::Malformed, .. }));
    }
    for value in ["Basic", "Basic ", "Basic !!", "Basic YWxpY2U=", "Basic YWxpY2U6d29uZGVybGFuZA"] {
        let denial = Bench::usual().with("authorization", value).refusal().await;
        assert!(matches!(denial, Denial::InvalidCredentials { .. }), "{value}");
    }
}

#[tokio::test]
async fn a_token_over_16_kib_is_refused() {
    let token = "a".repeat((16 << 10) + 1);
    assert_eq!(Bench::usual().bearer(&token).fault().await, TokenFault::TooLarge);
}
