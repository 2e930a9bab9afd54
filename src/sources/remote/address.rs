//! Which addresses are asked at all.
//!
//! What an issuer's metadata name is asked in the gateway's place in the network, so a hostile
//! document could make the gateway knock on doors that only it can reach (server-side request
//! forgery): from afar nobody leads to this machine, to a private address or to a connection in
//! clear.

use std::net::IpAddr;

use reqwest::Url;

use super::Fault;

/// Reads an address: `https`, or `http` on this machine.
///
/// # Errors
/// Everything else.
pub(super) fn read(text: &str) -> Result<Url, Fault> {
    let refuse = |why| Fault::Address { url: text.chars().take(200).collect(), why };
    let url = Url::parse(text).map_err(|_| refuse("it is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("a username or password stands in it"));
    }
    match url.scheme() {
        "https" => {}
        "http" if reach(&url) == Reach::Loopback => {}
        _ => return Err(refuse("only `https` is asked, or `http` on this machine")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refuse("it has no host"));
    }
    Ok(url)
}

/// Reads the address of a service nearby, which the file names: `https` or `http`.
///
/// # Errors
/// Everything else.
pub(super) fn read_nearby(text: &str) -> Result<Url, Fault> {
    let refuse = |why| Fault::Address { url: text.chars().take(200).collect(), why };
    let url = Url::parse(text).map_err(|_| refuse("it is no URL"))?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    if !["http", "https"].contains(&url.scheme()) || !is_plain {
        return Err(refuse("it is not one that is asked"));
    }
    Ok(url)
}

/// Reads an address that a document from `origin` names.
///
/// # Errors
/// As [`read`]; and an address on this machine or a private one, if the document came from
/// elsewhere.
pub(super) fn read_named(text: &str, origin: &Url) -> Result<Url, Fault> {
    let url = read(text)?;
    let refuse = |why| Fault::Address { url: text.chars().take(200).collect(), why };
    if origin.scheme() == "https" && url.scheme() != "https" {
        return Err(refuse("the issuer is asked by `https`, and this is not"));
    }
    if url.host_str() == origin.host_str() {
        return Ok(url);
    }
    match (reach(origin), reach(&url)) {
        (_, Reach::Anywhere) | (Reach::Loopback, Reach::Loopback) => Ok(url),
        (_, Reach::Loopback) => Err(refuse("it leads to this machine")),
        (_, Reach::Private) => Err(refuse("it leads to a private address")),
    }
}

/// From how far an address can be reached, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Anywhere,
    Loopback,
    Private,
}

fn reach(url: &Url) -> Reach {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(address) = bare.parse::<IpAddr>() else {
        let name = bare.trim_end_matches('.');
        // RFC 6761, section 6.3.
        let local = name == "localhost" || name.ends_with(".localhost");
        return if local { Reach::Loopback } else { Reach::Anywhere };
    };
    match address.to_canonical() {
        address if address.is_loopback() => Reach::Loopback,
        address if address.is_unspecified() => Reach::Private,
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let private = v4.is_private() || v4.is_link_local() || v4.is_broadcast() || shared;
            if private { Reach::Private } else { Reach::Anywhere }
        }
        IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => Reach::Private,
        IpAddr::V6(_) => Reach::Anywhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_in_clear() {
        for text in [
            "https://id.example.com/a?b=c",
            "https://10.0.0.1/",
            "http://127.0.0.1:8080/",
            "http://127.9.9.9/",
            "http://[::1]:1/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost:3000/",
            "http://LOCALHOST./",
            "http://id.localhost/",
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
        for text in [
            "http://id.example.com/",
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "https://user@id.example.com/",
            "https://:secret@id.example.com/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "data:application/json,{}",
            "https:///",
            "id.example.com",
            "",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_document_from_afar_leads_to_nobody_who_is_near() {
        let afar = Url::parse("https://id.example.com/").unwrap();
        for text in
            ["https://keys.example.net/jwks", "https://id.example.com:8443/", "https://192.0.2.7/"]
        {
            assert!(read_named(text, &afar).is_ok(), "{text}");
        }
        for text in [
            "http://127.0.0.1:9090/api/v1/users",
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://localhost/",
            "https://10.1.2.3/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "http://id.example.com/jwks",
        ] {
            assert!(read_named(text, &afar).is_err(), "{text}");
        }
    }

    #[test]
    fn a_document_of_this_machine_may_stay_there_and_a_private_issuer_with_itself() {
        let here = Url::parse("http://127.0.0.1:3000/").unwrap();
        assert!(read_named("http://127.0.0.1:3001/jwks", &here).is_ok());
        assert!(read_named("http://localhost:3000/jwks", &here).is_ok());
        assert!(read_named("https://10.0.0.1/jwks", &here).is_err());
        let secure = Url::parse("https://127.0.0.1:3000/").unwrap();
        assert!(read_named("http://127.0.0.1:3000/jwks", &secure).is_err(), "no step down");
        let inside = Url::parse("https://10.0.0.1/").unwrap();
        assert!(read_named("https://10.0.0.1:8443/jwks", &inside).is_ok());
        assert!(read_named("https://10.0.0.2/jwks", &inside).is_err());
    }
}
