//! Users and keys that are made, changed and taken back by another process while the gateway runs.

use std::time::Duration;

use serde_json::json;

use super::{FILE, FILE_KEY, SQLITE, command, login, made, on_both, setting, told, with_key};
use crate::harness::{Gateway, Stopwatch, eventually};

on_both! {
    a_key_is_good_once_it_is_made_and_not_once_it_is_revoked
    a_rotated_key_is_good_beside_the_old_one_until_its_date
    a_user_is_added_changed_shut_out_and_removed_while_the_gateway_runs
    hashes_from_elsewhere_let_their_owners_in_and_become_argon2id
    a_key_does_not_outlive_a_user_who_leaves_the_file
    nobody_is_spoken_for_by_an_id_alone
    a_token_that_is_issued_by_hand_leaves_a_line
    ten_thousand_keys_are_each_themselves
}

/// How soon a change made by another process counts.
const SOON: Duration = Duration::from_secs(1);

/// Waits until something holds; how long that took.
#[track_caller]
fn soon(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let watch = Stopwatch::start();
    eventually(what, || holds().then_some(()));
    let took = watch.elapsed();
    // What is waited for may be slow itself, as the hash of a password is without optimization.
    assert!(took < 5 * SOON, "{what}: {took:?}");
    took
}

fn a_key_is_good_once_it_is_made_and_not_once_it_is_revoked(store: &str) {
    let gateway = setting(store, "10m").start();
    let key = made(&gateway, &["ci", "--role", "user", "--name", "the build"]);
    assert!(key.starts_with("pk_ci_"), "{key}");
    soon("a key that was made", || with_key(&gateway, &key) == 200);
    let seen = gateway.get("/key").header("X-API-Key", &key).send();
    assert!(seen.ok().text().to_ascii_lowercase().contains("\"x-user-id\""), "{}", seen.text());
    gateway.get("/admin").header("X-API-Key", &key).send().refused(403, "missing_role");
    told(&gateway, &["key", "revoke", "ci"], "");
    let took = soon("a key that was revoked", || with_key(&gateway, &key) == 401);
    println!("from the end of `key revoke` to the first 401: {took:?}");
    gateway.wait_for_log("the reason", |line| {
        line["reason"] == "disabled_key" || line["status"] == 401
    });
    assert_eq!(with_key(&gateway, FILE_KEY), 200);
    let again = command(&gateway, &["key", "rotate", "ci"], "");
    assert_eq!(again.status.code(), Some(1), "a revoked key stays revoked");
}

fn a_rotated_key_is_good_beside_the_old_one_until_its_date(store: &str) {
    let gateway = setting(store, "10m").start();
    let old = made(&gateway, &["ci"]);
    soon("the first key", || with_key(&gateway, &old) == 200);
    let rotated = told(&gateway, &["key", "rotate", "ci", "--keep-old", "1h"], "");
    let new = rotated["key"].as_str().unwrap();
    soon("the second key", || with_key(&gateway, new) == 200);
    assert_eq!(with_key(&gateway, &old), 200, "both are good");
    told(&gateway, &["key", "rotate", "ci", "--keep-old", "0s"], "");
    soon("the end of both", || with_key(&gateway, new) == 401);
    assert_eq!(with_key(&gateway, &old), 401);
}

fn a_user_is_added_changed_shut_out_and_removed_while_the_gateway_runs(store: &str) {
    let gateway = setting(store, "10m").start();
    let bearer = |token: &str| {
        gateway.get("/token").header("Authorization", &format!("Bearer {token}")).send().status
    };
    let add = ["user", "add", "bob", "--id", "8", "--role", "user"];
    told(&gateway, &add, "builder\n");
    soon("a user that was added", || login(&gateway, "bob", "builder") == 200);
    assert_eq!(login(&gateway, "bob", "wonderland"), 401);
    let token = gateway.login("bob", "builder");
    assert_eq!(bearer(&token), 200);
    // The commands that explain know the users of the store too.
    let issued = command(&gateway, &["token", "issue", "bob"], "");
    let issued = String::from_utf8(issued.stdout).unwrap();
    assert_eq!(bearer(issued.trim()), 200);
    let header = format!("Authorization: Bearer {}", issued.trim());
    let explained = command(&gateway, &["explain", "GET", "/token", "-H", &header], "");
    assert_eq!(explained.status.code(), Some(0));
    let inspected = command(&gateway, &["token", "inspect", "-"], &issued);
    assert_eq!(inspected.status.code(), Some(0));
    told(&gateway, &["user", "set", "bob", "--role", "admin"], "");
    soon("a role", || {
        let answer =
            gateway.get("/admin").header("Authorization", &format!("Bearer {token}")).send();
        answer.status == 200
    });
    told(&gateway, &["user", "disable", "8"], "");
    soon("a user that was shut out", || bearer(&token) == 401);
    // What the store says of a login's tokens may be heard a moment before what it says of its user.
    soon("no more logins", || login(&gateway, "bob", "builder") == 401);
    told(&gateway, &["user", "enable", "bob"], "");
    soon("a user that was let in again", || login(&gateway, "bob", "builder") == 200);
    told(&gateway, &["user", "set", "bob", "--password"], "carpenter");
    soon("another password", || login(&gateway, "bob", "carpenter") == 200);
    assert_eq!(login(&gateway, "bob", "builder"), 401);
    assert_eq!(command(&gateway, &["user", "remove", "bob"], "").status.code(), Some(0));
    soon("a user that was removed", || login(&gateway, "bob", "carpenter") == 401);
    for refused in [
        ["user", "add", "alice", "--no-password"],
        ["user", "add", "ALICE", "--no-password"],
        ["user", "add", "carol", "--role=admn"],
        ["user", "show", "bob", "--format=json"],
    ] {
        let done = command(&gateway, &refused, "x");
        assert_eq!(done.status.code(), Some(1), "{refused:?}");
    }
    assert_eq!(login(&gateway, "alice", "wonderland"), 200, "the user of the file");
}

fn hashes_from_elsewhere_let_their_owners_in_and_become_argon2id(store: &str) {
    let gateway = setting(store, "10m").start();
    // Made with Python's hashlib, bcrypt and argon2-cffi for "pässword 1".
    let hashes = [
        ("bcrypt", "$2b$05$3lcG1UJXxbHZyJZQ2Ta66u.bx58Y9M6azs8OSHLIcIPD6zUuu4/Gq"),
        (
            "argon2",
            "argon2$argon2id$v=19$m=64,t=1,p=2$hGfDkyW146URi6ca2HNCPQ$XT2g/5u7OhF05DeqNEYCCQ6+AeFCT13B5y8P+KphBXA",
        ),
        ("pbkdf2", "pbkdf2_sha256$1000$aSalt$4dwICtrB6HEk1whXr1DjeSsTwihc319KNwycRaaZBbc="),
        (
            "scrypt",
            "scrypt$aSalt$16$8$2$PU6GloIECQ/E3rrrFCR0gVJG4HLRamEL2mo8WE/BmoZGwo4q3SvF0EQ6vXPZ42rGdWSu8eDsYD+5Fj69C68NWg==",
        ),
    ];
    let listed =
        hashes.map(|(name, hash)| json!({ "username": name, "password": hash, "roles": ["user"] }));
    let file = gateway.directory().join("users.json");
    std::fs::write(&file, json!(listed).to_string()).unwrap();
    let path = file.display().to_string();
    told(&gateway, &["user", "import", &path], "");
    let again = command(&gateway, &["user", "import", &path], "");
    assert_eq!(again.status.code(), Some(1), "all or none, and none is there twice");
    for (name, _) in hashes {
        soon(name, || login(&gateway, name, "pässword 1") == 200);
        assert_eq!(login(&gateway, name, "pässword 2"), 401);
        soon("the usual hash", || {
            let user = told(&gateway, &["user", "show", name], "");
            user["password"] == "argon2id-19456-2-1"
        });
        soon("the same password", || login(&gateway, name, "pässword 1") == 200);
    }
    let file = gateway.directory().join("more.csv");
    std::fs::write(&file, "username,password\ndave,plain\nerin,\n").unwrap();
    let refused = command(&gateway, &["user", "import", &file.display().to_string()], "");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("line 2") && !said.contains("plain"), "{said}");
    assert!(told(&gateway, &["user", "list"], "").as_array().unwrap().len() == 4);
}

fn a_key_does_not_outlive_a_user_who_leaves_the_file(store: &str) {
    const BOB: &str = r#"  - { id: "2", username: bob, roles: [user] }"#;
    let text = FILE.replace("\ntoken:", &format!("\n{BOB}\ntoken:"));
    let gateway = Gateway::with(&text).put("STORE", store).put("STALE", "10m").start();
    let key = made(&gateway, &["ci", "--owner", "2", "--role", "user"]);
    let other = made(&gateway, &["job", "--owner", "a-service", "--role", "user"]);
    soon("two keys", || [&key, &other].map(|key| with_key(&gateway, key)) == [200, 200]);
    let rewritten = |from: &str, to: &str, status: u16| {
        let text = std::fs::read_to_string(gateway.config()).unwrap();
        std::fs::write(gateway.config(), text.replace(from, to)).unwrap();
        eventually(to, || (with_key(&gateway, &key) == status).then_some(()));
    };
    rewritten("username: bob,", "username: bob, disabled: true,", 401);
    rewritten("username: bob, disabled: true,", "username: bob,", 200);
    rewritten(BOB, "", 401);
    assert_eq!(with_key(&gateway, &other), 200, "nobody ever was that user");
    // With him it is there again.
    rewritten("\ntoken:", &format!("\n{BOB}\ntoken:"), 200);
}

fn nobody_is_spoken_for_by_an_id_alone(store: &str) {
    let gateway = setting(store, "10m").start();
    told(&gateway, &["user", "add", "bob", "--id", "8", "--no-password"], "");
    made(&gateway, &["ci"]);
    for (words, why) in [
        // Users of the file and of the store.
        (["key", "create", "1", "--name=x"], "name him as the owner"),
        (["key", "create", "8", "--name=x"], "name him as the owner"),
        // Keys of the file and of the store.
        (["user", "add", "file", "--no-password"], "by an API key without owner"),
        (["user", "add", "ci", "--no-password"], "by an API key without owner"),
    ] {
        let done = command(&gateway, &words, "");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{words:?}");
        assert!(said.contains(why), "{words:?}: {said}");
    }
    let list = gateway.directory().join("users.json");
    std::fs::write(&list, r#"[{ "username": "dave" }, { "id": "file", "username": "erin" }]"#)
        .unwrap();
    let done = command(&gateway, &["user", "import", &list.display().to_string()], "");
    assert_eq!(done.status.code(), Some(1));
    made(&gateway, &["8", "--owner", "8"]);
}

fn a_token_that_is_issued_by_hand_leaves_a_line(store: &str) {
    let gateway = setting(store, "10m").start();
    let issued = command(&gateway, &["token", "issue", "alice", "--scope", "read:items"], "");
    assert!(issued.status.success());
    let token = String::from_utf8(issued.stdout).unwrap();
    let log = gateway.admin("GET", "/api/v1/audit").send().ok().json();
    let line = &log["audit"][0];
    assert_eq!((&line["action"], &line["target"]), (&json!("token.issue"), &json!("1")));
    assert_eq!(line["from"], "cli");
    let detail = line["detail"].as_str().unwrap();
    let said: serde_json::Value = serde_json::from_str(detail).unwrap();
    assert_eq!(said["scope"], "read:items");
    assert!(said["jti"].is_string() && said["exp"].is_i64() && !detail.contains(token.trim()));
}

fn ten_thousand_keys_are_each_themselves(store: &str) {
    let gateway = setting(store, "10m").start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let location = match store {
        SQLITE => {
            portcullis::model::StoreLocation::Sqlite(gateway.directory().join("portcullis.db"))
        }
        url => portcullis::model::StoreLocation::Postgres(portcullis::model::Secret::new(url)),
    };
    // By one statement and behind the gateway's back: making each by a command would take minutes.
    runtime.block_on(async {
        use portcullis::store::{Author, Entry, Revocation, RevocationKind, Store};
        let opened = Store::open(&location).await.unwrap();
        let url = match &location {
            portcullis::model::StoreLocation::Sqlite(file) => {
                format!("sqlite://{}", file.display())
            }
            portcullis::model::StoreLocation::Postgres(_) => store.to_owned(),
        };
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query("UPDATE portcullis_state SET revision = revision WHERE id = 1")
            .execute(&mut *transaction)
            .await
            .unwrap();
        for index in 0..10_000_u32 {
            let sql =
                "INSERT INTO portcullis_keys (id, sha256, roles, permissions, networks, disabled,
                       created, revision) VALUES ($1, $2, '[\"user\"]', '[]', '[]', 0, 0, 1)";
            let digest = portcullis::policy::digest::Digest::of(text(index).as_bytes());
            sqlx::query(sql)
                .bind(format!("k{index}"))
                .bind(digest.to_string())
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
        // Any change makes them heard of.
        let now = portcullis::model::Timestamp::from_seconds(1);
        let kind = RevocationKind::Token;
        let mark = Revocation { kind, name: "x".into(), at: now, until: now, revision: 0 };
        let author = Author { who: "test", origin: "test", at: now };
        let entry = Entry { action: "token.revoke", target: "x", detail: "" };
        opened.revoke(&mark, &entry, &author).await.unwrap();
    });
    soon("ten thousand keys", || with_key(&gateway, &text(9_999)) == 200);
    for index in (0..10_000).step_by(997) {
        assert_eq!(with_key(&gateway, &text(index)), 200, "{index}");
        assert_eq!(with_key(&gateway, &format!("{}x", text(index))), 401, "{index}");
    }
}

fn text(index: u32) -> String {
    format!("the-key-number-{index}")
}

#[test]
fn without_a_store_a_key_is_an_entry_for_the_file() {
    let yaml =
        super::FILE.replace("store: '@STORE@'", "").replace("store_max_stale: '@STALE@'", "");
    let gateway = crate::harness::Gateway::with(&yaml).start();
    let made = told(&gateway, &["key", "create", "ci", "--role", "user", "--owner", "robot"], "");
    let digest = portcullis::policy::digest::Digest::of(made["key"].as_str().unwrap().as_bytes());
    assert_eq!(made["entry"]["sha256"], digest.to_string());
    let entry = made["entry"].to_string();
    let with_it = std::fs::read_to_string(gateway.config()).unwrap();
    let with_it = with_it.replace("    keys:\n", &format!("    keys:\n      - {entry}\n"));
    std::fs::write(gateway.config(), with_it).unwrap();
    eventually("the key of the file", || {
        (with_key(&gateway, made["key"].as_str().unwrap()) == 200).then_some(())
    });
    assert_eq!(command(&gateway, &["user", "list"], "").status.code(), Some(1));
}

#[test]
fn the_last_use_and_the_last_login_are_noted_at_the_end_at_the_latest() {
    let mut gateway = setting(SQLITE, "10m").start();
    let key = made(&gateway, &["ci"]);
    told(&gateway, &["user", "add", "bob"], "builder");
    soon("a key", || with_key(&gateway, &key) == 200);
    soon("a user", || login(&gateway, "bob", "builder") == 200);
    gateway.signal("TERM");
    gateway.wait();
    assert!(told(&gateway, &["key", "show", "ci"], "")["last_used"].is_string());
    assert!(told(&gateway, &["user", "show", "bob"], "")["last_login"].is_string());
}
