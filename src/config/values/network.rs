//! Networks and addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{ValueFault, Written, written};
use crate::model::{Cidr, CidrFault};

impl Written for Cidr {
    const FORMAT: &'static str = "cidr";
    const EXPECTS: &'static str = "a network such as `10.0.0.0/8` or an address";

    fn read(text: &str) -> Result<Self, ValueFault> {
        text.parse().map_err(|fault| match fault {
            CidrFault::Malformed(_) => ValueFault::malformed(),
            CidrFault::HostBits { network, .. } => {
                ValueFault::because("the address has bits set beyond the prefix of its network")
                    .help(format!("the network is `{network}`"))
            }
        })
    }
}

/// Where to listen: an address and a port; port 0 is any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenAddress(pub SocketAddr);

impl ListenAddress {
    /// A port on 127.0.0.1.
    pub const fn loopback(port: u16) -> Self {
        Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }
}

impl Written for ListenAddress {
    const FORMAT: &'static str = "listen-address";
    const EXPECTS: &'static str = "an address and a port such as `0.0.0.0:8080` or `[::]:8080`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        text.parse().map(Self).map_err(|_| {
            let fault = ValueFault::malformed();
            match text.rsplit_once(':') {
                Some(("" | "*", port)) if port.parse::<u16>().is_ok() => {
                    fault.help(format!("write `0.0.0.0:{port}` for every address"))
                }
                Some(("localhost", port)) if port.parse::<u16>().is_ok() => {
                    fault.help(format!("write `127.0.0.1:{port}`"))
                }
                _ => fault,
            }
        })
    }
}

impl serde::Serialize for ListenAddress {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A DNS server: an address, with a port if it is not 53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DnsServer(pub SocketAddr);

/// The port of DNS (RFC 1035, section 4.2).
const DNS: u16 = 53;

impl Written for DnsServer {
    const FORMAT: &'static str = "dns-server";
    const EXPECTS: &'static str =
        "the address of a DNS server such as `10.0.0.2` or `10.0.0.2:5353`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS));
        let address = address.or_else(|_| text.parse::<SocketAddr>());
        address
            .ok()
            .filter(|address| address.port() != 0)
            .map(Self)
            .ok_or_else(|| ValueFault::malformed().help("a name would have to be looked up itself"))
    }
}

written!(Cidr, DnsServer, ListenAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_server_is_an_address_and_its_port_is_usually_53() {
        let read = |text: &str| DnsServer::read(text).map(|server| server.0.to_string());
        assert_eq!(read("10.0.0.2").as_deref(), Ok("10.0.0.2:53"));
        assert_eq!(read("10.0.0.2:5353").as_deref(), Ok("10.0.0.2:5353"));
        assert_eq!(read("2001:db8::2").as_deref(), Ok("[2001:db8::2]:53"));
        assert_eq!(read("[2001:db8::2]:54").as_deref(), Ok("[2001:db8::2]:54"));
        for text in ["dns.example", "10.0.0.2:0", "10.0.0", ""] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_is_an_address_with_a_port() {
        assert_eq!(ListenAddress::read("127.0.0.1:0").unwrap(), ListenAddress::loopback(0));
        assert!(ListenAddress::read("[::1]:80").is_ok());
        let fault = ListenAddress::read(":8080").unwrap_err();
        assert_eq!(fault.help.as_deref(), Some("write `0.0.0.0:8080` for every address"));
        for text in ["127.0.0.1", "8080", "example.com:80", "::1:80:", "127.0.0.1:65536"] {
            assert!(ListenAddress::read(text).is_err(), "{text}");
        }
    }
}
