//! Names of upstreams, looked up again now and then: an address that a name had when the file was
//! loaded may belong to somebody else by now.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;

use super::Gateway;
use crate::{
    compile::reaches,
    policy::{Policy, upstream::Target},
};

/// How often names are looked up.
const PERIOD: Duration = Duration::from_secs(30);

/// What names have become since the file was loaded, by the authority that they stand in.
#[derive(Debug, Default)]
pub struct Names(ArcSwap<HashMap<String, Arc<[SocketAddr]>>>);

impl Names {
    /// All addresses of a target.
    pub fn addresses(&self, target: &Target) -> Vec<SocketAddr> {
        (0..).map_while(|position| self.address(target, position)).collect()
    }

    /// An address of a target, counted from 0.
    pub fn address(&self, target: &Target, position: usize) -> Option<SocketAddr> {
        // Most targets are addresses already, and nothing is looked up for them on a request's way.
        if target.name.is_none() {
            return target.addresses.get(position).copied();
        }
        let known = self.0.load();
        let found = known.get(&target.authority);
        found.map_or(target.addresses.as_slice(), |found| found).get(position).copied()
    }

    /// Looks every name of the policy up. One that cannot be found stays what it was.
    fn look_up(&self, policy: &Policy, own: &[SocketAddr], find: impl Fn(&str) -> Vec<IpAddr>) {
        let mut known: HashMap<_, _> = (**self.0.load()).clone();
        for target in policy.upstreams.iter().flat_map(|upstream| upstream.service.targets()) {
            let Some((name, port)) = &target.name else { continue };
            let found = find(name).into_iter().map(|address| SocketAddr::new(address, *port));
            // A name that leads back here would lead round for ever.
            let is_other = |address: &SocketAddr| !own.iter().any(|own| reaches(*own, *address));
            let found: Vec<SocketAddr> = found.filter(is_other).collect();
            let before =
                known.get(&target.authority).map_or(target.addresses.as_slice(), |one| one);
            if found.is_empty() || found == before {
                continue;
            }
            tracing::debug!(event = "name_moved", authority = target.authority, ?found);
            known.insert(target.authority.clone(), found.into());
        }
        self.0.store(Arc::new(known));
    }
}

/// Looks names up again for as long as the gateway lives.
pub async fn follow(gateway: Arc<Gateway>) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first is at once, and loading the file looked them up.
    period.tick().await;
    loop {
        period.tick().await;
        let gateway = gateway.clone();
        let look = move || {
            let snapshot = gateway.snapshot();
            let mut own = gateway.listeners().to_vec();
            own.push(snapshot.serving().admin.listen);
            snapshot.names().look_up(snapshot.policy(), &own, addresses);
        };
        // The system's resolver blocks: not on a thread that serves.
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

/// The addresses that the system's resolver has for a name; none if it has none.
pub(super) fn addresses(name: &str) -> Vec<IpAddr> {
    let found = (name, 0).to_socket_addrs().into_iter().flatten();
    found.map(|address| address.ip()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compile::{Circumstances, compile},
        config::load_text,
    };

    const OWN: &str = "127.0.0.1:8080";

    fn policy() -> Policy {
        let text = "upstreams: { app: 'http://app.internal:9000', fixed: 'http://10.9.9.9' }\n\
                    defaults: { auth: none }\n\
                    routes: [{ match: { path: /a }, upstream: app }, { match: { path: /b }, upstream: fixed }]\n";
        let loaded = load_text("gateway.yaml", text, &|_| None);
        let addresses = [("app.internal".to_owned(), vec!["10.0.0.1".parse().unwrap()])];
        let known = Circumstances { addresses: addresses.into(), ..Circumstances::default() };
        compile(&loaded, &known).outcome.unwrap().policy
    }

    fn target<'p>(policy: &'p Policy, name: &str) -> &'p Target {
        let upstream = policy.upstreams.iter().find(|one| one.name.as_str() == name).unwrap();
        let [target] = upstream.service.targets() else { panic!("{name} has one target") };
        target
    }

    /// Where requests go once names have these addresses, one look after the other.
    fn after(looks: &[&[&str]]) -> Vec<String> {
        let (policy, names) = (policy(), Names::default());
        for found in looks {
            names.look_up(&policy, &[OWN.parse().unwrap()], |name| {
                assert_eq!(name, "app.internal", "an address is no name");
                found.iter().map(|address| address.parse().unwrap()).collect()
            });
        }
        let at = |position| names.address(target(&policy, "app"), position);
        assert_eq!(names.address(target(&policy, "fixed"), 0), "10.9.9.9:80".parse().ok());
        (0..9).map_while(at).map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_name_that_moved_is_followed() {
        assert_eq!(after(&[]), ["10.0.0.1:9000"]);
        assert_eq!(after(&[&["10.0.0.2", "10.0.0.3"]]), ["10.0.0.2:9000", "10.0.0.3:9000"]);
        assert_eq!(after(&[&["10.0.0.2"], &["10.0.0.1"]]), ["10.0.0.1:9000"]);
    }

    #[test]
    fn a_name_that_cannot_be_found_stays_what_it_was() {
        assert_eq!(after(&[&[]]), ["10.0.0.1:9000"]);
        assert_eq!(after(&[&["10.0.0.2"], &[]]), ["10.0.0.2:9000"]);
    }

    #[test]
    fn a_name_that_comes_to_lead_here_is_not_followed() {
        let (policy, names) = (policy(), Names::default());
        let own = "127.0.0.1:9000".parse().unwrap();
        names.look_up(&policy, &[own], |_| vec!["127.0.0.1".parse().unwrap()]);
        assert_eq!(names.address(target(&policy, "app"), 0), "10.0.0.1:9000".parse().ok());
    }
}
