//! Which addresses are this machine's.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// An address that belongs to nobody (RFC 5737).
const NOBODYS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Whether an address is this machine's own, as far as the system tells: a socket can be bound to it.
/// Where it lets sockets be bound to any address, as for one that moves between machines, nothing
/// is known.
pub fn is_own(address: IpAddr) -> bool {
    let binds = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    binds(address) && !binds(NOBODYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_ours_and_an_address_of_nobody_is_not() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own(NOBODYS));
    }
}
