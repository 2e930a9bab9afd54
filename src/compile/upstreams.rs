//! `upstreams`: the services behind the gateway.

mod balancing;
mod secure;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use super::{
    Input,
    faults::{Faults, undefined},
};
use crate::{
    config::{
        Config, codes,
        document::Site,
        upstreams::{
            Distinction, ProbeKind, Protocol as WrittenProtocol, Target as WrittenTarget,
            Timeouts as WrittenTimeouts, Upstream as Written, UpstreamSettings,
            UpstreamTls as WrittenTls,
        },
        values::{HostHeader as WrittenHost, TargetUrl, UpstreamRef},
    },
    model::{UpstreamName, canonical},
    policy::{
        route::{Difference, Distinguishes},
        upstream::{Balance, HostHeader, Protocol, Service, Target, Timeouts, Upstream},
    },
};

/// The upstreams of the file, those of a route's own URL among them as routes ask for them.
pub(super) struct Upstreams<'c> {
    input: &'c Input<'c>,
    known: BTreeMap<UpstreamName, Found>,
    listeners: Vec<(SocketAddr, &'static str)>,
}

/// An upstream, and what it says of its timeouts: a route's own word, then `defaults`, then this.
pub(super) struct Found {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// Its timeouts as written.
    pub timeouts: WrittenTimeouts,
}

/// Reads `upstreams`.
pub(super) fn compile<'c>(input: &'c Input<'c>, faults: &mut Faults) -> Upstreams<'c> {
    let listeners = listeners(input.config);
    let mut upstreams = Upstreams { input, known: BTreeMap::new(), listeners };
    let place = input.root().key("upstreams");
    // By name once: a look-up of each would be quadratic in a file with thousands.
    let sites: HashMap<&str, Site<'_>> =
        place.entries().map(|entry| (entry.name, entry.value)).collect();
    for (name, written) in input.config.upstreams.iter() {
        let at = sites.get(name.as_str()).copied().unwrap_or(place);
        let found = match written {
            Written::Short(url) => upstreams.target(url, 1, None, at, faults).map(|target| Found {
                upstream: Arc::new(plain(name.clone(), Service::Targets(vec![target]))),
                timeouts: WrittenTimeouts::default(),
            }),
            Written::Long(settings) => upstreams.settle(name, settings, at, faults),
        };
        if let Some(found) = found {
            upstreams.known.insert(name.clone(), found);
        }
    }
    upstreams
}

impl Upstreams<'_> {
    /// The upstream that a route names.
    pub fn find(
        &mut self,
        reference: &UpstreamRef,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<&Found> {
        match reference {
            UpstreamRef::Name(name) => {
                let upstreams = &self.input.config.upstreams;
                let unread = upstreams.is_empty() && self.input.is_faulty("upstreams");
                if !self.known.contains_key(name) && !upstreams.has(name) && !unread {
                    let names = upstreams.names().map(|name| name.as_str());
                    let message = format!("upstream `{name}` is not defined");
                    faults.fault(codes::UNKNOWN_UPSTREAM, at, message).help(undefined(
                        name.as_str(),
                        names,
                        "Upstreams are defined under `upstreams`",
                    ));
                }
                self.known.get(name)
            }
            UpstreamRef::Url(url) => {
                let scheme = if url.secure { "https" } else { "http" };
                let name = UpstreamName::from(format!("{scheme}://{}", url.authority));
                if !self.known.contains_key(&name) {
                    let target = self.target(url, 1, None, at, faults)?;
                    let upstream = Arc::new(plain(name.clone(), Service::Targets(vec![target])));
                    let found = Found { upstream, timeouts: WrittenTimeouts::default() };
                    self.known.insert(name.clone(), found);
                }
                self.known.get(&name)
            }
        }
    }

    /// All of them.
    pub fn into_all(self) -> Vec<Arc<Upstream>> {
        self.known.into_values().map(|found| found.upstream).collect()
    }

    fn settle(
        &self,
        name: &UpstreamName,
        settings: &UpstreamSettings,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<Found> {
        let mut upstream = Upstream {
            host: match &settings.host {
                None | Some(WrittenHost::Preserve) => HostHeader::Preserve,
                Some(WrittenHost::Target) => HostHeader::Target,
                Some(WrittenHost::Literal(host)) => HostHeader::Literal(host.clone()),
            },
            protocol: protocol(self.input, settings, at, faults),
            distinguishes: match self.input.lacks(at, "distinguishes") {
                // What it would keep apart is not known: nothing is said of it.
                true => Difference::ALL.into_iter().collect(),
                false => settings.distinguishes.iter().map(difference).collect(),
            },
            timeouts: timeouts([&settings.timeouts]),
            ..plain(name.clone(), Service::Echo)
        };
        balancing::settle(self.input, &mut upstream, settings, at, faults);
        judge_timeouts(&settings.timeouts, at.key("timeouts"), faults);
        if let Some(written) = &settings.tls {
            let tls = secure::compile(self.input, written, at.key("tls"), faults);
            upstream.tls = tls.map(Arc::new)?;
        }
        upstream.service = self.service(name, settings, at, faults)?;
        Some(Found { upstream: Arc::new(upstream), timeouts: settings.timeouts })
    }

    fn service(
        &self,
        name: &UpstreamName,
        settings: &UpstreamSettings,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<Service> {
        match (settings.builtin, settings.targets.as_deref()) {
            (Some(_), None) => Some(Service::Echo),
            (None, Some(targets)) => {
                let targets = self.targets(targets, settings, at.key("targets"), faults)?;
                let in_clear = targets.iter().all(|target| target.secure.is_none());
                if settings.tls.is_some() && in_clear {
                    faults
                        .fault(codes::CONTRADICTION, at.key("tls"), "no target speaks TLS")
                        .help("write the targets' URLs with `https`, or remove `tls`");
                }
                Some(Service::Targets(targets))
            }
            (None, None) if self.input.lacks_any(at, &["builtin", "targets"]) => None,
            (None, None) => {
                faults
                    .fault(codes::MISSING_KEY, at, format!("upstream `{name}` leads nowhere"))
                    .help("add `targets: [http://127.0.0.1:9000]`");
                None
            }
            (Some(_), Some(_)) => {
                faults
                    .fault(
                        codes::CONTRADICTION,
                        at.key("builtin"),
                        format!("upstream `{name}` has both `builtin` and `targets`"),
                    )
                    .help("remove one of them");
                None
            }
        }
    }

    fn targets(
        &self,
        written: &[WrittenTarget],
        settings: &UpstreamSettings,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<Vec<Target>> {
        let mut seen = BTreeSet::new();
        let mut sound = true;
        let mut targets = Vec::with_capacity(written.len());
        for (index, target) in written.iter().enumerate() {
            let (url, at) = (target.url(), at.item(index));
            if !seen.insert(url.authority.to_ascii_lowercase()) {
                faults
                    .fault(codes::DUPLICATE, at, format!("`{}` stands here twice", url.authority))
                    .help("give a target a larger share by its `weight`");
                sound = false;
            }
            match self.target(url, target.weight(), settings.tls.as_ref(), at, faults) {
                Some(target) => targets.push(target),
                None => sound = false,
            }
        }
        // An empty list was refused when it was read.
        (sound && !targets.is_empty()).then_some(targets)
    }

    fn target(
        &self,
        url: &TargetUrl,
        weight: u32,
        tls: Option<&WrittenTls>,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<Target> {
        let addresses = self.addresses(url);
        for (listener, whose) in &self.listeners {
            let is_own = self.input.circumstances.is_own;
            if addresses.iter().any(|address| reaches(*listener, *address, is_own)) {
                faults
                    .fault(
                        codes::OWN_LISTENER,
                        at,
                        format!("`{}` is the gateway's own {whose} listener", url.authority),
                    )
                    .help("an upstream is another server: give its address");
                return None;
            }
        }
        let name = name_of(url).map(|name| (name, url.port));
        let secure = secure::name(url, tls);
        Some(Target { authority: url.authority.clone(), addresses, name, weight, secure })
    }

    /// The addresses of a target: its own if it is one, both loopback addresses for `localhost`
    /// (RFC 6761, section 6.3), else what the circumstances know of the name.
    fn addresses(&self, url: &TargetUrl) -> Vec<SocketAddr> {
        let at = |address: IpAddr| SocketAddr::new(canonical(address), url.port);
        if let Ok(address) = url.host.parse::<IpAddr>() {
            return vec![at(address)];
        }
        let name = url.host.trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" || name.ends_with(".localhost") {
            return vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())];
        }
        let known = self.input.circumstances.addresses.get(&name);
        known.into_iter().flatten().map(|address| at(*address)).collect()
    }
}

/// The names that have to be looked up before the file is compiled for serving.
pub(super) fn names(config: &Config) -> impl Iterator<Item = String> + '_ {
    let named = config.upstreams.iter().flat_map(|(_, upstream)| match upstream {
        Written::Short(url) => vec![url],
        Written::Long(settings) => {
            settings.targets.iter().flatten().map(|target| target.url()).collect()
        }
    });
    let of_routes = config.routes.iter().filter_map(|(_, route)| match &route.upstream {
        Some(UpstreamRef::Url(url)) => Some(url),
        Some(UpstreamRef::Name(_)) | None => None,
    });
    named.chain(of_routes).filter_map(name_of)
}

/// The name that has to be looked up, if it is one.
fn name_of(url: &TargetUrl) -> Option<String> {
    let name = url.host.trim_end_matches('.').to_ascii_lowercase();
    let local = name == "localhost" || name.ends_with(".localhost");
    (!local && name.parse::<IpAddr>().is_err()).then_some(name)
}

/// Refuses times that nothing could keep.
pub(super) fn judge_timeouts(written: &WrittenTimeouts, at: Site<'_>, faults: &mut Faults) {
    let times =
        [("connect", written.connect), ("response", written.response), ("idle", written.idle)];
    for (key, period) in times {
        if period.is_some_and(|period| period.0.is_zero()) {
            faults
                .fault(
                    codes::OUT_OF_RANGE,
                    at.key(key),
                    format!("`{key}` of nothing would fail every request"),
                )
                .help("there is no word for any length of time: write a long one such as `1h`");
        }
    }
}

/// The first word on each timeout, in order of precedence.
pub(super) fn timeouts<const N: usize>(written: [&WrittenTimeouts; N]) -> Timeouts {
    let default = Timeouts::default();
    let first = |of: fn(&WrittenTimeouts) -> Option<crate::config::values::Period>| {
        written.iter().find_map(|one| of(one)).map(|period| period.0)
    };
    Timeouts {
        connect: first(|one| one.connect).unwrap_or(default.connect),
        response: first(|one| one.response).unwrap_or(default.response),
        idle: first(|one| one.idle).unwrap_or(default.idle),
    }
}

fn plain(name: UpstreamName, service: Service) -> Upstream {
    Upstream {
        name,
        service,
        protocol: Protocol::Http1,
        host: HostHeader::Preserve,
        distinguishes: Distinguishes::default(),
        timeouts: Timeouts::default(),
        tls: Arc::default(),
        balance: Balance::default(),
        health_check: None,
        ejection: None,
        retries: None,
        bounds: None,
        slow_start: None,
    }
}

fn protocol(
    input: &Input<'_>,
    settings: &UpstreamSettings,
    at: Site<'_>,
    faults: &mut Faults,
) -> Protocol {
    let asks_by_grpc =
        settings.health_check.as_ref().is_some_and(|check| check.kind == ProbeKind::Grpc);
    if !matches!(settings.protocol, Some(WrittenProtocol::Http2)) {
        if asks_by_grpc && !input.lacks(at, "protocol") {
            faults
                .fault(
                    codes::CONTRADICTION,
                    at.key("health_check").key("type"),
                    "gRPC needs HTTP/2, and nothing else than HTTP/1.1 is spoken to the targets",
                )
                .help("add `protocol: http2` to the upstream, or check by `http` or `tcp`");
        }
        return Protocol::Http1;
    }
    if settings.builtin.is_some() {
        faults
            .fault(
                codes::CONTRADICTION,
                at.key("protocol"),
                "nothing is sent to a built-in service",
            )
            .help("remove the key");
    }
    Protocol::Http2
}

const fn difference(written: &Distinction) -> Difference {
    match written {
        Distinction::Case => Difference::Case,
        Distinction::DoubleEncoding => Difference::DoubleEncoding,
        Distinction::EmptySegments => Difference::EmptySegments,
        Distinction::EncodedSlash => Difference::EncodedSlash,
        Distinction::Parameters => Difference::Parameters,
    }
}

fn listeners(config: &Config) -> Vec<(SocketAddr, &'static str)> {
    let proxy = super::server::addresses(config).into_iter().map(|address| (address, "proxy"));
    proxy.chain([(config.admin.listen.0, "admin")]).collect()
}

/// Whether who connects to `address` reaches this listener, as far as that can be told.
pub fn reaches(listener: SocketAddr, address: SocketAddr, is_own: fn(IpAddr) -> bool) -> bool {
    let (here, there) = (canonical(listener.ip()), canonical(address.ip()));
    listener.port() != 0
        && listener.port() == address.port()
        && (here == there
            || (here.is_unspecified() && (there.is_loopback() || is_own(there)))
            || there.is_unspecified())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    #[test]
    fn a_listener_on_every_address_is_reached_by_loopback_and_by_those_of_the_machine() {
        let reaches = |listener: &str, address: &str| {
            let is_own = |address: IpAddr| address == IpAddr::from([192, 0, 2, 7]);
            super::reaches(listener.parse().unwrap(), address.parse().unwrap(), is_own)
        };
        assert!(reaches("0.0.0.0:8080", "127.0.0.1:8080"));
        assert!(reaches("[::]:8080", "127.0.0.1:8080"));
        assert!(reaches("127.0.0.1:8080", "0.0.0.0:8080"));
        assert!(!reaches("0.0.0.0:8080", "127.0.0.1:8081"));
        assert!(!reaches("0.0.0.0:8080", "10.0.0.1:8080"));
        assert!(reaches("0.0.0.0:8080", "192.0.2.7:8080"));
        assert!(!reaches("0.0.0.0:8080", "192.0.2.7:8081"));
        assert!(!reaches("127.0.0.1:8080", "192.0.2.7:8080"));
        assert!(!reaches("127.0.0.1:0", "127.0.0.1:9000"));
    }
}
