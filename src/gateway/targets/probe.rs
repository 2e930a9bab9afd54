//! Asks targets whether they are well.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header;
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls_pki_types::PrivateKeyDer;
use tokio::{net::TcpStream, time};

use super::Pool;
use crate::{
    gateway::Gateway,
    policy::upstream::{HealthCheck, Probe, Target, UpstreamTls},
};

/// Asks the targets of what is live now, until something else is.
pub fn begin(gateway: &Arc<Gateway>) {
    let snapshot = gateway.snapshot();
    for pool in snapshot.pools() {
        let upstream = pool.upstream();
        for (index, target) in upstream.service.targets().iter().enumerate() {
            let Some(entry) = pool.targets.get(index) else { continue };
            match &upstream.health_check {
                None => entry.standing.unchecked(),
                Some(check) => {
                    tokio::spawn(follow(
                        gateway.clone(),
                        snapshot.generation(),
                        pool.clone(),
                        index,
                        target.clone(),
                        check.clone(),
                    ));
                }
            }
        }
    }
}

/// Asks one target.
async fn follow(
    gateway: Arc<Gateway>,
    generation: u64,
    pool: Arc<Pool>,
    index: usize,
    target: Target,
    check: HealthCheck,
) {
    let mut turns = time::interval(check.interval);
    turns.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let snapshot = gateway.snapshot();
        if snapshot.generation() != generation {
            return;
        }
        let addresses = snapshot.names().addresses(&target);
        drop(snapshot);
        let asked = ask(&pool.upstream().tls, &target, &addresses, &check);
        let answer = time::timeout(check.timeout, asked).await;
        let wrong = match answer {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why),
            Err(_) => Some("it did not answer in time".to_owned()),
        };
        let Some(entry) = pool.targets.get(index) else { return };
        if entry.standing.checked(wrong.is_none(), &check) {
            let (upstream, target) = (&pool.upstream().name, &target.authority);
            match wrong {
                None => tracing::info!(event = "target_healthy", %upstream, target),
                Some(why) => tracing::warn!(event = "target_unhealthy", %upstream, target, why),
            }
        }
    }
}

/// Asks the first of a target's addresses that can be connected to.
///
/// # Errors
/// What is wrong with it.
async fn ask(
    tls: &UpstreamTls,
    target: &Target,
    addresses: &[SocketAddr],
    check: &HealthCheck,
) -> Result<(), String> {
    let mut wrong = "its name has no address".to_owned();
    for address in addresses {
        let answer = match &check.probe {
            Probe::Tcp => connect(*address).await,
            Probe::Http { path, expect } => {
                match get(tls, target, *address, path, check.timeout).await {
                    Ok(status) if expect.contains(&status) => Ok(()),
                    Ok(status) => return Err(format!("it answered with {status}")),
                    Err(error) => Err(innermost(&error)),
                }
            }
        };
        match answer {
            Ok(()) => return Ok(()),
            Err(why) => wrong = why,
        }
    }
    Err(wrong)
}

async fn connect(address: SocketAddr) -> Result<(), String> {
    TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string())
}

async fn get(
    tls: &UpstreamTls,
    target: &Target,
    address: SocketAddr,
    path: &str,
    timeout: Duration,
) -> reqwest::Result<u16> {
    let mut client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .timeout(timeout);
    let url = match target.secure.as_deref() {
        None => {
            // No authority is needed, and those of the system take time to read.
            client = client.tls_certs_only([]);
            format!("http://{address}{path}")
        }
        Some(name) => {
            client = secured(client, tls)?.resolve(name, address);
            // An address of IPv6 stands in brackets.
            let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
            format!("https://{name}:{}{path}", address.port())
        }
    };
    let request = client
        .build()?
        .get(url)
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")));
    Ok(request.send().await?.status().as_u16())
}

/// As requests of clients go to the target.
fn secured(mut client: ClientBuilder, tls: &UpstreamTls) -> reqwest::Result<ClientBuilder> {
    if let Some(authorities) = &tls.authorities {
        let certificates = authorities.iter().map(|der| Certificate::from_der(der));
        client = client.tls_certs_only(certificates.collect::<reqwest::Result<Vec<_>>>()?);
    }
    if let Some(identity) = &tls.identity {
        let mut text = String::new();
        for certificate in &identity.chain {
            pem(&mut text, "CERTIFICATE", certificate);
        }
        let label = match PrivateKeyDer::try_from(identity.key.expose()) {
            Ok(PrivateKeyDer::Pkcs1(_)) => "RSA PRIVATE KEY",
            Ok(PrivateKeyDer::Sec1(_)) => "EC PRIVATE KEY",
            Ok(_) | Err(_) => "PRIVATE KEY",
        };
        pem(&mut text, label, identity.key.expose());
        client = client.identity(Identity::from_pem(text.as_bytes())?);
    }
    Ok(if tls.unverified { client.tls_danger_accept_invalid_certs(true) } else { client })
}

fn pem(text: &mut String, label: &str, der: &[u8]) {
    let base64 = STANDARD.encode(der);
    for part in ["-----BEGIN ", label, "-----\n", &base64, "\n-----END ", label, "-----\n"] {
        text.push_str(part);
    }
}

/// What the system or the library beneath said.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
