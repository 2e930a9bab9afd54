//! Passwords by HTTP Basic.

use super::*;

#[tokio::test]
async fn wrong_unknown_and_shut_out_are_told_the_same() {
    let mut answers = vec![];
    for (username, password) in [
        ("alice", "wrong"),
        ("nobody", "wonderland"),
        ("bob", "wonderland"),
        ("7", "wonderland"),
        ("Alice", "wonderland"),
    ] {
        answers.push(Bench::usual().basic(username, password).refusal().await.problem());
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(answers[0].code, "invalid_credentials");
}

#[tokio::test]
async fn a_password_may_hold_colons_and_letters_of_every_script() {
    let mut alice = user("7", "älice");
    alice.password = Some(Secret::new(bcrypt::hash("päss:wörd:", 4).unwrap()));
    let mut bench = Bench::usual().basic("älice", "päss:wörd:");
    bench.policy.accounts = Arc::new(Accounts::new(vec![alice], vec![]));
    assert_eq!(bench.who().await.unwrap(), "local 7");
}

#[tokio::test]
async fn what_browsers_send_by_themselves_counts_from_the_own_site_only() {
    let from = |verb: Verb, origin: &str| {
        let mut bench = Bench::usual().basic("alice", "wonderland").with("origin", origin);
        bench.verb = verb;
        bench
    };
    let evil = "https://evil.example";
    assert_eq!(from(Verb::POST, evil).refusal().await, Denial::CrossSite);
    assert_eq!(from(Verb::DELETE, evil).refusal().await, Denial::CrossSite);
    assert!(from(Verb::POST, "http://api.example.com").who().await.is_some());
    for verb in [Verb::GET, Verb::HEAD, Verb::OPTIONS] {
        assert!(from(verb, evil).who().await.is_some());
    }
    let mut handshake = from(Verb::GET, evil);
    handshake.websocket = true;
    assert_eq!(handshake.refusal().await, Denial::CrossSite);
    let mut opted_out = from(Verb::POST, evil);
    opted_out.cross_site = CrossSite::Allow;
    assert!(opted_out.who().await.is_some());
    let mut fetched =
        Bench::usual().basic("alice", "wonderland").with("sec-fetch-site", "cross-site");
    fetched.verb = Verb::POST;
    assert_eq!(fetched.refusal().await, Denial::CrossSite);
    // A token or a key is put there by a page on purpose.
    let mut bearer = Bench::usual().bearer(&signed(&claims())).with("origin", evil);
    bearer.verb = Verb::POST;
    assert!(bearer.who().await.is_some());
}

#[tokio::test]
async fn an_override_of_the_method_counts_as_the_method_where_another_site_asks() {
    let evil = || Bench::usual().basic("alice", "wonderland").with("sec-fetch-site", "cross-site");
    for query in
        ["_method=DELETE", "_method=delete", "a=b;%5fmethod=+PUT", "_method=GET&_method=PUT"]
    {
        assert_eq!(evil().asking(query).refusal().await, Denial::CrossSite, "{query}");
    }
    let by_header = evil().with("x-http-method-override", "DELETE");
    assert_eq!(by_header.refusal().await, Denial::CrossSite);
    for query in ["_method=GET", "_method=head", "method=DELETE"] {
        assert!(evil().asking(query).who().await.is_some(), "{query}");
    }
    let own = Bench::usual().basic("alice", "wonderland").with("sec-fetch-site", "same-origin");
    assert!(own.asking("_method=DELETE").who().await.is_some());
}
