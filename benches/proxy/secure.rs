//! TLS and HTTP/2 from the client, beside nginx with the same certificate: CPU time per request, and
//! per handshake. The load comes from `h2load`, whose connections never resume a session; the upstream is
//! plain HTTP/1.1.

use std::{env, path::PathBuf, process::Command};

use crate::{Outcome, median, servers::Server};

/// The certificate and its key, ECDSA on P-256, of both servers.
pub const CERTIFICATE: [&str; 2] = ["p256.cert.pem", "p256.pem"];

/// A way to ask.
struct Way {
    name: &'static str,
    scheme: &'static str,
    /// What `h2load` is told.
    flags: &'static [&'static str],
    /// How many requests go by one connection; one is a handshake each.
    kept: bool,
}

const WAYS: [Way; 4] = [
    Way { name: "TLS, HTTP/1.1", scheme: "https", flags: &["--h1", "-c", "32"], kept: true },
    Way { name: "TLS, HTTP/2", scheme: "https", flags: &["-c", "4", "-m", "8"], kept: true },
    Way { name: "clear, HTTP/2", scheme: "http", flags: &["-c", "4", "-m", "8"], kept: true },
    Way { name: "TLS handshake and a request", scheme: "https", flags: &["--h1"], kept: false },
];

/// The same server by TLS and in clear.
pub struct Both {
    pub secure: Server,
    pub clear: Server,
}

/// Measures all ways in turns, and prints them.
pub fn run(ours: &Both, nginx: &Both, rounds: usize, requests: usize) -> Outcome<()> {
    let mut costs = vec![[Vec::new(), Vec::new()]; WAYS.len()];
    // The first round warms pools and caches.
    for round in 0..=rounds {
        for (way, costs) in WAYS.iter().zip(&mut costs) {
            for (server, costs) in [ours, nginx].into_iter().zip(costs) {
                let cost = measure(server, way, requests)?;
                if round > 0 {
                    costs.push(cost);
                }
            }
        }
    }
    println!("{:<30} {:>12} {:>12} {:>7}", "CPU µs", "portcullis", "nginx", "ratio");
    for (way, [ours, nginx]) in WAYS.iter().zip(&costs) {
        let ratio = median(ours.iter().zip(nginx).map(|(ours, nginx)| ours / nginx));
        let (ours, nginx) = (median(ours.iter().copied()), median(nginx.iter().copied()));
        println!("{:<30} {ours:>12.1} {nginx:>12.1} {ratio:>7.2}", way.name);
        if !way.kept {
            let pace = |cost: f64| 1e6 / cost;
            println!("{:<30} {:>12.0} {:>12.0}", "  a CPU second", pace(ours), pace(nginx));
        }
    }
    Ok(())
}

/// CPU microseconds per request.
fn measure(server: &Both, way: &Way, requests: usize) -> Outcome<f64> {
    let server = if way.scheme == "https" { &server.secure } else { &server.clear };
    // Connections of their own are costly for h2load too, and all open at once.
    let requests = if way.kept { requests } else { requests.div_ceil(40).min(500) };
    let count = requests.to_string();
    let mut load = Command::new(tool());
    load.args(way.flags).args(["-n", &count]);
    if !way.kept {
        load.args(["-c", &count]);
    }
    load.arg(format!("{}://127.0.0.1:{}/public", way.scheme, server.port));
    let before = server.cpu_nanos()?;
    let output = load.output().map_err(|error| format!("h2load is needed: {error}"))?;
    let spent = (server.cpu_nanos()? - before) as f64;
    let told = String::from_utf8_lossy(&output.stdout);
    if !told.contains(&format!("status codes: {count} 2xx")) {
        return Err(format!("{}: not all were answered:\n{told}", way.name).into());
    }
    Ok(spent / 1e3 / requests as f64)
}

/// `h2load` as `scripts/setup test` brings it, or the system's.
fn tool() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/h2load");
    env::var_os("H2LOAD").map_or(if own.exists() { own } else { "h2load".into() }, PathBuf::from)
}
