//! Asks DNS servers for the addresses of names (RFC 1035, section 7): those that the file names, or
//! those of the system, whose list of hosts and search domains count then as well.

use std::{
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

/// How long names are waited for that are asked for together.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one server is waited for before another is asked, or the same again.
const WAIT: Duration = Duration::from_secs(2);

/// Names that are asked for at a time.
const AT_ONCE: usize = 8;

/// Asks the servers that are to be asked.
#[derive(Default)]
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
    made: Option<Arc<TokioResolver>>,
}

impl Resolver {
    /// Asks for names; nobody answered for those that there was no time for.
    pub async fn look_up(
        &mut self,
        servers: &[SocketAddr],
        names: Vec<String>,
    ) -> Vec<(String, Answers)> {
        let Some(resolver) = self.made_for(servers) else {
            return names.into_iter().map(|name| (name, Answers::unheard())).collect();
        };
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::with_capacity(names.len());
        for names in names.chunks(AT_ONCE) {
            let mut asked = JoinSet::new();
            for name in names {
                let (resolver, name) = (resolver.clone(), name.clone());
                asked.spawn(async move {
                    let answers = time::timeout_at(deadline, ask(&resolver, &name)).await;
                    (name, answers.unwrap_or_else(|_| Answers::unheard()))
                });
            }
            heard.extend(asked.join_all().await);
        }
        if servers.is_empty() && heard.iter().all(|(_, one)| *one == Answers::unheard()) {
            // The system may have others by now.
            self.made = None;
        }
        heard
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

/// Asks for names and waits, on a thread that does not serve.
pub(super) fn look_up_now(servers: &[SocketAddr], names: Vec<String>) -> Vec<(String, Answers)> {
    if names.is_empty() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(Resolver::default().look_up(servers, names)),
        Err(_) => names.into_iter().map(|name| (name, Answers::unheard())).collect(),
    }
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
