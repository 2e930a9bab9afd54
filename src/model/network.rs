//! Addresses and networks, with IPv4-mapped IPv6 folded to IPv4 everywhere.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;

/// The address as policy sees it: `::ffff:a.b.c.d` is `a.b.c.d`.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What one client is given and counts by: an address, of IPv6 the first of its /64.
pub fn client_network(address: IpAddr) -> IpAddr {
    match canonical(address) {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
    }
}

/// Parses one hop of `X-Forwarded-For`: an address, with a port or brackets dropped.
pub fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(canonical(address));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(canonical(socket.ip()));
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse().ok().map(canonical)
}

/// A network in CIDR notation; a bare address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr(IpNet);

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrFault {
    /// Not an address with an optional prefix length.
    #[error("`{0}` is not a network such as `10.0.0.0/8` or an address such as `192.0.2.7`")]
    Malformed(String),
    /// Bits are set beyond the prefix, so that the writer meant another network.
    #[error("`{written}` has bits set beyond its prefix; the network is `{network}`")]
    HostBits {
        /// As it stands in the file.
        written: String,
        /// The network that contains it.
        network: Cidr,
    },
}

impl Cidr {
    /// Whether the network holds this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&canonical(address))
    }

    /// Whether the network holds every address of its family.
    pub fn is_everybody(&self) -> bool {
        self.0.prefix_len() == 0
    }

    /// Whether any of these networks holds the address.
    pub fn any_contains(networks: &[Self], address: IpAddr) -> bool {
        networks.iter().any(|network| network.contains(address))
    }
}

impl FromStr for Cidr {
    type Err = CidrFault;

    fn from_str(text: &str) -> Result<Self, CidrFault> {
        let malformed = || CidrFault::Malformed(text.to_owned());
        let net = if text.contains('/') {
            text.parse::<IpNet>().map_err(|_| malformed())?
        } else {
            IpNet::from(text.parse::<IpAddr>().map_err(|_| malformed())?)
        };
        let net = fold_mapped(net);
        if net.addr() != net.network() {
            let network = Self(net.trunc());
            return Err(CidrFault::HostBits { written: text.to_owned(), network });
        }
        Ok(Self(net))
    }
}

fn fold_mapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped: Option<Ipv4Addr> = v6.addr().to_ipv4_mapped();
    let folded = mapped
        .filter(|_| v6.prefix_len() >= 96)
        .and_then(|v4| ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96).ok());
    folded.map_or(net, IpNet::V4)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        let net: Cidr = "10.0.0.0/8".parse().unwrap();
        assert!(net.contains("::ffff:10.1.2.3".parse().unwrap()));
        let net: Cidr = "::ffff:10.0.0.0/104".parse().unwrap();
        assert!(net.contains("10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn bits_beyond_the_prefix_are_a_fault_that_names_the_network() {
        let fault = "10.0.0.1/8".parse::<Cidr>().unwrap_err();
        assert!(fault.to_string().contains("10.0.0.0/8"));
    }

    #[test]
    fn a_hop_may_carry_a_port_and_brackets() {
        for (text, address) in [
            ("192.0.2.1:80", "192.0.2.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            (" 192.0.2.1 ", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(parse_hop(text), Some(address.parse().unwrap()), "{text}");
        }
        for text in ["", "unknown", "_hidden", "192.0.2", "192.0.2.1:x", "[::1"] {
            assert_eq!(parse_hop(text), None, "{text}");
        }
    }
}
