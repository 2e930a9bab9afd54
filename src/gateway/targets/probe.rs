//! Asks targets whether they are well.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::header;
use tokio::{net::TcpStream, time};

use super::Pool;
use crate::{
    gateway::Gateway,
    policy::upstream::{HealthCheck, Probe, Target},
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
    let client = match client(&check) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(event = "no_health_check", upstream = %pool.upstream().name, %error);
            return;
        }
    };
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
        let asked = ask(&client, &target, &addresses, &check.probe);
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

fn client(check: &HealthCheck) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .connect_timeout(check.timeout)
        .timeout(check.timeout + Duration::from_secs(1))
        .build()
}

/// Asks the first of a target's addresses that can be connected to.
///
/// # Errors
/// What is wrong with it.
async fn ask(
    client: &reqwest::Client,
    target: &Target,
    addresses: &[SocketAddr],
    probe: &Probe,
) -> Result<(), String> {
    let mut wrong = "its name has no address".to_owned();
    for address in addresses {
        let answer = match probe {
            Probe::Tcp => connect(*address).await,
            Probe::Http { path, expect } => match get(client, target, *address, path).await {
                Ok(status) if expect.contains(&status) => Ok(()),
                Ok(status) => return Err(format!("it answered with {status}")),
                Err(why) => Err(why),
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
    client: &reqwest::Client,
    target: &Target,
    address: SocketAddr,
    path: &str,
) -> Result<u16, String> {
    let request = client
        .get(format!("http://{address}{path}"))
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")));
    let answer = request.send().await.map_err(|error| {
        let cause: &dyn std::error::Error = &error;
        // The innermost says what the system said.
        let mut cause = cause;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        cause.to_string()
    })?;
    Ok(answer.status().as_u16())
}
