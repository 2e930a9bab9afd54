//! Sockets, bound before anything is served: a taken port is an error at once, and a free one is
//! known by its number.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use tokio::net::TcpSocket;

use crate::observe::logging::ANNOUNCEMENT;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.cause))]
pub struct Unbound {
    /// The address as configured.
    pub address: SocketAddr,
    /// What the system says.
    #[source]
    pub cause: io::Error,
}

fn reason(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "another process listens there".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "not allowed".to_owned(),
        _ => cause.to_string(),
    }
}

/// Which listener it is, in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// For metrics, health and the admin API.
    Admin,
    /// For clients.
    Proxy,
}

impl Role {
    /// As in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Proxy => "proxy",
        }
    }
}

/// A socket that accepts connections from now on.
#[derive(Debug)]
pub struct Bound {
    /// Where it listens, the port included that the system chose for port 0.
    pub address: SocketAddr,
    /// The socket.
    pub socket: TcpListener,
}

/// Binds an address. Must be called within a runtime.
///
/// # Errors
/// The address is taken, is not this machine's, or may not be used.
pub fn bind(address: SocketAddr) -> Result<Bound, Unbound> {
    listen(address).map_err(|cause| Unbound { address, cause })
}

fn listen(address: SocketAddr) -> io::Result<Bound> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of a process that has just ended do not stand in the way of the next.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let socket = socket.listen(BACKLOG)?.into_std()?;
    Ok(Bound { address: socket.local_addr()?, socket })
}

/// Says in the log where a listener is.
pub fn announce(role: Role, bound: &Bound) {
    tracing::info!(
        target: ANNOUNCEMENT,
        event = "listening",
        listener = role.as_str(),
        address = %bound.address,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_it() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(first.address.port(), 0);
        let error = bind(first.address).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {}: another process listens there", first.address)
        );
    }
}
