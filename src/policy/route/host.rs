//! Host names: what a route asks for, what a request says.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smallvec::SmallVec;
use thiserror::Error;

/// The longest host name that DNS knows.
const MAX_BYTES: usize = 253;

/// A host that a route asks for: `api.example.com` or `*.example.com`, in lower case, without
/// final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host alone. IPv6 addresses stand without brackets, in their shortest form.
    Exact(Box<str>),
    /// One or more labels before this domain, the domain itself not included.
    Wildcard(Box<str>),
}

/// Why a text is no host pattern.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostFault {
    /// `*` alone.
    #[error("a route without `hosts` takes every host: leave `*` out")]
    Any,
    /// A character that no host name holds.
    #[error("`{0}` is no host name")]
    Malformed(String),
    /// A port, which is never compared.
    #[error("`{0}`: hosts are compared without port, leave it out")]
    Port(String),
    /// A letter outside ASCII.
    #[error("`{0}`: write an international name in its `xn--` form")]
    NotAscii(String),
    /// `*` anywhere but as the first label.
    #[error("`{0}`: `*` stands for whole labels at the beginning only, as in `*.example.com`")]
    Star(String),
}

impl HostPattern {
    /// Parses a host pattern.
    ///
    /// # Errors
    /// A text that no Host header could match.
    pub fn parse(text: &str) -> Result<Self, HostFault> {
        if text == "*" {
            return Err(HostFault::Any);
        }
        if !text.is_ascii() {
            return Err(HostFault::NotAscii(text.to_owned()));
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self::Exact(canonical(address).into()));
        }
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.contains('*') {
            return Err(HostFault::Star(text.to_owned()));
        }
        let host = Host::parse(name).ok_or_else(|| HostFault::Malformed(text.to_owned()))?;
        if host.port {
            return Err(HostFault::Port(text.to_owned()));
        }
        match wildcard {
            true if host.is_address() => Err(HostFault::Star(text.to_owned())),
            true => Ok(Self::Wildcard(host.as_str().into())),
            false => Ok(Self::Exact(host.as_str().into())),
        }
    }

    /// The domains whose wildcard covers all of this pattern, narrowest first.
    pub(super) fn wider_domains(&self) -> impl Iterator<Item = &str> {
        let (Self::Exact(name) | Self::Wildcard(name)) = self;
        domains_above(name)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(name) => write!(f, "*.{name}"),
        }
    }
}

/// The host of a request, in lower case, without port and final dot; an IPv6 address without
/// brackets, in its shortest form; `::ffff:a.b.c.d` is `a.b.c.d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: SmallVec<[u8; 64]>,
    address: bool,
    port: bool,
}

impl Host {
    /// Reads the value of a Host header or the authority of a request target.
    ///
    /// Nothing if it is no host: an empty label, a character that no host name holds, a port
    /// that is no number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']')?;
            let address: Ipv6Addr = inside.parse().ok()?;
            let port = match after.strip_prefix(':') {
                Some(port) => valid_port(port)?,
                None if after.is_empty() => false,
                None => return None,
            };
            let name = SmallVec::from_slice(canonical(address).as_bytes());
            return Some(Self { name, address: true, port });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, valid_port(port)?),
            None => (text, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.len() > MAX_BYTES {
            return None;
        }
        let mut lower: SmallVec<[u8; 64]> = SmallVec::from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        let mut before = b'.';
        for byte in lower.iter().copied() {
            match byte {
                b'.' if before == b'.' => return None,
                b'.' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => before = byte,
                _ => return None,
            }
        }
        if before == b'.' {
            return None;
        }
        let numeric = lower.last().is_some_and(u8::is_ascii_digit);
        let address = numeric && name.parse::<Ipv4Addr>().is_ok();
        Some(Self { name: lower, address, port })
    }

    /// The name as it is compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // INVARIANT: only ASCII is ever pushed.
        std::str::from_utf8(&self.name).unwrap_or_default()
    }

    /// Whether it is an IP address, which no wildcard covers.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.address
    }

    /// The domains above this name, narrowest first: those whose wildcard covers it.
    pub(super) fn domains(&self) -> impl Iterator<Item = &str> {
        domains_above(if self.address { "" } else { self.as_str() })
    }
}

fn domains_above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.split_once('.').map(|(_, above)| above), |domain| {
        domain.split_once('.').map(|(_, above)| above)
    })
}

/// Whether a port stands after the colon; nothing if it is no number. RFC 3986 lets it be empty.
fn valid_port(text: &str) -> Option<bool> {
    if text.is_empty() {
        return Some(true);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && text.parse::<u16>().is_ok()).then_some(true)
}

fn canonical(address: Ipv6Addr) -> String {
    IpAddr::V6(address).to_canonical().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<String> {
        Host::parse(text).map(|host| host.as_str().to_owned())
    }

    #[test]
    fn case_port_and_final_dot_do_not_count() {
        for text in [
            "api.example.com",
            "API.Example.COM",
            "api.example.com.",
            "api.example.com:8443",
            "api.example.com.:80",
            "api.example.com:",
        ] {
            assert_eq!(host(text).as_deref(), Some("api.example.com"), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_has_one_spelling() {
        for text in ["[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]", "[::0001]:"] {
            assert_eq!(host(text).as_deref(), Some("::1"), "{text}");
        }
        assert_eq!(host("[2001:DB8::A]").as_deref(), Some("2001:db8::a"));
        assert_eq!(host("[::ffff:192.0.2.1]:80").as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn what_is_no_host_is_nothing() {
        for text in [
            "",
            ".",
            ":80",
            "a..b",
            ".a",
            "a..",
            "a b",
            "a/b",
            "a@b",
            "a,b",
            "a%2eb",
            "ä.de",
            "a:b",
            "a:-1",
            "a:+1",
            "a:70000",
            "a:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%25eth0]",
            "[1.2.3.4]",
            "[]",
            "a\0b",
            "*.a",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
        assert_eq!(host(&"a".repeat(MAX_BYTES + 1)), None);
    }

    #[test]
    fn a_pattern_is_exact_or_a_wildcard() {
        assert_eq!(
            HostPattern::parse("Api.Example.com."),
            Ok(HostPattern::Exact("api.example.com".into()))
        );
        assert_eq!(
            HostPattern::parse("*.Example.com"),
            Ok(HostPattern::Wildcard("example.com".into()))
        );
        assert_eq!(HostPattern::parse("[::1]"), Ok(HostPattern::Exact("::1".into())));
        assert_eq!(HostPattern::parse("::0:1"), Ok(HostPattern::Exact("::1".into())));
        assert_eq!(HostPattern::parse("*.a").unwrap().to_string(), "*.a");
    }

    #[test]
    fn a_pattern_that_no_host_matches_is_refused() {
        use HostFault as F;
        assert_eq!(HostPattern::parse("*"), Err(F::Any));
        for text in ["a.*", "*a.b", "*.*.a", "a.*.b", "*.10.0.0.1"] {
            assert_eq!(HostPattern::parse(text), Err(F::Star(text.into())), "{text}");
        }
        for text in ["", "*.", "a b", "http://a", "a/b", "a..b"] {
            assert_eq!(HostPattern::parse(text), Err(F::Malformed(text.into())), "{text}");
        }
        for text in ["a:80", "[::1]:80", "*.a:80", "a:"] {
            assert_eq!(HostPattern::parse(text), Err(F::Port(text.into())), "{text}");
        }
        assert_eq!(HostPattern::parse("bücher.de"), Err(F::NotAscii("bücher.de".into())));
    }

    #[test]
    fn the_domains_above_a_name_come_narrowest_first() {
        let host = Host::parse("a.b.example.com").unwrap();
        assert_eq!(host.domains().collect::<Vec<_>>(), ["b.example.com", "example.com", "com"]);
        assert_eq!(Host::parse("10.0.0.1").unwrap().domains().count(), 0);
        assert_eq!(Host::parse("localhost").unwrap().domains().count(), 0);
    }
}
