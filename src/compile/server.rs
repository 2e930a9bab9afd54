//! `server`: where the gateway listens, and the bounds on what it accepts.

use std::net::SocketAddr;

use super::{Input, faults::Faults};
use crate::{
    config::{
        Config, codes,
        document::Site,
        server::Limits,
        values::{ListenAddress, Workers},
    },
    policy::server::{ConnectionLimits, RequestLimits, ServerTerms},
};

/// Reads what counts for each request.
pub(super) fn compile(input: &Input<'_>, faults: &mut Faults) -> ServerTerms {
    let config = input.config;
    let at = input.root().key("server");
    judge_listeners(config, at, faults);
    judge_limits(&config.server.limits, at.key("limits"), faults);
    for (index, network) in config.server.trusted_proxies.iter().enumerate() {
        if network.is_everybody() {
            faults
                .warning(
                    codes::TRUSTS_EVERYBODY,
                    at.key("trusted_proxies").item(index),
                    "every client is trusted to say where it comes from",
                )
                .help("name the networks of your own proxies only");
        }
    }
    ServerTerms {
        trusted_proxies: config.server.trusted_proxies.clone(),
        limits: request_limits(&config.server.limits),
        connections: ConnectionLimits {
            total: config.server.limits.connections,
            per_address: config.server.limits.connections_per_ip,
        },
    }
}

/// The addresses to serve on.
pub(super) fn addresses(config: &Config) -> Vec<SocketAddr> {
    match &config.server.listen {
        None => vec![ListenAddress::loopback(8080).0],
        Some(listen) => listen.as_slice().iter().map(|one| one.address().0).collect(),
    }
}

/// How many threads serve; none is one a core.
pub(super) fn workers(input: &Input<'_>, faults: &mut Faults) -> Option<u16> {
    match input.config.server.workers {
        Workers::Auto(_) => None,
        Workers::Number(0) => {
            faults
                .fault(
                    codes::INVALID_VALUE,
                    input.root().key("server").key("workers"),
                    "no thread would serve",
                )
                .help("`auto` is one a core");
            None
        }
        Workers::Number(number) => Some(number),
    }
}

fn judge_listeners(config: &Config, at: Site<'_>, faults: &mut Faults) {
    let listen = at.key("listen");
    let addresses = addresses(config);
    let mut seen = vec![(config.admin.listen.0, "the admin listener")];
    for (index, address) in addresses.into_iter().enumerate() {
        let taken =
            |(other, _): &&(SocketAddr, &str)| address.port() != 0 && clash(address, *other);
        if let Some((_, whose)) = seen.iter().find(taken) {
            faults
                .fault(
                    codes::DUPLICATE,
                    listen.item(index),
                    format!("`{address}` is taken by {whose}"),
                )
                .help("give each listener a port of its own");
        }
        seen.push((address, "another entry of this list"));
    }
}

fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let anywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && (one.ip() == other.ip() || (anywhere && one.is_ipv4() == other.is_ipv4()))
}

fn judge_limits(limits: &Limits, at: Site<'_>, faults: &mut Faults) {
    let bounds = [
        ("header_bytes", limits.header_bytes.0, 1 << 10, 1 << 20),
        ("uri_bytes", limits.uri_bytes.0, 64, 1 << 20),
    ];
    for (key, bytes, least, most) in bounds {
        if !(least..=most).contains(&bytes) {
            let message = format!("`{key}` is between {least} bytes and {}KiB", most >> 10);
            faults.fault(codes::OUT_OF_RANGE, at.key(key), message);
        }
    }
    let times = [("header_timeout", limits.header_timeout), ("idle_timeout", limits.idle_timeout)];
    for (key, period) in times {
        if period.0.is_zero() {
            faults
                .fault(
                    codes::OUT_OF_RANGE,
                    at.key(key),
                    format!("`{key}` of nothing would end every connection"),
                )
                .help("write how long it may take, such as `10s`");
        }
    }
}

fn request_limits(limits: &Limits) -> RequestLimits {
    RequestLimits {
        header_bytes: limits.header_bytes.0,
        header_count: u64::from(limits.header_count),
        uri_bytes: limits.uri_bytes.0,
        body: limits.body.0,
        header_timeout: limits.header_timeout.0,
        idle_timeout: limits.idle_timeout.0,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_listeners_clash_on_one_port_of_one_address() {
        let clash =
            |one: &str, other: &str| super::clash(one.parse().unwrap(), other.parse().unwrap());
        assert!(clash("127.0.0.1:80", "127.0.0.1:80"));
        assert!(clash("0.0.0.0:80", "127.0.0.1:80"));
        assert!(!clash("127.0.0.2:80", "127.0.0.1:80"));
        assert!(!clash("127.0.0.1:81", "127.0.0.1:80"));
        assert!(!clash("[::]:80", "127.0.0.1:80"));
    }
}
