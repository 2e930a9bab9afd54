//! What upstreams are balanced by, probed with and called.

use super::{Header, ValueFault, Written, http::is_host, written};

/// What requests are told apart by where each kind has its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    ClientIp,
    /// A header's value.
    Header(Header),
    /// The principal.
    Principal,
}

impl Written for HashKey {
    const FORMAT: &'static str = "hash-key";
    const EXPECTS: &'static str = "`client_ip`, `principal` or `header:NAME`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        match text {
            "client_ip" => Ok(Self::ClientIp),
            "principal" => Ok(Self::Principal),
            _ => match text.strip_prefix("header:") {
                Some(name) => Header::read(name).map(Self::Header),
                None => Err(ValueFault::malformed()),
            },
        }
    }
}

/// A share of a hundred: `20%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

impl Written for Percent {
    const FORMAT: &'static str = "percent";
    const EXPECTS: &'static str = "a share from `1%` to `100%`";
    const PATTERN: Option<&'static str> = Some("^[0-9]{1,3}%$");

    fn read(text: &str) -> Result<Self, ValueFault> {
        let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
        let share = number.filter(|share| (1..=100).contains(share));
        share.map(Self).ok_or_else(ValueFault::malformed)
    }
}

impl serde::Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}%", self.0))
    }
}

/// What a health check asks for: a path, perhaps with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePath(pub String);

impl Written for ProbePath {
    const FORMAT: &'static str = "probe-path";
    const EXPECTS: &'static str = "a path such as `/healthz`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        let visible = |byte: u8| matches!(byte, b'!'..=b'~') && byte != b'#';
        if !text.starts_with('/') || text.starts_with("//") || !text.bytes().all(visible) {
            return Err(ValueFault::malformed());
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a server is called in a TLS handshake: a host without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(pub String);

impl Written for ServerName {
    const FORMAT: &'static str = "server-name";
    const EXPECTS: &'static str = "a host such as `billing.internal`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        // An empty name would switch every check off.
        if text.contains([':', '[']) || !is_host(text) {
            return Err(ValueFault::malformed());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

written!(HashKey, Percent, ProbePath, ServerName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_a_hundred() {
        assert_eq!(Percent::read("20%"), Ok(Percent(20)));
        for text in ["20", "0%", "101%", "-1%", "%", "1.5%"] {
            assert!(Percent::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_probe_is_a_path_of_the_target() {
        assert!(ProbePath::read("/healthz?deep=1").is_ok());
        for text in ["healthz", "//other.example/", "/a b", "/a#b", ""] {
            assert!(ProbePath::read(text).is_err(), "{text}");
        }
    }
}
