//! Asks DNS servers for the addresses of names (RFC 1035, section 7): those that the file names, or
//! those of the system, whose list of hosts and search domains count then as well.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RecordType,
};
use tokio::{
    task::JoinSet,
    time::{self, Instant},
};

use super::{Answer, Answers};
use crate::model::canonical;

/// How long a name is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one server is waited for before another is asked, or the same again.
const WAIT: Duration = Duration::from_secs(2);

/// Names that are asked for at a time.
const AT_ONCE: usize = 32;

/// Asks the servers that are to be asked, for many names at a time: one that nobody answers for keeps
/// no other from being asked for.
#[derive(Default)]
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
    made: Option<Arc<TokioResolver>>,
    asked: JoinSet<(String, Answers)>,
    under_way: HashSet<String>,
}

impl Resolver {
    /// Asks for those of these names that it does not wait for already, as far as there is room.
    pub fn ask(&mut self, servers: &[SocketAddr], names: &[String]) {
        for name in names {
            if self.under_way.len() >= AT_ONCE {
                return;
            }
            if !self.under_way.insert(name.clone()) {
                continue;
            }
            let (resolver, name) = (self.made_for(servers), name.clone());
            self.asked.spawn(async move {
                let answers = match resolver {
                    Some(resolver) => time::timeout(PATIENCE, ask(&resolver, &name)).await.ok(),
                    None => None,
                };
                (name, answers.unwrap_or_else(Answers::unheard))
            });
        }
    }

    /// What is heard of the next name, nothing if its time is over; waits for as long as none is asked
    /// for.
    pub async fn heard(&mut self) -> (String, Answers) {
        loop {
            match self.asked.join_next().await {
                Some(Ok((name, answers))) => {
                    self.under_way.remove(&name);
                    if self.servers.is_empty() && answers == Answers::unheard() {
                        // The system may have others by now.
                        self.made = None;
                    }
                    return (name, answers);
                }
                Some(Err(_)) => {}
                None => {
                    self.under_way.clear();
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    fn made_for(&mut self, servers: &[SocketAddr]) -> Option<Arc<TokioResolver>> {
        if self.servers != servers || self.made.is_none() {
            self.servers = servers.to_vec();
            self.made = match make(servers) {
                Ok(made) => Some(Arc::new(made)),
                Err(error) => {
                    tracing::warn!(event = "resolver_failed", %error, "names cannot be asked for");
                    None
                }
            };
        }
        self.made.clone()
    }
}

/// Asks for names and waits, on a thread that does not serve. Of those that there was no time for
/// nothing is said.
pub(super) fn look_up_now(servers: &[SocketAddr], names: Vec<String>) -> Vec<(String, Answers)> {
    if names.is_empty() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    runtime.block_on(async {
        let deadline = Instant::now() + PATIENCE;
        let (mut resolver, mut left, mut heard) = (Resolver::default(), names, Vec::new());
        while !left.is_empty() {
            resolver.ask(servers, &left);
            let Ok(one) = time::timeout_at(deadline, resolver.heard()).await else { break };
            left.retain(|name| *name != one.0);
            heard.push(one);
        }
        heard
    })
}

fn make(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let provider = TokioRuntimeProvider::default;
    let with = |servers: &[SocketAddr]| {
        let servers = servers.iter().map(|server| {
            let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = server.port();
            }
            NameServerConfig::new(server.ip(), true, connections.to_vec())
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(config, provider())
    };
    let mut builder = if servers.is_empty() {
        // Where the system names none it is this machine (resolv.conf(5)).
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
        TokioResolver::builder(provider()).unwrap_or_else(|_| with(&[own]))
    } else {
        with(servers)
    };
    let options: &mut ResolverOpts = builder.options_mut();
    // When to ask again is for us to say.
    options.cache_size = 0;
    options.timeout = WAIT;
    options.use_hosts_file =
        if servers.is_empty() { ResolveHosts::Always } else { ResolveHosts::Never };
    builder.build()
}

async fn ask(resolver: &TokioResolver, name: &str) -> Answers {
    let (v4, v6) = tokio::join!(
        ask_for(resolver, name, RecordType::A),
        ask_for(resolver, name, RecordType::AAAA)
    );
    Answers { v4, v6 }
}

async fn ask_for(resolver: &TokioResolver, name: &str, kind: RecordType) -> Answer {
    match resolver.lookup(name, kind).await {
        Ok(lookup) => {
            let time = lookup.valid_until().saturating_duration_since(std::time::Instant::now());
            let found = lookup.answers().iter().filter_map(|record| record.data.ip_addr());
            Answer::Found(found.map(canonical).collect(), time)
        }
        Err(error) if error.is_no_records_found() => Answer::Denied,
        Err(error) => {
            tracing::debug!(event = "name_unheard", name, %error);
            Answer::Unheard
        }
    }
}
