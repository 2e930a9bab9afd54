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

/// An address that the gateway asks itself: `https://…`, or `http://…` on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteUrl(pub String);

impl RemoteUrl {
    /// The URL as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Written for RemoteUrl {
    const FORMAT: &'static str = "remote-url";
    const EXPECTS: &'static str = "a URL such as `https://id.example.com/keys`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        let (scheme, host) = asked(text)?;
        if scheme == "http" && !is_loopback(host) {
            return Err(ValueFault::because(
                "by `http` only this machine is asked: on the way anybody could answer",
            )
            .help("write `https://`"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An address nearby that the gateway asks itself, as it asks upstreams: `https://…` or `http://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl(pub String);

impl ServiceUrl {
    /// The URL as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Written for ServiceUrl {
    const FORMAT: &'static str = "service-url";
    const EXPECTS: &'static str = "a URL such as `http://127.0.0.1:7000/check`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        asked(text).map(|_| Self(text.to_owned()))
    }
}

/// The scheme and the host of an address that can be asked.
fn asked(text: &str) -> Result<(&str, &str), ValueFault> {
    let (scheme, rest) = text.split_once("://").ok_or_else(ValueFault::malformed)?;
    if text.len() > 2048 || !text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
        return Err(ValueFault::because("a URL is at most 2048 characters of visible ASCII"));
    }
    if rest.contains('#') {
        return Err(ValueFault::because("what follows `#` in a URL is not sent"));
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(ValueFault::because("a URL with a username or password in it is not sent"));
    }
    if authority.contains('\\') {
        return Err(ValueFault::malformed());
    }
    let (host, port) = split_port(authority).ok_or_else(ValueFault::malformed)?;
    if !is_host(host) || port == Some(0) {
        return Err(ValueFault::malformed());
    }
    if !["http", "https"].contains(&scheme) {
        return Err(ValueFault::malformed());
    }
    Ok((scheme, host))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            let name = bare.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

written!(RemoteUrl, ServiceUrl, TargetUrl, UpstreamRef);

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
    fn another_is_asked_by_https_and_this_machine_by_http_too() {
        for text in [
            "https://id.example.com",
            "https://id.example.com:8443/a/b?c=d",
            "https://10.0.0.1/",
            "http://127.0.0.1:3000/jwks",
            "http://[::1]:3000/",
            "http://localhost/",
        ] {
            assert!(RemoteUrl::read(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "id.example.com",
            "http://id.example.com/",
            "http://10.0.0.1/",
            "http://127.0.0.1.example.com/",
            "https://u:p@id.example.com/",
            "https://id.example.com/#a",
            "https://id.example.com\\@evil/",
            "https://id example.com/",
            "https:///a",
            "https://id:0/",
            "ftp://127.0.0.1/",
            "https://id.example.com/ä",
        ] {
            assert!(RemoteUrl::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_service_nearby_is_asked_by_http_too() {
        for text in ["http://authelia:9091/api/authz", "https://id.example.com/a", "http://[::1]/"]
        {
            assert!(ServiceUrl::read(text).is_ok(), "{text}");
        }
        for text in ["authelia:9091", "ftp://a/", "http://u@a/", "http://a/#b", "http:///a"] {
            assert!(ServiceUrl::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_route_leads_to_a_name_or_a_url() {
        assert!(matches!(UpstreamRef::read("app"), Ok(UpstreamRef::Name(_))));
        assert!(matches!(UpstreamRef::read("http://app:80"), Ok(UpstreamRef::Url(_))));
        assert!(UpstreamRef::read("app:80").is_err());
    }
}
