//! Names of upstreams and what they mean, which is asked anew whenever it may have changed: an
//! address that a name had may belong to somebody else by now.
//!
//! What is known of a name outlives a reload, and the servers that are asked being away.

mod known;
mod resolver;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::Gateway;
use crate::{
    compile::reaches,
    gateway::own::is_own,
    policy::{Policy, upstream::Target},
};
use known::Known;
pub use known::{Answer, Answers};
use resolver::Resolver;

/// How often it is looked whose time is over.
const TURN: Duration = Duration::from_secs(1);

/// What names mean.
#[derive(Debug, Default)]
pub struct Names {
    /// By name.
    known: Mutex<HashMap<String, Known>>,
    /// What targets' names have become since the file was loaded, by the authority that they stand
    /// in.
    found: ArcSwap<HashMap<String, Arc<[SocketAddr]>>>,
}

impl Names {
    /// What is known of these names by now: what was known before, and what is heard of the others.
    /// Waits for that, so not for a thread that serves.
    pub(super) fn load(
        wanted: BTreeSet<String>,
        servers: &[SocketAddr],
        old: Option<&Self>,
    ) -> Self {
        let mut known: HashMap<String, Known> = HashMap::new();
        if let Some(old) = old {
            known.extend(old.known.lock().iter().map(|(name, one)| (name.clone(), one.clone())));
            known.retain(|name, _| wanted.contains(name));
        }
        let unheard: Vec<String> =
            wanted.into_iter().filter(|name| !known.contains_key(name)).collect();
        let heard = resolver::look_up_now(servers, unheard.clone());
        let mut heard: HashMap<String, Answers> = heard.into_iter().collect();
        for name in unheard {
            let mut one = Known::default();
            // What nothing was heard of yet is asked for at once.
            if let Some(answers) = heard.remove(&name) {
                one.learn(answers, Instant::now());
            }
            if one.addresses().next().is_none() {
                tracing::warn!(event = "name_unknown", name, "no address is known of a name");
            }
            known.insert(name, one);
        }
        Self { known: Mutex::new(known), found: ArcSwap::default() }
    }

    /// The addresses of every name, as far as they are known.
    pub(super) fn all(&self) -> BTreeMap<String, Vec<IpAddr>> {
        let known = self.known.lock();
        known.iter().map(|(name, one)| (name.clone(), one.addresses().collect())).collect()
    }

    /// All addresses of a target.
    pub fn addresses(&self, target: &Target) -> Vec<SocketAddr> {
        (0..).map_while(|position| self.address(target, 0, position)).collect()
    }

    /// An address of a target, counted from 0. Of a name's, those of the first family are begun
    /// with at another each `turn`, so that each gets its share; the others come after them.
    pub fn address(&self, target: &Target, turn: usize, position: usize) -> Option<SocketAddr> {
        // Most targets are addresses already, and nothing is looked up for them on a request's way.
        if target.name.is_none() {
            return target.addresses.get(position).copied();
        }
        let known = self.found.load();
        let found = known.get(&target.authority);
        let all = found.map_or(target.addresses.as_slice(), |found| found);
        let family = all.first()?.is_ipv4();
        let first = all.iter().take_while(|address| address.is_ipv4() == family).count();
        let place = if position < first { turn.wrapping_add(position) % first } else { position };
        all.get(place).copied()
    }

    /// The names whose time is over, those first that were asked for longest ago.
    fn due(&self, now: Instant) -> Vec<String> {
        let known = self.known.lock();
        let mut over: Vec<_> = known.iter().filter(|(_, one)| one.is_due(now)).collect();
        over.sort_by_key(|(_, one)| one.due());
        over.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// Learns what was heard of names.
    fn learn(
        &self,
        heard: impl IntoIterator<Item = (String, Answers)>,
        policy: &Policy,
        own: &[SocketAddr],
        now: Instant,
    ) {
        let mut known = self.known.lock();
        for (name, answers) in heard {
            // It may have gone from the file meanwhile.
            let Some(one) = known.get_mut(&name) else { continue };
            let before: Vec<IpAddr> = one.addresses().collect();
            let was_heard = one.is_heard();
            one.learn(answers, now);
            let after: Vec<IpAddr> = one.addresses().collect();
            if before != after {
                tracing::info!(event = "name_moved", name, addresses = ?after);
            }
            if was_heard && !one.is_heard() {
                tracing::warn!(event = "name_unheard", name, "it stays what it was");
            }
        }
        let mut found = HashMap::new();
        for target in policy.upstreams.iter().flat_map(|upstream| upstream.service.targets()) {
            let Some((name, port)) = &target.name else { continue };
            let Some(one) = known.get(name) else { continue };
            // A name that leads back here would lead round for ever.
            let is_other =
                |address: &SocketAddr| !own.iter().any(|own| reaches(*own, *address, is_own));
            let addresses = one.addresses().map(|address| SocketAddr::new(address, *port));
            found.insert(target.authority.clone(), addresses.filter(is_other).collect());
        }
        self.found.store(Arc::new(found));
    }
}

/// Asks for names again for as long as the gateway lives.
pub async fn follow(gateway: Arc<Gateway>) {
    let mut turns = tokio::time::interval(TURN);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut resolver = Resolver::default();
    loop {
        tokio::select! {
            _ = turns.tick() => {
                let snapshot = gateway.snapshot();
                let due = snapshot.names().due(Instant::now());
                resolver.ask(&snapshot.serving().resolver, &due);
            }
            heard = resolver.heard() => {
                // Whatever is live by now learns of it.
                let snapshot = gateway.snapshot();
                let mut own = gateway.listeners().to_vec();
                own.push(snapshot.serving().admin.listen);
                snapshot.names().learn([heard], snapshot.policy(), &own, Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compile::{Circumstances, compile},
        config::load_text,
    };

    const OWN: &str = "127.0.0.1:8080";

    /// What is known when the file was loaded: `app.internal` at 10.0.0.1.
    fn loaded() -> Names {
        let names = Names::default();
        let mut known = Known::default();
        known.learn(heard(&["10.0.0.1"]), Instant::now());
        names.known.lock().insert("app.internal".to_owned(), known);
        names
    }

    fn policy(names: &Names) -> Policy {
        let text = "upstreams: { app: 'http://app.internal:9000', fixed: 'http://10.9.9.9' }\n\
                    defaults: { auth: none }\n\
                    routes: [{ match: { path: /a }, upstream: app }, { match: { path: /b }, upstream: fixed }]\n";
        let loaded = load_text("gateway.yaml", text, &|_| None);
        let known = Circumstances { addresses: names.all(), ..Circumstances::default() };
        compile(&loaded, &known).outcome.unwrap().policy
    }

    fn target<'p>(policy: &'p Policy, name: &str) -> &'p Target {
        let upstream = policy.upstreams.iter().find(|one| one.name.as_str() == name).unwrap();
        let [target] = upstream.service.targets() else { panic!("{name} has one target") };
        target
    }

    /// Addresses of both families.
    fn heard(addresses: &[&str]) -> Answers {
        let of = |v4: bool| {
            let all = addresses.iter().map(|text| text.parse::<IpAddr>().unwrap());
            let found: Vec<_> = all.filter(|address| address.is_ipv4() == v4).collect();
            match found.is_empty() {
                true => Answer::Denied,
                false => Answer::Found(found, Duration::from_secs(30)),
            }
        };
        Answers { v4: of(true), v6: of(false) }
    }

    fn unheard() -> Answers {
        Answers { v4: Answer::Unheard, v6: Answer::Unheard }
    }

    /// Where requests go once this was heard, one answer after the other.
    fn after(answers: Vec<Answers>) -> Vec<String> {
        let names = loaded();
        let policy = policy(&names);
        for heard in answers {
            let one = [("app.internal".to_owned(), heard)];
            names.learn(one, &policy, &[OWN.parse().unwrap()], Instant::now());
        }
        assert_eq!(names.address(target(&policy, "fixed"), 7, 0), "10.9.9.9:80".parse().ok());
        let all = names.addresses(target(&policy, "app"));
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_that_moved_is_followed() {
        assert_eq!(after(vec![]), ["10.0.0.1:9000"]);
        assert_eq!(
            after(vec![heard(&["10.0.0.2", "10.0.0.3"])]),
            ["10.0.0.2:9000", "10.0.0.3:9000"]
        );
        assert_eq!(after(vec![heard(&["10.0.0.2"]), heard(&["10.0.0.1"])]), ["10.0.0.1:9000"]);
        assert_eq!(
            after(vec![heard(&["2001:db8::1", "10.0.0.2"])]),
            ["10.0.0.2:9000", "[2001:db8::1]:9000"]
        );
    }

    #[test]
    fn a_name_that_cannot_be_asked_for_stays_what_it_was() {
        assert_eq!(after(vec![unheard(), unheard(), unheard()]), ["10.0.0.1:9000"]);
        assert_eq!(after(vec![heard(&["10.0.0.2"]), unheard()]), ["10.0.0.2:9000"]);
    }

    #[test]
    fn a_name_that_is_no_more_leads_nowhere_once_that_was_said_twice() {
        let gone = || heard(&[]);
        assert_eq!(after(vec![gone()]), ["10.0.0.1:9000"]);
        assert!(after(vec![gone(), gone()]).is_empty());
        assert_eq!(after(vec![gone(), heard(&["10.0.0.1"]), gone()]), ["10.0.0.1:9000"]);
        assert_eq!(after(vec![gone(), gone(), heard(&["10.0.0.4"])]), ["10.0.0.4:9000"]);
    }

    #[test]
    fn a_name_that_comes_to_lead_here_is_not_followed() {
        let names = loaded();
        let policy = policy(&names);
        let own = "127.0.0.1:9000".parse().unwrap();
        let one = [("app.internal".to_owned(), heard(&["127.0.0.1", "10.0.0.5"]))];
        names.learn(one, &policy, &[own], Instant::now());
        assert_eq!(names.addresses(target(&policy, "app")), ["10.0.0.5:9000".parse().unwrap()]);
    }

    #[test]
    fn each_address_of_a_name_gets_its_share_and_the_other_family_is_left_for_trouble() {
        let names = loaded();
        let policy = policy(&names);
        let all = heard(&["10.0.0.1", "10.0.0.2", "2001:db8::1"]);
        names.learn([("app.internal".to_owned(), all)], &policy, &[], Instant::now());
        let app = target(&policy, "app");
        let way = |turn| {
            let at = |position| names.address(app, turn, position);
            (0..9).map_while(at).map(|address| address.ip().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(way(0), ["10.0.0.1", "10.0.0.2", "2001:db8::1"]);
        assert_eq!(way(1), ["10.0.0.2", "10.0.0.1", "2001:db8::1"]);
        assert_eq!(way(usize::MAX).len(), 3);
    }

    #[test]
    fn a_name_outlives_a_reload_and_one_that_nobody_asks_for_does_not() {
        let old = loaded();
        let again = Names::load(["app.internal".to_owned()].into(), &[], Some(&old));
        assert_eq!(again.all()["app.internal"], ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(Names::load(BTreeSet::new(), &[], Some(&old)).all().is_empty());
    }
}
