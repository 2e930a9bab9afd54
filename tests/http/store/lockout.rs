//! Guessing at the passwords of users in the store: counted by the account and by the address, told to nobody.

use serde_json::json;

use super::{FILE, SQLITE, on_both};
use crate::harness::{Answer, Gateway};

on_both! {
    guesses_are_counted_for_every_spelling_of_a_name_together
    guesses_from_many_addresses_are_counted_for_the_name_and_at_many_names_for_the_address
}

/// A gateway that takes this client's word for where it is, and a user in its store.
fn gateway(store: &str) -> Gateway {
    let ports = "
version: 1
server: { listen: [{ address: '127.0.0.1:0' }], trusted_proxies: [127.0.0.1] }
admin: { listen: '127.0.0.1:0', token: the-token-of-the-administrator }
";
    let file = FILE.replace("login_limit: false", "login_limit: 2/hour");
    let setting = Gateway::with_whole(&format!("{ports}{file}"));
    let gateway = setting.put("STORE", store).put("STALE", "10m").start();
    let dora = json!({ "username": "dora", "password": "explorer", "roles": ["user"] });
    let added = gateway.admin("POST", "/api/v1/users").bearer("the-token-of-the-administrator");
    let added = added.header("content-type", "application/json").body(dora.to_string()).send();
    assert_eq!(added.status, 201, "{}", added.text());
    gateway
}

fn login(gateway: &Gateway, from: &str, username: &str, password: &str) -> Answer {
    let form = [("username", username), ("password", password)];
    gateway.call("POST", "/auth/token").header("x-forwarded-for", from).form(&form).send()
}

fn guessed_by_basic(gateway: &Gateway, from: &str, pair: &str) -> u16 {
    let line = format!("Basic {pair}");
    gateway
        .get("/basic")
        .header("x-forwarded-for", from)
        .header("authorization", &line)
        .send()
        .status
}

fn guesses_are_counted_for_every_spelling_of_a_name_together(store: &str) {
    let gateway = gateway(store);
    let home = "192.0.2.1";
    // A user who is there and one who is not: nobody can tell.
    for names in [["Dora", "ＤＯＲＡ", "dora"], ["Nobody", "ＮＯＢＯＤＹ", "nobody"]] {
        for name in &names[..2] {
            let answer = login(&gateway, home, name, "guess");
            assert_eq!(
                (answer.status, answer.json()["error"].as_str()),
                (401, Some("invalid_grant"))
            );
        }
        let refused = login(&gateway, home, names[2], "explorer");
        refused.refused(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
    }
    // dora:explorer
    assert_eq!(
        guessed_by_basic(&gateway, home, "ZG9yYTpleHBsb3Jlcg=="),
        429,
        "one count for both ways in"
    );
    assert_eq!(
        login(&gateway, "192.0.2.2", "dora", "explorer").status,
        200,
        "she herself, elsewhere"
    );
}

fn guesses_from_many_addresses_are_counted_for_the_name_and_at_many_names_for_the_address(
    store: &str,
) {
    let gateway = gateway(store);
    // Ten times the limit for a name, wherever from.
    for n in 0..20 {
        let from = format!("198.51.100.{n}");
        assert_eq!(login(&gateway, &from, "dora", "guess").status, 401, "{n}");
    }
    login(&gateway, "203.0.113.1", "dora", "explorer").refused(429, "rate_limited");
    assert_eq!(login(&gateway, "203.0.113.1", "alice", "wonderland").status, 200);
    // And for an address, whatever name.
    for n in 0..20 {
        assert_eq!(
            login(&gateway, "203.0.113.9", &format!("user-{n}"), "guess").status,
            401,
            "{n}"
        );
    }
    login(&gateway, "203.0.113.9", "alice", "wonderland").refused(429, "rate_limited");
    assert_eq!(login(&gateway, "203.0.113.8", "alice", "wonderland").status, 200);
}
