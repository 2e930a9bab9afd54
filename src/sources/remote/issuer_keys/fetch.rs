//! Fetching a key set, by its address or by the issuer's metadata.

use std::time::Duration;

use http::{Method, header};
use reqwest::{Request, Url};
use serde_json::Value;

use super::{
    super::{
        Fault, address,
        ask::{self, Answer, ask},
    },
    pace,
};
use crate::policy::authn::keys::KeyPlace;

/// Bytes of metadata or of a key set at most.
const MOST: usize = 1 << 20;

/// Asks issuers for their keys.
#[derive(Clone, Debug)]
pub struct Client(Option<reqwest::Client>);

/// A client. One that cannot be made has told the log why, and reaches nobody.
pub fn client() -> Client {
    let made = ask::client().inspect_err(|fault| {
        tracing::error!(event = "no_client", why = %fault, "no issuer can be asked for its keys");
    });
    Client(made.ok())
}

/// A key set as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The document.
    pub body: Vec<u8>,
    /// Where it came from.
    pub from: Url,
    /// How long it may be kept, if the issuer says so.
    pub age: Option<Duration>,
}

impl Client {
    /// Fetches a key set. `known` is its address if metadata named it before.
    pub(super) async fn fetch(
        &self,
        place: &KeyPlace,
        known: Option<&Url>,
        patience: Duration,
    ) -> Result<Fetched, Fault> {
        let fetching = async {
            let from = match (place, known) {
                (KeyPlace::Jwks(url), _) => address::read(url)?,
                (KeyPlace::Discovery(_), Some(known)) => known.clone(),
                (KeyPlace::Discovery(issuer), None) => self.discover(issuer, patience).await?,
            };
            let answer = self.get(from.clone(), patience).await?;
            expect_ok(&answer)?;
            let age = pace::freshness(&answer.headers);
            Ok(Fetched { body: answer.body.into(), from, age })
        };
        tokio::time::timeout(patience, fetching).await.map_err(|_| Fault::TooSlow(patience))?
    }

    /// The address of the key set, by the issuer's metadata: those of OpenID Connect, or else those
    /// of OAuth 2 (RFC 8414).
    async fn discover(&self, issuer: &str, patience: Duration) -> Result<Url, Fault> {
        let origin = address::read(issuer)?;
        let mut answer = self.get(openid_metadata(&origin)?, patience).await?;
        if answer.status.is_client_error() {
            answer = self.get(oauth_metadata(&origin), patience).await?;
        }
        expect_ok(&answer)?;
        key_set_address(&answer.body, issuer, &origin)
    }

    async fn get(&self, url: Url, patience: Duration) -> Result<Answer, Fault> {
        let no_client = || Fault::Unreachable("the machine has no certificates to trust".into());
        let client = self.0.as_ref().ok_or_else(no_client)?;
        let mut request = Request::new(Method::GET, url);
        let accept = header::HeaderValue::from_static("application/json, application/jwk-set+json");
        request.headers_mut().insert(header::ACCEPT, accept);
        ask(client, request, MOST, patience).await
    }
}

fn expect_ok(answer: &Answer) -> Result<(), Fault> {
    match answer.status {
        http::StatusCode::OK => Ok(()),
        status if status.is_redirection() => Err(Fault::Redirected(status)),
        status => Err(Fault::Status(status)),
    }
}

/// OpenID Connect Discovery 1.0, section 4.1: behind the issuer's path.
fn openid_metadata(issuer: &Url) -> Result<Url, Fault> {
    let text = issuer.as_str().trim_end_matches('/');
    address::read(&format!("{text}/.well-known/openid-configuration"))
}

/// RFC 8414, section 3.1: between the issuer's host and its path.
fn oauth_metadata(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    let path = issuer.path().trim_end_matches('/');
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    url
}

/// Reads metadata, which must be those of the very issuer that was asked.
fn key_set_address(body: &[u8], issuer: &str, origin: &Url) -> Result<Url, Fault> {
    let document: Value =
        serde_json::from_slice(body).map_err(|_| Fault::Malformed("the metadata are not JSON"))?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    match text("issuer") {
        None => return Err(Fault::Malformed("the metadata have no `issuer`")),
        Some(found) if found != issuer => {
            return Err(Fault::OtherIssuer { found: found.chars().take(200).collect() });
        }
        Some(_) => {}
    }
    let keys = text("jwks_uri").ok_or(Fault::Malformed("the metadata have no `jwks_uri`"))?;
    address::read_named(keys, origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_stand_where_the_standards_say() {
        let both = |issuer: &str| {
            let issuer = Url::parse(issuer).unwrap();
            (openid_metadata(&issuer).unwrap().to_string(), oauth_metadata(&issuer).to_string())
        };
        let plain = both("https://id.example.com");
        assert_eq!(plain.0, "https://id.example.com/.well-known/openid-configuration");
        assert_eq!(plain.1, "https://id.example.com/.well-known/oauth-authorization-server");
        let realm = both("https://id.example.com/realms/acme/");
        assert_eq!(realm.0, "https://id.example.com/realms/acme/.well-known/openid-configuration");
        assert_eq!(
            realm.1,
            "https://id.example.com/.well-known/oauth-authorization-server/realms/acme"
        );
    }

    #[test]
    fn metadata_of_another_issuer_are_refused() {
        let read = |document: &str| {
            let origin = Url::parse("https://id.example.com/").unwrap();
            key_set_address(document.as_bytes(), "https://id.example.com/", &origin)
        };
        let good =
            r#"{"issuer":"https://id.example.com/","jwks_uri":"https://keys.example.com/a"}"#;
        assert_eq!(read(good).unwrap().as_str(), "https://keys.example.com/a");
        for (document, part) in [
            (r#"{"issuer":"https://id.example.com","jwks_uri":"https://a/"}"#, "those of"),
            (r#"{"issuer":"https://evil.example.com/","jwks_uri":"https://a/"}"#, "those of"),
            (r#"{"issuer":["https://id.example.com/"],"jwks_uri":"https://a/"}"#, "no `issuer`"),
            (r#"{"jwks_uri":"https://a/"}"#, "no `issuer`"),
            (r#"{"issuer":"https://id.example.com/"}"#, "no `jwks_uri`"),
            (r#"{"issuer":"https://id.example.com/","jwks_uri":"http://a/"}"#, "refused"),
            (r#"{"issuer":"https://id.example.com/","jwks_uri":"https://127.0.0.1/"}"#, "refused"),
            ("<html>", "not JSON"),
            ("[]", "no `issuer`"),
        ] {
            let fault = read(document).unwrap_err().to_string();
            assert!(fault.contains(part), "{document}: {fault}");
        }
    }
}
