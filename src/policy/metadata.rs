//! Where clients learn how to get a token: the documents of RFC 8414 and RFC 9728.
//!
//! A document names the host that its reader asked: nobody but the reader has a say in that, and no
//! cache keeps it. A gateway whose `token.issuer` is a URL names that one for itself.

use serde_json::{Map, Value, json};

use super::{client, request::Scheme};

/// What the documents say, save the host.
#[derive(Debug)]
pub struct MetadataTerms {
    /// The gateway as an authorization server, if it issues tokens.
    pub server: Option<ServerTerms>,
    /// Issuers beside the gateway whose tokens are taken.
    pub issuers: Vec<String>,
}

/// What an authorization server says of itself.
#[derive(Debug)]
pub struct ServerTerms {
    /// `token.issuer`, if it is a URL.
    pub issuer: Option<String>,
    /// Where tokens are asked for.
    pub token_path: String,
    /// Where tokens are taken back.
    pub revoke_path: Option<String>,
    /// Where its keys are.
    pub jwks_path: Option<String>,
    /// The grants that it knows.
    pub grants: Vec<&'static str>,
}

/// Where a client asked: what a URL begins with.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'r> {
    scheme: Scheme,
    host: &'r str,
}

impl<'r> Origin<'r> {
    /// By a scheme and a `Host` header; nothing if that is none.
    pub fn new(scheme: Scheme, host: &'r str) -> Option<Self> {
        client::is_authority(host).then_some(Self { scheme, host })
    }

    fn url(self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme.as_str(), self.host)
    }
}

impl MetadataTerms {
    /// Where the document about a protected resource stands (RFC 9728, section 3).
    pub const RESOURCE: &'static str = "/.well-known/oauth-protected-resource";
    /// Where the document about an authorization server stands (RFC 8414, section 3), in front of
    /// the path of its issuer.
    pub const SERVER: &'static str = "/.well-known/oauth-authorization-server";

    /// The value of `resource_metadata` in a challenge (RFC 9728, section 5.1).
    pub fn resource_metadata(origin: Origin<'_>) -> String {
        origin.url(Self::RESOURCE)
    }

    /// The document about what stands behind the gateway at this origin.
    pub fn resource(&self, origin: Origin<'_>) -> Value {
        let own = self.server.as_ref().map(|server| server.issuer(origin));
        let servers: Vec<String> = own.into_iter().chain(self.issuers.iter().cloned()).collect();
        json!({
            "resource": origin.url(""),
            "authorization_servers": servers,
            "bearer_methods_supported": ["header"],
        })
    }
}

impl ServerTerms {
    /// Where the document about it stands.
    pub fn place(&self) -> String {
        let path = self.issuer.as_deref().and_then(parts).map_or("", |(_, path)| path);
        format!("{}{}", MetadataTerms::SERVER, path.trim_end_matches('/'))
    }

    fn issuer(&self, origin: Origin<'_>) -> String {
        self.issuer.clone().unwrap_or_else(|| origin.url(""))
    }

    /// How clients say who they are: only API clients do.
    fn authentication(&self) -> &'static [&'static str] {
        if self.grants.contains(&"client_credentials") {
            &["none", "client_secret_basic", "client_secret_post"]
        } else {
            &["none"]
        }
    }

    /// The document about it, for whoever asked at this origin.
    pub fn document(&self, origin: Origin<'_>) -> Value {
        let own = self.issuer.as_deref().and_then(parts);
        let at = |path: &str| match own {
            Some((origin, _)) => format!("{origin}{path}"),
            None => origin.url(path),
        };
        let mut members = Map::from_iter([
            ("issuer".to_owned(), json!(self.issuer(origin))),
            ("token_endpoint".to_owned(), json!(at(&self.token_path))),
            ("grant_types_supported".to_owned(), json!(self.grants)),
            // There is no authorization endpoint, and the member is required.
            ("response_types_supported".to_owned(), json!([])),
            ("token_endpoint_auth_methods_supported".to_owned(), json!(self.authentication())),
        ]);
        if let Some(path) = &self.revoke_path {
            members.insert("revocation_endpoint".to_owned(), json!(at(path)));
            let none = json!(["none"]);
            members.insert("revocation_endpoint_auth_methods_supported".to_owned(), none);
        }
        if let Some(path) = &self.jwks_path {
            members.insert("jwks_uri".to_owned(), json!(at(path)));
        }
        Value::Object(members)
    }
}

/// Origin and path of a URL that can be an issuer: http or https, no query, no fragment.
pub fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let host = rest.split('/').next().unwrap_or_default();
    let (origin, path) = url.split_at_checked(url.len() - rest.len() + host.len())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    (client::is_authority(host) && path.bytes().all(plain)).then_some((origin, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(issuer: Option<&str>) -> ServerTerms {
        ServerTerms {
            issuer: issuer.map(str::to_owned),
            token_path: "/auth/token".into(),
            jwks_path: Some("/keys".into()),
            revoke_path: None,
            grants: vec!["password"],
        }
    }

    fn asked(host: &str) -> Origin<'_> {
        Origin::new(Scheme::Http, host).unwrap()
    }

    #[test]
    fn a_gateway_without_a_url_is_where_it_was_asked() {
        let server = server(None);
        assert_eq!(server.place(), "/.well-known/oauth-authorization-server");
        assert_eq!(
            server.document(asked("127.0.0.1:8080")),
            json!({
                "issuer": "http://127.0.0.1:8080",
                "token_endpoint": "http://127.0.0.1:8080/auth/token",
                "jwks_uri": "http://127.0.0.1:8080/keys",
                "grant_types_supported": ["password"],
                "response_types_supported": [],
                "token_endpoint_auth_methods_supported": ["none"],
            })
        );
    }

    #[test]
    fn a_gateway_with_a_url_is_there_whoever_asks() {
        let server = server(Some("https://id.example.com/tenant/"));
        assert_eq!(server.place(), "/.well-known/oauth-authorization-server/tenant");
        let document = server.document(asked("evil.example"));
        assert_eq!(document["issuer"], "https://id.example.com/tenant/");
        assert_eq!(document["token_endpoint"], "https://id.example.com/auth/token");
        assert!(!document.to_string().contains("evil"));
    }

    #[test]
    fn a_resource_is_where_it_was_asked_for_and_names_its_issuers() {
        let issuers = vec!["https://id.example.com/".to_owned()];
        let terms = MetadataTerms { server: Some(server(None)), issuers };
        let origin = Origin::new(Scheme::Https, "api.example.com").unwrap();
        assert_eq!(
            terms.resource(origin),
            json!({
                "resource": "https://api.example.com",
                "authorization_servers": ["https://api.example.com", "https://id.example.com/"],
                "bearer_methods_supported": ["header"],
            })
        );
        assert_eq!(
            MetadataTerms::resource_metadata(origin),
            "https://api.example.com/.well-known/oauth-protected-resource"
        );
    }

    #[test]
    fn what_is_no_host_makes_no_origin_and_what_is_no_url_no_issuer() {
        for host in ["", "a b", "a\"", "a/b", "a@b", "a:b"] {
            assert!(Origin::new(Scheme::Http, host).is_none(), "{host}");
        }
        for url in
            ["portcullis", "https://", "https://a?b", "https://a/#b", "https://u@a/", "ftp://a"]
        {
            assert_eq!(parts(url), None, "{url}");
        }
        assert_eq!(parts("https://a.example:8443"), Some(("https://a.example:8443", "")));
    }
}
