//! Which credential counts, what a refusal says, and that a refused request reaches nobody.

use base64::Engine;
use serde_json::json;

use crate::harness::{Gateway, Recorder};
use crate::people::{BOB, CORP_SECRET, KEY, PEOPLE, corp_claims, corp_token, hs256, now, signed};

const ROUTES: &str = "
upstreams: { app: '@APP@' }
routes:
  - { name: either, match: { path: /either }, upstream: app, auth: [jwt, api_key] }
  - { name: token, match: { path: /token }, upstream: app, auth: [jwt] }
  - { name: key, match: { path: /key }, upstream: app, auth: [api_key] }
  - { name: password, match: { path: /password }, upstream: app, auth: [basic] }
  - { name: kept, match: { path: /kept }, upstream: app, auth: [jwt, api_key], forward_credentials: true }
  - { name: open, match: { path: /open }, upstream: app, auth: none }
  - { name: perhaps, match: { path: /perhaps }, upstream: app, auth: { optional: [jwt, api_key] } }
";

fn gateway(upstream: &Recorder) -> Gateway {
    Gateway::with(&format!("{PEOPLE}{ROUTES}")).put("APP", &upstream.url()).start()
}

fn basic(username: &str, password: &str) -> String {
    let pair = format!("{username}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[test]
fn a_stranger_is_told_every_way_in() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let answer = gateway.get("/either").send();
    answer.refused(401, "missing_credentials");
    assert_eq!(answer.json()["detail"], "Not authenticated");
    let ways = answer.lines("www-authenticate");
    assert_eq!(ways.len(), 2, "{ways:?}");
    assert!(ways[0].starts_with("Bearer"), "{ways:?}");
    assert!(
        ways[1].contains(r#"in="header""#) && ways[1].contains(r#"name="X-API-Key""#),
        "{ways:?}"
    );
    let answer = gateway.get("/password").send();
    assert_eq!(answer.lines("www-authenticate"), [r#"Basic realm="tests", charset="UTF-8""#]);
    assert_eq!(upstream.contacts(), 0, "nobody behind was asked");
}

#[test]
fn every_kind_of_credential_opens_its_route_and_stays_with_the_gateway() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let token = corp_token("u1");
    let cases = [
        (gateway.get("/token").bearer(&token), "u1", "jwt"),
        (gateway.get("/key").header("x-api-key", KEY), "robot", "api_key"),
        (gateway.get(&format!("/key?a=%20b&api_key={KEY}&c")), "robot", "api_key"),
        (gateway.get("/password").header("authorization", &basic(BOB.0, BOB.1)), "2", "basic"),
    ];
    for (call, subject, method) in cases {
        call.send().ok();
        let seen = upstream.last();
        assert_eq!(seen.header("x-user-id"), Some(subject));
        assert_eq!(seen.header("x-auth-method"), Some(method));
        assert!(seen.all("authorization").is_empty() && seen.all("x-api-key").is_empty());
        assert!(!seen.text().contains(KEY), "{}", seen.text());
    }
    let targets: Vec<String> =
        upstream.received().iter().map(|seen| seen.target().to_owned()).collect();
    assert_eq!(
        targets,
        ["/token", "/key", "/key?a=%20b&c", "/password"],
        "the rest of a query stays as it is"
    );
}

#[test]
fn a_token_in_a_cookie_or_a_query_stays_with_the_gateway_and_out_of_its_log() {
    let upstream = Recorder::start();
    let places = "take_from: ['cookie:session', 'query:token']\n      issuer: https://id";
    let people = PEOPLE.replace("issuer: https://id", places);
    let text = format!("{people}{ROUTES}");
    let gateway = Gateway::with(&text).put("APP", &upstream.url()).start();
    let token = corp_token("u1");
    let by_cookie = gateway
        .get("/token?a=1")
        .header("cookie", "theme=dark; lang=de")
        .header("cookie", &format!("a=\"b c\";session={token}; z"));
    by_cookie.send().ok();
    let seen = upstream.last();
    assert_eq!(seen.all("cookie"), ["theme=dark; lang=de", "a=\"b c\"; z"]);
    assert_eq!(seen.header("x-user-id"), Some("u1"));
    gateway.get(&format!("/token?a=%20&token={token}&b")).send().ok();
    assert_eq!(upstream.last().target(), "/token?a=%20&b");
    // The gateway's own tokens are looked for there, and this is none.
    gateway.get("/token").bearer(&token).send().refused(401, "invalid_token");
    let twice = gateway.get(&format!("/token?token={token}"));
    twice.header("cookie", "session=x").send().refused(400, "ambiguous_credentials");
    let foreign = gateway.call("POST", "/token").header("origin", "https://evil.example");
    let foreign = foreign.header("cookie", &format!("session={token}"));
    foreign.send().refused(403, "cross_site");
    assert!(upstream.received().iter().all(|seen| !seen.text().contains(&token)));
    gateway.wait_for_log("the last request", |line| line["reason"] == "cross_site");
    assert!(!gateway.output().contains(&token));
}

#[test]
fn credentials_go_on_where_the_route_says_so() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let token = corp_token("u1");
    gateway.get("/kept?api_key=other").bearer(&token).send().ok();
    assert_eq!(upstream.last().header("authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(upstream.last().target(), "/kept?api_key=other");
    gateway.get("/open").bearer(&token).send().ok();
    assert_eq!(upstream.last().header("authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(upstream.last().header("x-user-id"), None, "nobody was asked who they are");
}

#[test]
fn a_token_that_is_not_good_is_refused_and_the_client_learns_no_more() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = corp_claims("u1");
        claims[name] = value;
        hs256(&claims, CORP_SECRET)
    };
    let good = corp_token("u1");
    let mut tampered = good.clone().into_bytes();
    let last = tampered.len() - 3;
    tampered[last] = if tampered[last] == b'A' { b'B' } else { b'A' };
    let tokens = [
        ("invalid_token", "garbled".to_owned()),
        ("invalid_token", String::from_utf8(tampered).unwrap()),
        ("invalid_token", hs256(&corp_claims("u1"), "another-secret-of-more-than-32-bytes")),
        ("invalid_token", with("aud", json!("elsewhere"))),
        ("invalid_token", with("iss", json!("https://evil.example.com/"))),
        ("invalid_token", with("nbf", json!(now() + 600))),
        ("invalid_token", with("exp", json!("tomorrow"))),
        ("invalid_token", with("sub", json!(null))),
        ("invalid_token", signed(&json!({"alg": "none"}), &corp_claims("u1"), "")),
        (
            "invalid_token",
            signed(&json!({"alg": "HS256", "crit": ["exp"]}), &corp_claims("u1"), CORP_SECRET),
        ),
        ("invalid_token", format!("{good}{}", "A".repeat(17 * 1024))),
        ("expired_token", with("exp", json!(now() - 60))),
    ];
    for (code, token) in tokens {
        let answer = gateway.get("/token").bearer(&token).send();
        if token.len() > 16 * 1024 && answer.status == 431 {
            continue;
        }
        answer.refused(401, code);
        assert_eq!(answer.json()["detail"], "Could not validate credentials");
        let way = answer.header("www-authenticate").unwrap();
        assert!(way.starts_with(r#"Bearer error="invalid_token""#), "{way}");
    }
    assert_eq!(upstream.contacts(), 0);
    gateway.get("/token").bearer(&good).send().ok();
}

#[test]
fn the_first_listed_credential_decides_whatever_else_is_there() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let token = corp_token("u1");
    let both = |token: &str, key: &str| {
        gateway.get("/either").bearer(token).header("x-api-key", key).send()
    };
    both(&token, "no-such-key").ok();
    assert!(
        upstream.last().all("x-api-key").is_empty(),
        "every place that was looked in is emptied"
    );
    both("garbled", KEY).refused(401, "invalid_token");
}

#[test]
fn the_same_credential_twice_is_ambiguous() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let token = corp_token("u1");
    let calls = [
        gateway.get("/token").bearer(&token).bearer(&token),
        gateway.get("/key").header("x-api-key", KEY).header("x-api-key", KEY),
        gateway.get(&format!("/key?api_key={KEY}")).header("x-api-key", KEY),
        gateway.get(&format!("/key?api_key={KEY}&api_key={KEY}")),
    ];
    for call in calls {
        call.send().refused(400, "ambiguous_credentials");
    }
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn a_wrong_key_or_password_is_refused() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    gateway.get("/key").header("x-api-key", "no-such-key").send().refused(401, "invalid_api_key");
    gateway.get("/key?api_key=").send().refused(401, "invalid_api_key");
    for wrong in [basic("bob", "wrong"), basic("nobody", "x"), basic("carol", "singer")] {
        let answer = gateway.get("/password").header("authorization", &wrong).send();
        answer.refused(401, "invalid_credentials");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(r#"Basic realm="tests", charset="UTF-8""#)
        );
    }
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn where_credentials_are_optional_their_absence_is_nobody_and_a_bad_one_is_refused() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    gateway.get("/perhaps").send().ok();
    assert_eq!(upstream.last().header("x-user-id"), None);
    gateway.get("/perhaps").bearer(&corp_token("u1")).send().ok();
    assert_eq!(upstream.last().header("x-user-id"), Some("u1"));
    gateway.get("/perhaps").bearer("garbled").send().refused(401, "invalid_token");
}

#[test]
fn no_secret_is_ever_printed() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let token = corp_token("planted");
    gateway.get(&format!("/key?api_key={KEY}")).send().ok();
    gateway.get("/token").bearer(&token).send().ok();
    gateway.get("/token").bearer("planted-garbage").send();
    gateway.get("/key").header("x-api-key", "planted-key").send();
    gateway.get("/password").header("authorization", &basic("bob", "planted-password")).send();
    gateway.login(BOB.0, BOB.1);
    gateway.wait_for_log("the line of the login", |line| line["path"] == "/auth/token");
    let metrics = gateway.admin("GET", "/metrics").send();
    let printed = gateway.output() + metrics.text();
    let signature = token.rsplit('.').next().unwrap();
    for secret in [KEY, signature, "planted-", BOB.1, CORP_SECRET, "the-secret-of-the-gateway"] {
        assert!(!printed.contains(secret), "{secret} was printed");
    }
}
