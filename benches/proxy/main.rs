//! End to end: what a request costs behind portcullis, a bare pingora pass-through and nginx.
//!
//! Measures the CPU time of the proxy's process per request, all interleaved in rounds, and prints
//! medians and ratios. A ratio is that to the pass-through's cost for the very same bytes. The
//! upstream is nginx; the load comes from this process over 32 keep-alive connections. Leaves out
//! slow clients, and how long a request takes when the machine is idle. TLS and HTTP/2 come after, beside
//! nginx: see `secure`.
//!
//! `make bench-proxy`; needs Linux and nginx. `BENCH_ROUNDS` (9) and `BENCH_REQUESTS` (20000 a round
//! and case) change the length; `BENCH_ONLY=portcullis` measures the cases alone whose name has
//! that in it, beside the pass-through, and `BENCH_ONLY=secure` TLS and HTTP/2 alone.

mod load;
mod passthrough;
mod secure;
mod servers;
mod tokens;

use std::{env, error::Error, time::Instant};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// One thing to measure: a server and what it is sent.
struct Case {
    name: &'static str,
    /// The case that it is compared with.
    base: usize,
    server: usize,
    requests: Vec<Vec<u8>>,
    status: u16,
}

/// What a round of a case came to.
#[derive(Clone, Copy)]
struct Round {
    /// CPU microseconds per request.
    cost: f64,
    /// Requests per second.
    pace: f64,
}

/// What `BENCH_ONLY` calls TLS and HTTP/2.
const SECURE: &str = "secure";

/// Places of the servers.
const BARE: usize = 0;
const QUIET: usize = 1;
const LOGGING: usize = 2;
const NGINX: usize = 3;

/// Places of the cases that others are compared with.
const PLAIN: usize = 0;
const WITH_TOKEN: usize = 1;
const LARGE: usize = 2;

fn main() -> Outcome<()> {
    if let Ok(upstream) = env::var(passthrough::ROLE) {
        return passthrough::serve(&upstream);
    }
    let rounds = setting("BENCH_ROUNDS", 9);
    let requests = setting("BENCH_REQUESTS", 20_000);
    let folder = tempfile::tempdir()?;
    let idle = servers::shipped(folder.path())?;
    let upstream = servers::nginx_upstream(folder.path())?;
    let servers = [
        servers::passthrough(upstream.port)?,
        servers::portcullis(folder.path(), upstream.port, false)?,
        servers::portcullis(folder.path(), upstream.port, true)?,
        servers::nginx_proxy(folder.path(), upstream.port)?,
    ];
    let only = env::var("BENCH_ONLY").unwrap_or_default();
    if only.is_empty() || only == SECURE {
        let ours = servers::portcullis_both(folder.path(), upstream.port)?;
        let nginx = servers::nginx_both(folder.path(), upstream.port)?;
        secure::run(&ours, &nginx, rounds, requests)?;
    }
    if only == SECURE {
        return Ok(());
    }
    println!("idle with the shipped file: {:.1} MiB resident", idle.resident_mib()?);
    drop(idle);
    let cases = cases()?;
    let wanted = |case: &Case| case.server == BARE || case.name.contains(&only);
    let mut measured = vec![Vec::new(); cases.len()];
    // The first round warms pools and caches.
    for round in 0..=rounds {
        for (case, rounds) in cases.iter().zip(&mut measured).filter(|(case, _)| wanted(case)) {
            let taken = measure(&servers[case.server], case, requests)?;
            if round > 0 {
                rounds.push(taken);
            }
        }
    }
    report(&cases, &measured);
    for (name, server) in [("bare pass-through", BARE), ("portcullis", QUIET), ("nginx", NGINX)] {
        println!("{name}, after the run: {:.1} MiB resident", servers[server].resident_mib()?);
    }
    Ok(())
}

fn cases() -> Outcome<Vec<Case>> {
    let plain = || vec![load::request("/api/items", &[])];
    let tokens = tokens::thousand()?;
    let with_token = |path: &str| -> Vec<Vec<u8>> {
        let header = |token: &String| format!("Bearer {token}");
        let request = |token| load::request(path, &[("Authorization", &header(token))]);
        tokens.iter().map(request).collect()
    };
    let case = |name, base, server, requests, status| Case { name, base, server, requests, status };
    let (items, large) = ("/api/items", "/api/large");
    Ok(vec![
        case("bare pass-through", PLAIN, BARE, plain(), 200),
        case("bare pass-through, with a token", WITH_TOKEN, BARE, with_token(items), 200),
        case("bare pass-through, 64 KiB", LARGE, BARE, with_token(large), 200),
        case("portcullis, public", PLAIN, QUIET, vec![load::request("/public", &[])], 200),
        case("portcullis, full policy", WITH_TOKEN, QUIET, with_token(items), 200),
        case("portcullis, full policy, log", WITH_TOKEN, LOGGING, with_token(items), 200),
        case("portcullis, full policy, 64 KiB", LARGE, QUIET, with_token(large), 200),
        case("portcullis, 401", PLAIN, QUIET, plain(), 401),
        case("portcullis, 401, log", PLAIN, LOGGING, plain(), 401),
        case("nginx", PLAIN, NGINX, plain(), 200),
        case("nginx, with a token", WITH_TOKEN, NGINX, with_token(items), 200),
    ])
}

fn measure(server: &servers::Server, case: &Case, requests: usize) -> Outcome<Round> {
    let (before, start) = (server.cpu_nanos()?, Instant::now());
    load::run(server.port, &case.requests, case.status, requests)?;
    let spent = (server.cpu_nanos()? - before) as f64;
    let requests = requests as f64;
    Ok(Round { cost: spent / 1e3 / requests, pace: requests / start.elapsed().as_secs_f64() })
}

fn report(cases: &[Case], measured: &[Vec<Round>]) {
    println!("{:<34} {:>12} {:>7} {:>9}", "", "CPU µs/req", "ratio", "req/s");
    for (case, own) in cases.iter().zip(measured).filter(|(_, rounds)| !rounds.is_empty()) {
        let base = &measured[case.base];
        let cost = median(own.iter().map(|round| round.cost));
        let ratio = median(own.iter().zip(base).map(|(own, base)| own.cost / base.cost));
        let pace = median(own.iter().map(|round| round.pace));
        println!("{:<34} {cost:>12.1} {ratio:>7.2} {pace:>9.0}", case.name);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn setting(name: &str, default: usize) -> usize {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
