//! Asks targets whether they are well.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, StatusCode, header};
use reqwest::{Certificate, ClientBuilder, Identity, RequestBuilder};
use rustls_pki_types::PrivateKeyDer;
use tokio::{net::TcpStream, time};

use super::Pool;
use crate::{
    gateway::Gateway,
    policy::upstream::{HealthCheck, Probe, Protocol, Target, Upstream, UpstreamTls},
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
        let asked = ask(pool.upstream(), &target, &addresses, &check);
        let answer = time::timeout(check.timeout, asked).await;
        let wrong = match answer {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why),
            Err(_) => Some("it did not answer in time".to_owned()),
        };
        let Some(entry) = pool.targets.get(index) else { return };
        if entry.standing.checked(wrong.is_none(), &check, SystemTime::now().into()) {
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
    upstream: &Upstream,
    target: &Target,
    addresses: &[SocketAddr],
    check: &HealthCheck,
) -> Result<(), String> {
    let mut wrong = "its name has no address".to_owned();
    for address in addresses {
        let answer = match &check.probe {
            Probe::Tcp => connect(*address).await,
            Probe::Http { path, expect } => {
                match get(upstream, target, *address, path, check.timeout).await {
                    Ok(status) if expect.contains(&status) => Ok(()),
                    Ok(status) => return Err(format!("it answered with {status}")),
                    Err(error) => Err(innermost(&error)),
                }
            }
            Probe::Grpc => match call(upstream, target, *address, check.timeout).await {
                Ok(answer) => return answer.map_err(str::to_owned),
                Err(error) => Err(innermost(&error)),
            },
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
    upstream: &Upstream,
    target: &Target,
    address: SocketAddr,
    path: &str,
    timeout: Duration,
) -> reqwest::Result<u16> {
    let request = request(Method::GET, upstream, target, address, path, timeout)?;
    Ok(request.send().await?.status().as_u16())
}

/// The method of the health checking protocol of gRPC.
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// A message without fields: a byte that says that it is not compressed, and its length.
const EMPTY: [u8; 5] = [0; 5];

/// The message that says that it serves: field 1 is 1.
const SERVING: [u8; 7] = [0, 0, 0, 0, 2, 8, 1];

/// Asks whether the server as a whole serves.
async fn call(
    upstream: &Upstream,
    target: &Target,
    address: SocketAddr,
    timeout: Duration,
) -> reqwest::Result<Result<(), &'static str>> {
    let request = request(Method::POST, upstream, target, address, CHECK, timeout)?
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(EMPTY.to_vec());
    let mut answer = request.send().await?;
    if answer.status() != StatusCode::OK || answer.headers().contains_key("grpc-status") {
        return Ok(Err("it has no health service, or that failed"));
    }
    let mut message = Vec::new();
    while message.len() < SERVING.len() {
        let Some(piece) = answer.chunk().await? else { break };
        message.extend_from_slice(&piece);
    }
    Ok(if message == SERVING { Ok(()) } else { Err("it says that it does not serve") })
}

fn request(
    method: Method,
    upstream: &Upstream,
    target: &Target,
    address: SocketAddr,
    path: &str,
    timeout: Duration,
) -> reqwest::Result<RequestBuilder> {
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
            client = secured(client, &upstream.tls)?.resolve(name, address);
            // An address of IPv6 stands in brackets.
            let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
            format!("https://{name}:{}{path}", address.port())
        }
    };
    client = match upstream.protocol {
        Protocol::Http1 => client.http1_only(),
        Protocol::Http2 => client.http2_prior_knowledge(),
    };
    let request = client.build()?.request(method, url);
    let request = match upstream.protocol {
        Protocol::Http1 => request.header(header::HOST, &target.authority),
        // It says whom it asks by its URL alone.
        Protocol::Http2 => request,
    };
    Ok(request.header(header::USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION"))))
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
