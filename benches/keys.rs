//! A million API keys in PostgreSQL: how long a gateway takes to read them at its start, what a key
//! takes in memory, what finding one costs beside a store with one key, and how soon a change counts.
//!
//! It starts a server of its own, as the tests do. It leaves out the network between the two.

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant, SystemTime},
};

use portcullis::{
    model::{Secret, StoreLocation, Timestamp},
    policy::{accounts::Accounts, digest::Digest},
    sources::Records,
    store::{Author, Store},
};

#[path = "../tests/support/postgres.rs"]
#[expect(dead_code, reason = "outages are for the tests")]
mod postgres;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: u64 = 1_000_000;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let keys = if std::env::args().any(|word| word == "--bench") { KEYS } else { 1000 };
    let keys = std::env::var("KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(keys);
    let server = postgres::Postgres::start();
    let (one, many) = (server.database(), server.database());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let alone = followed(&server, &one, 1).await;
        println!(
            "a store with one key is read in {:?}; finding it takes {:?}",
            alone.1,
            found(&alone.0, 1)
        );
        let before = resident();
        let (records, took) = followed(&server, &many, keys).await;
        let bytes = resident().saturating_sub(before);
        println!("{keys} keys are read in {took:?}, and take {} bytes each", bytes / keys);
        println!("finding one of them takes {:?}", found(&records, keys));
        let store = Store::open(&place(&many)).await.unwrap();
        let author = Author { who: "bench", origin: "bench", at: now() };
        let begun = Instant::now();
        store.revoke_key("k0", &author).await.unwrap();
        records.follow().await.unwrap();
        let digest = Digest::of(b"the-key-number-0");
        let key = records.api_key(&digest, &Accounts::default(), None).unwrap().unwrap();
        assert!(key.disabled);
        println!(
            "a revocation takes {:?}, and up to a quarter of a second until it is asked for",
            begun.elapsed()
        );
    });
}

fn place(url: &str) -> StoreLocation {
    StoreLocation::Postgres(Secret::new(url))
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

/// What is known of a database with so many keys, and how long reading it took.
async fn followed(server: &postgres::Postgres, url: &str, keys: u64) -> (Records, Duration) {
    Store::open(&place(url)).await.unwrap().close().await;
    let name = url.split(['/', '?']).nth(3).unwrap();
    server.run(
        name,
        &format!(
            "INSERT INTO portcullis_keys (id, sha256, roles, permissions, networks, disabled, created, revision)
             SELECT 'k' || i, encode(sha256(('the-key-number-' || i)::bytea), 'hex'), '[\"user\"]', '[]', '[]', 0, 0, 0
             FROM generate_series(0, {keys} - 1) AS i;
             ANALYZE portcullis_keys;"
        ),
    );
    let begun = Instant::now();
    let records = Records::new(place(url), Duration::from_secs(600));
    records.begin().await.unwrap();
    (records, begun.elapsed())
}

/// How long finding a key takes.
fn found(records: &Records, keys: u64) -> Duration {
    const ROUNDS: u32 = 200_000;
    let digests: Vec<Digest> = (0..u64::from(ROUNDS))
        .map(|round| {
            let index = round.wrapping_mul(7_919) % keys;
            Digest::of(format!("the-key-number-{index}").as_bytes())
        })
        .collect();
    let file = Accounts::default();
    let at = now();
    let begun = Instant::now();
    for digest in &digests {
        let key = records.api_key(black_box(digest), &file, Some(at)).unwrap();
        assert!(black_box(key).is_some());
    }
    begun.elapsed() / ROUNDS
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
