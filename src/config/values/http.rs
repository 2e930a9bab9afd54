//! Words of HTTP: header names and values, methods, hosts, origins, paths, statuses.

use super::{ValueFault, Written, written};

/// A header's name (RFC 9110, section 5.1), as written; names compare without letter case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header(pub String);

impl Written for Header {
    const FORMAT: &'static str = "header-name";
    const EXPECTS: &'static str = "a header name such as `X-Tenant`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        if !is_token(text) {
            return Err(ValueFault::malformed());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A header's constant value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderText(pub String);

impl Written for HeaderText {
    const FORMAT: &'static str = "header-value";
    const EXPECTS: &'static str = "a header value of visible ASCII, spaces and tabs";

    fn read(text: &str) -> Result<Self, ValueFault> {
        let visible = |byte| matches!(byte, b'\t' | b' '..=b'~');
        if !text.bytes().all(visible) || text.trim() != text {
            return Err(ValueFault::malformed());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A method (RFC 9110, section 9.1), in capitals.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Method(pub String);

impl Written for Method {
    const FORMAT: &'static str = "http-method";
    const EXPECTS: &'static str = "a method such as `GET`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        if !is_token(text) {
            return Err(ValueFault::malformed());
        }
        if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(ValueFault::because("methods are written in capitals")
                .help(format!("write `{}`", text.to_ascii_uppercase())));
        }
        if matches!(text, "CONNECT" | "TRACE") {
            return Err(ValueFault::because("CONNECT and TRACE are never let through"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A host to match: `api.example.com` or `*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern(pub String);

impl Written for HostPattern {
    const FORMAT: &'static str = "host-pattern";
    const EXPECTS: &'static str = "a host such as `api.example.com` or `*.example.com`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        // Hosts compare without final dot.
        let bare = name.strip_suffix('.').filter(|bare| !bare.ends_with(']'));
        if !is_host(bare.unwrap_or(name)) {
            let fault = ValueFault::malformed();
            return Err(match text {
                "*" => fault.help("leave `hosts` out to match every host"),
                _ if text.contains("://") => fault.help("write the host alone, without a scheme"),
                _ if text.contains(':') => fault.help("write the host alone, without a port"),
                _ => fault,
            });
        }
        Ok(Self(text.to_owned()))
    }
}

/// An origin that may read answers: `https://example.com`, `https://*.example.com` or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(pub String);

impl Written for Origin {
    const FORMAT: &'static str = "origin";
    const EXPECTS: &'static str =
        "an origin such as `https://example.com`, `https://*.example.com` or `*`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        if text == "null" {
            return Err(ValueFault::because(
                "the origin `null` is never allowed: any page can send it",
            ));
        }
        let (scheme, authority) = text.split_once("://").ok_or_else(ValueFault::malformed)?;
        if let Some(bare) = authority.strip_suffix('/') {
            return Err(ValueFault::because("an origin ends with its host or port, without a `/`")
                .help(format!("write `{scheme}://{bare}`")));
        }
        let (host, port) = split_port(authority).ok_or_else(ValueFault::malformed)?;
        let named = is_scheme(scheme) && is_host(host.strip_prefix("*.").unwrap_or(host));
        if !named || port == Some(0) {
            return Err(ValueFault::malformed());
        }
        Ok(Self(text.to_owned()))
    }
}

/// An exact path of the gateway's own, such as `/auth/token`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestPath(pub String);

impl Written for RequestPath {
    const FORMAT: &'static str = "request-path";
    const EXPECTS: &'static str = "a path such as `/auth/token`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        let dots = text.split('/').any(|segment| matches!(segment, "." | ".."));
        let shaped = text.starts_with('/') && !text.contains("//") && !dots;
        if !shaped || !text.bytes().all(plain) || (text.len() > 1 && text.ends_with('/')) {
            return Err(ValueFault::malformed());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A status code of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Status(pub u16);

impl schemars::JsonSchema for Status {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "status".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 200, "maximum": 599 })
    }
}

/// Splits `host`, `host:port` and `[v6]:port`.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (_, tail) = authority.split_at_checked(bracket)?;
    match tail.rfind(':') {
        None => Some((authority, None)),
        Some(at) => {
            let (host, port) = authority.split_at_checked(bracket + at)?;
            let digits = port.strip_prefix(':')?;
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten().map(|port| (host, Some(port)))
        }
    }
}

/// Whether the text is a host name or an address; IPv6 in brackets.
pub(super) fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        })
}

fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=256).contains(&text.len()) && text.bytes().all(token)
}

written!(Header, HeaderText, HostPattern, Method, Origin, RequestPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_in_small_letters_is_offered_in_capitals() {
        assert!(Method::read("PATCH").is_ok());
        assert_eq!(Method::read("get").unwrap_err().help.as_deref(), Some("write `GET`"));
        assert!(Method::read("TRACE").is_err());
        assert!(Method::read("G T").is_err());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for text in [
            "*",
            "https://example.com",
            "http://localhost:3000",
            "https://*.example.com",
            "http://[::1]:80",
            "app://local",
        ] {
            assert!(Origin::read(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "null",
            "example.com",
            "https://",
            "https://a.example/",
            "https://a/b",
            "https://*",
            "https://a:b",
            "HTTPS://a",
        ] {
            assert!(Origin::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_has_no_port_and_no_scheme() {
        for text in
            ["api.example.com", "*.example.com", "localhost", "[::1]", "10.0.0.1", "a.b.", "*.a."]
        {
            assert!(HostPattern::read(text).is_ok(), "{text}");
        }
        for text in [
            "", "*", ".", "*.", "a..", "[::1].", "a:80", "http://a", "a..b", "a.*.b", "-a", "a/b",
            "a b",
        ] {
            assert!(HostPattern::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_of_the_gateway_has_one_reading_only() {
        assert!(RequestPath::read("/.well-known/jwks.json").is_ok());
        for text in ["", "a", "/a//b", "/a/../b", "/%61", "/a/", "/a;b", "/a?b"] {
            assert!(RequestPath::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_header_value_cannot_hold_a_line_break() {
        assert!(HeaderText::read("1; mode=block").is_ok());
        assert!(HeaderText::read("").is_ok());
        for text in ["a\r\nb", "\u{e9}", " a", "a\0"] {
            assert!(HeaderText::read(text).is_err(), "{text:?}");
        }
    }
}
