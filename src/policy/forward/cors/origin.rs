//! Origins (RFC 6454): which of them a rule names, and which is a request's own.

use http::HeaderValue;

use super::CorsFault;
use crate::policy::{client::is_authority, request::Scheme};

/// The origins that a rule names.
#[derive(Debug, Default)]
pub struct Origins {
    any: bool,
    exact: Vec<String>,
    wildcards: Vec<Wildcard>,
}

/// Every subdomain of a domain, not the domain itself.
#[derive(Debug)]
struct Wildcard {
    /// Up to the host: `https://`.
    before: String,
    /// From the dot on, with the port: `.example.com:8443`.
    after: String,
}

impl Origins {
    /// Parses what `allow_origins` lists.
    pub fn parse(written: &[String], faults: &mut Vec<CorsFault>) -> Self {
        let mut origins = Self::default();
        for text in written {
            if text == "*" {
                origins.any = true;
            } else if text.eq_ignore_ascii_case("null") {
                faults.push(CorsFault::NullOrigin);
            } else if origins.add(text).is_none() {
                faults.push(CorsFault::MalformedOrigin(text.clone()));
            }
        }
        origins
    }

    fn add(&mut self, text: &str) -> Option<()> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let authority = without_default_port(scheme, authority);
        if !scheme_fits || authority.ends_with(':') {
            return None;
        }
        match authority.strip_prefix("*.") {
            Some(domain) if is_authority(domain) && !domain.starts_with(['.', '[']) => {
                self.wildcards
                    .push(Wildcard { before: format!("{scheme}://"), after: format!(".{domain}") });
            }
            None if is_authority(authority) => self.exact.push(format!("{scheme}://{authority}")),
            _ => return None,
        }
        Some(())
    }

    /// Whether every origin is allowed.
    pub fn is_any(&self) -> bool {
        self.any
    }

    /// Whether the origin is named, by itself or under a wildcard. Browsers send origins in lower
    /// case and without default ports; another spelling is not taken for the same.
    pub fn holds(&self, origin: &[u8]) -> bool {
        self.exact.iter().any(|exact| exact.as_bytes() == origin)
            || self.wildcards.iter().any(|wildcard| wildcard.holds(origin))
    }
}

impl Wildcard {
    fn holds(&self, origin: &[u8]) -> bool {
        let labels = origin
            .strip_prefix(self.before.as_bytes())
            .and_then(|rest| rest.strip_suffix(self.after.as_bytes()));
        // A dot boundary on the right by `after`; only host names on the left.
        labels.is_some_and(|labels| {
            labels.split(|byte| *byte == b'.').all(|label| {
                let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
                !label.is_empty() && label.iter().all(fits)
            })
        })
    }
}

/// Whether an `Origin` is that of a request to this host.
pub fn own_origin_is(scheme: Scheme, host: &str, origin: &HeaderValue) -> bool {
    let Some((their_scheme, their_host)) =
        origin.to_str().ok().and_then(|origin| origin.split_once("://"))
    else {
        return false;
    };
    let scheme = scheme.as_str();
    their_scheme == scheme
        && !host.is_empty()
        && without_default_port(scheme, their_host)
            .eq_ignore_ascii_case(without_default_port(scheme, host))
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}
