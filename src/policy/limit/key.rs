//! Whom a limit counts: the parts of a key, and the bytes that stand for one.
//!
//! A key is written down so that two different callers never share its bytes: each part carries
//! its type, and each of its values its length where the type does not tell it, so no value can
//! pretend to be two, or to be of another kind.

use std::{fmt, net::IpAddr};

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use crate::model::{Principal, RouteName, client_network, folded_username};

/// One part of what a limit counts by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The id of the API key.
    ApiKey,
    /// The client's address; for IPv6 its /64, which is what one client is given.
    ClientIp,
    /// All values of a request header.
    Header(HeaderName),
    /// The principal: its issuer and its subject.
    Principal,
    /// The route.
    Route,
    /// The name that a login is tried for. Not to be had in the file: logins alone have one.
    Username,
}

impl By {
    /// The request header that it reads.
    pub fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Header(name) => Some(name),
            Self::ApiKey | Self::ClientIp | Self::Principal | Self::Route | Self::Username => None,
        }
    }

    /// Whether it is known only once the caller is authenticated.
    pub fn needs_principal(&self) -> bool {
        matches!(self, Self::ApiKey | Self::Principal)
    }
}

/// As part of a policy's name: `client-ip`, `header-x-tenant`.
impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey => f.write_str("api-key"),
            Self::ClientIp => f.write_str("client-ip"),
            Self::Header(name) => write!(f, "header-{name}"),
            Self::Principal => f.write_str("principal"),
            Self::Route => f.write_str("route"),
            Self::Username => f.write_str("username"),
        }
    }
}

/// Who is being counted: what is known of a request when its limits are charged.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'r> {
    /// The client's address.
    pub client_ip: IpAddr,
    /// The request's headers as the client sent them; absent where there is only an address.
    pub headers: Option<&'r HeaderMap>,
    /// The principal, once there is one.
    pub principal: Option<&'r Principal>,
    /// The route that governs the request.
    pub route: Option<&'r RouteName>,
    /// The name that a login is tried for.
    pub username: Option<&'r str>,
}

impl Caller<'_> {
    /// A caller of whom nothing but the address is known.
    pub const fn at(client_ip: IpAddr) -> Self {
        Self { client_ip, headers: None, principal: None, route: None, username: None }
    }
}

/// The bytes that stand for one counter. Equal exactly if the rule and all its parts are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CounterKey(SmallVec<[u8; 64]>);

impl CounterKey {
    /// The key of this caller under the rule of this id, counted by these parts.
    pub(super) fn new(rule: &[u8; 16], by: &[By], caller: &Caller<'_>) -> Self {
        let mut key = Self(SmallVec::new());
        key.0.extend_from_slice(rule);
        for part in by {
            key.push(part, caller);
        }
        key
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    // A part that is absent counts as the client's address.
    fn push(&mut self, part: &By, caller: &Caller<'_>) {
        let pushed = match part {
            By::ApiKey => caller.principal.and_then(|principal| {
                let id = principal.api_key.as_deref()?;
                self.0.push(b'k');
                self.push_value(id.as_bytes());
                Some(())
            }),
            By::ClientIp => None,
            By::Header(name) => caller.headers.filter(|all| all.contains_key(name)).map(|all| {
                for value in all.get_all(name) {
                    self.0.push(b'h');
                    self.push_value(value.as_bytes());
                }
                self.0.push(b'.');
            }),
            By::Principal => caller.principal.map(|principal| {
                self.0.push(b'p');
                self.push_value(principal.issuer.as_str().as_bytes());
                self.push_value(principal.subject.as_bytes());
            }),
            By::Route => caller.route.map(|route| {
                self.0.push(b'r');
                self.push_value(route.as_str().as_bytes());
            }),
            By::Username => caller.username.map(|name| {
                self.0.push(b'u');
                self.push_value(folded_username(name).as_bytes());
            }),
        };
        if pushed.is_none() {
            self.push_address(caller.client_ip);
        }
    }

    fn push_address(&mut self, address: IpAddr) {
        match client_network(address) {
            IpAddr::V4(v4) => {
                self.0.push(b'4');
                self.0.extend_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                self.0.push(b'6');
                self.0.extend_from_slice(&v6.octets());
            }
        }
    }

    fn push_value(&mut self, value: &[u8]) {
        // Whatever is counted by is part of a request's head, which is bounded far below this.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests;
