//! Addresses of upstreams.

use super::{
    ValueFault, Written,
    http::{is_host, split_port},
    written,
};
use crate::model::UpstreamName;

/// One address of an upstream: `http://host:port` or `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetUrl {
    /// A host name or an address; IPv6 without brackets.
    pub host: String,
    /// The port; 80 if the URL has none, 443 with `https`.
    pub port: u16,
    /// Whether it is reached by TLS.
    pub secure: bool,
    /// `host` or `host:port` as written: what a `Host` header would say.
    pub authority: String,
}

impl Written for TargetUrl {
    const FORMAT: &'static str = "target-url";
    const EXPECTS: &'static str = "a URL such as `http://127.0.0.1:9000`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let fault = ValueFault::malformed();
            return Err(match split_port(text) {
                Some((host, _)) if is_host(host) => fault.help(format!("write `http://{text}`")),
                _ => fault,
            });
        };
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(ValueFault::because("an upstream is reached by `http` or `https`")),
        };
        if rest.contains('@') {
            return Err(ValueFault::because(
                "a URL with a username or password in it is not sent on",
            ));
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(ValueFault::because("an upstream's URL ends with its host or port")
                .help("to put a path in front, use `request.rewrite` on the route"));
        }
        let (host, port) = split_port(authority).ok_or_else(ValueFault::malformed)?;
        if !is_host(host) || port == Some(0) {
            return Err(ValueFault::malformed());
        }
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            secure,
            authority: authority.to_owned(),
        })
    }
}

/// What a route leads to: an upstream by name, or an address of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamRef {
    /// A name under `upstreams`.
    Name(UpstreamName),
    /// A URL.
    Url(TargetUrl),
}

impl Written for UpstreamRef {
    const FORMAT: &'static str = "upstream-reference";
    const EXPECTS: &'static str =
        "the name of an upstream, or a URL such as `http://127.0.0.1:9000`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        if text.contains("://") {
            TargetUrl::read(text).map(Self::Url)
        } else {
            UpstreamName::read(text).map(Self::Name)
        }
    }
}

written!(TargetUrl, UpstreamRef);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_with_a_port() {
        let target = TargetUrl::read("http://[::1]:9000/").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 9000));
        assert_eq!(target.authority, "[::1]:9000");
        assert_eq!(TargetUrl::read("http://app").unwrap().port, 80);
        for text in [
            "",
            "app",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a:0",
            "http://u:p@a",
            "http://a:99999",
            "http://::1",
        ] {
            assert!(TargetUrl::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_https_target_has_a_port_of_its_own() {
        let target = TargetUrl::read("https://app").unwrap();
        assert!(target.secure);
        assert_eq!(target.port, 443);
        assert_eq!(TargetUrl::read("https://app:8443").unwrap().port, 8443);
        assert!(!TargetUrl::read("http://app").unwrap().secure);
    }

    #[test]
    fn a_route_leads_to_a_name_or_a_url() {
        assert!(matches!(UpstreamRef::read("app"), Ok(UpstreamRef::Name(_))));
        assert!(matches!(UpstreamRef::read("http://app:80"), Ok(UpstreamRef::Url(_))));
        assert!(UpstreamRef::read("app:80").is_err());
    }
}
