//! How long a failed login takes, by what is wrong with it: the times must tell nothing.
//!
//! One user has a bcrypt hash, one an argon2id hash, one is shut out, one does not exist. That each
//! costs the same hashes is held by tests; this shows that the clock sees no difference either.
//! `right` is quicker for the user with the quicker hash: a success hides nothing.

use std::time::Duration;

use argon2::PasswordHasher;
use divan::Bencher;
use portcullis::{
    model::Secret,
    policy::accounts::{Accounts, User},
    sources::passwords::Passwords,
};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

fn user(name: &str, hash: String, disabled: bool) -> User {
    User {
        subject: name.into(),
        username: name.into(),
        password: Some(Secret::new(hash)),
        roles: [].into(),
        permissions: [].into(),
        plan: None,
        disabled,
    }
}

fn accounts() -> Accounts {
    let bcrypt = || bcrypt::hash("right", 8).unwrap();
    let argon2 = argon2::Argon2::default().hash_password(b"right").unwrap().to_string();
    Accounts::new(
        vec![
            user("bcrypt", bcrypt(), false),
            user("argon2id", argon2, false),
            user("shut-out", bcrypt(), true),
        ],
        vec![],
    )
}

fn run(bencher: Bencher<'_, '_>, name: &str, password: &[u8]) {
    let (accounts, runtime) = (accounts(), Runtime::new().unwrap());
    let passwords = Passwords::new(1, Duration::from_secs(60));
    bencher.bench(|| {
        let user = accounts.user_by_name(name).map(|user| &**user);
        runtime.block_on(passwords.check(user, password, accounts.kinds())).unwrap()
    });
}

#[divan::bench(args = ["bcrypt", "argon2id", "shut-out", "nobody"], sample_count = 50, sample_size = 1)]
fn wrong(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, b"wrong");
}

#[divan::bench(args = ["bcrypt", "argon2id"], sample_count = 50, sample_size = 1)]
fn right(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, b"right");
}
