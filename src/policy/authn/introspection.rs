//! Tokens that say nothing by themselves: what their provider says of them (RFC 7662).
//!
//! What a provider said is a fact ("this token is active, and these are its claims"), remembered for
//! a while; whether the token stands is judged anew on each request.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value};

use super::jwt::{
    ClaimPaths, Grants, LONGEST_TOKEN, Says, date, is_bound, issuer_of, judge_audience, subject_of,
};
use crate::{
    model::{
        Claims, CredentialKind, IssuerName, ObjectFault, Principal, Secret, Timestamp, parse_object,
    },
    policy::{
        authz::RoleGraph,
        decision::TokenFault,
        digest::{Digest, Parts},
    },
};

/// Grace on `nbf`: the provider has judged it by its own clock already.
const CLOCKS_DIFFER: Duration = Duration::from_secs(30);

/// A provider, and what its answers are judged by. It belongs to one policy: a reload makes new
/// ones.
#[derive(Debug)]
pub struct IntrospectionTerms {
    /// Its name under `authentication.introspection`: the issuer of the principals it makes.
    pub name: IssuerName,
    /// Where it is asked.
    pub url: String,
    /// As whom the gateway asks.
    pub client_id: String,
    /// The gateway's own secret there.
    pub client_secret: Secret,
    /// How long an answer is remembered.
    pub cache: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// The exact `iss` of its answers; absent takes any, and none.
    pub issuer: Option<String>,
    /// One of these must be in `aud`; empty takes any.
    pub audiences: Vec<String>,
    /// Where the members that make a principal stand.
    pub claims: ClaimPaths,
    /// Whether `scope` says the permissions where the member at their path is absent.
    pub scope: ScopeRule,
    /// What it may assert; absent is anything.
    pub grants: Option<Grants>,
    /// The digest of all of this, once it was needed.
    pub fingerprint: OnceLock<Digest>,
}

/// What `scope` (RFC 7662, section 2.2) is to permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeRule {
    /// It says them where nothing else does.
    Fallback,
    /// Nothing, unless the path of the permissions leads there.
    Ignored,
}

/// What a provider said of an active token. Only [`IntrospectionTerms::read`] makes one.
#[derive(Debug)]
pub struct Introspected {
    /// All that was said.
    pub claims: Arc<Claims>,
    /// `exp`, if it was said.
    pub expires: Option<Timestamp>,
    /// Bytes of the text that it was said in.
    pub length: usize,
    not_before: Option<Timestamp>,
    made: ArcSwapOption<Made>,
}

/// The principal that was last made of an answer: nothing in it depends on time.
#[derive(Debug)]
struct Made {
    // INVARIANT: a weak pointer keeps the address from being given to another, so that comparing
    // addresses compares what they hold.
    terms: Weak<IntrospectionTerms>,
    principal: Arc<Principal>,
}

/// A token that is told apart by all of its bytes. It does not print.
#[derive(Clone, Copy)]
pub struct Opaque<'r> {
    text: &'r str,
    /// The digest of the whole of it.
    pub digest: Digest,
}

impl fmt::Debug for Opaque<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opaque").finish_non_exhaustive()
    }
}

impl<'r> Opaque<'r> {
    /// Takes a token. `digest` is that of the whole token.
    ///
    /// # Errors
    /// If it is empty, too long, or has what no token has (RFC 6750, section 2.1).
    pub fn new(text: &'r str, digest: Digest) -> Result<Self, TokenFault> {
        if text.len() > LONGEST_TOKEN {
            return Err(TokenFault::TooLarge);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenFault::Malformed);
        }
        Ok(Self { text, digest })
    }

    /// The token, at the place where it is sent.
    pub fn expose(&self) -> &'r str {
        self.text
    }
}

impl IntrospectionTerms {
    /// What an answer to a question about this token is remembered by: this provider with all of
    /// its options, and the whole token.
    pub fn key(&self, token: &Opaque<'_>) -> Digest {
        let fingerprint = self.fingerprint.get_or_init(|| self.made_fingerprint());
        // Two digests, so that their lengths need not be said.
        let mut both = [0; 64];
        let (first, second) = both.split_at_mut(32);
        first.copy_from_slice(fingerprint.bytes());
        second.copy_from_slice(token.digest.bytes());
        Digest::of(&both)
    }

    fn made_fingerprint(&self) -> Digest {
        let mut parts = Parts::default();
        parts.add(self.name.as_str().as_bytes());
        parts.add(self.url.as_bytes());
        parts.add(self.client_id.as_bytes());
        parts.add(self.client_secret.expose());
        parts.add(&self.cache.as_micros().to_be_bytes());
        parts.add(&self.timeout.as_micros().to_be_bytes());
        parts.add_option(self.issuer.as_deref());
        parts.add_all(self.audiences.iter().map(String::as_str));
        let ClaimPaths { subject, roles, permissions, plan, audience, purpose } = &self.claims;
        parts.add_all([subject, roles, permissions, plan, audience].map(String::as_str));
        parts.add_all(purpose.iter().flat_map(|(path, value)| [path.as_str(), value.as_str()]));
        parts.add(&[u8::from(self.scope == ScopeRule::Fallback)]);
        match &self.grants {
            None => parts.add(b"any"),
            Some(Grants { roles, permissions }) => {
                parts.add_all(roles.iter().map(String::as_str));
                parts.add_all(permissions.iter().map(String::as_str));
            }
        }
        parts.digest()
    }

    /// Reads what the provider said. The token is refused if that is not that it is active, by the
    /// literal `true`; if it speaks of a token that no bearer presents; or a time is no number.
    ///
    /// # Errors
    /// If it said nothing that can be understood in one way only.
    pub fn read(&self, body: &[u8]) -> Result<Result<Introspected, TokenFault>, ObjectFault> {
        parse_object(body).map(|said| facts(said, body.len()))
    }

    /// Judges an active token by this moment and these terms, and makes its principal.
    ///
    /// # Errors
    /// The first of its issuer, audience, times and claims that does not stand.
    pub fn principal(
        self: &Arc<Self>,
        said: &Introspected,
        now: Timestamp,
        roles: &RoleGraph,
    ) -> Result<Arc<Principal>, TokenFault> {
        if said.expires.is_some_and(|expires| expires <= now) {
            return Err(TokenFault::Expired);
        }
        if said.not_before.is_some_and(|begins| begins - CLOCKS_DIFFER > now) {
            return Err(TokenFault::NotYetValid);
        }
        let made = said.made.load();
        if let Some(made) = made.as_ref().filter(|made| std::ptr::eq(made.terms.as_ptr(), &**self))
        {
            return Ok(Arc::clone(&made.principal));
        }
        let principal = Arc::new(self.make(said, roles)?);
        let made = Made { terms: Arc::downgrade(self), principal: Arc::clone(&principal) };
        said.made.store(Some(Arc::new(made)));
        Ok(principal)
    }

    fn make(&self, said: &Introspected, roles: &RoleGraph) -> Result<Principal, TokenFault> {
        let claims = &said.claims;
        if let Some(issuer) = &self.issuer
            && issuer_of(claims)? != Some(issuer)
        {
            return Err(TokenFault::Issuer);
        }
        judge_audience(&self.audiences, &self.claims.audience, claims)?;
        let subject = subject_of(claims, &self.claims.subject)?;
        let says = Says { who: &self.name, grants: self.grants.as_ref(), claims };
        let silent = claims.find(&self.claims.permissions).is_none();
        let standing = if silent && self.scope == ScopeRule::Fallback {
            let paths = ClaimPaths { permissions: "scope".to_owned(), ..self.claims.clone() };
            says.standing(&paths, roles)?
        } else {
            says.standing(&self.claims, roles)?
        };
        Ok(Principal {
            issuer: self.name.clone(),
            subject: subject.into(),
            roles: standing.roles,
            permissions: standing.permissions,
            effective_roles: standing.effective_roles,
            plan: standing.plan,
            method: CredentialKind::Introspection,
            claims: Arc::clone(claims),
            api_key: None,
            expires: said.expires,
        })
    }
}

fn facts(said: Map<String, Value>, length: usize) -> Result<Introspected, TokenFault> {
    if said.get("active") != Some(&Value::Bool(true)) {
        return Err(TokenFault::Inactive);
    }
    judge_type(&said)?;
    let claims = Claims::new(said);
    let (expires, not_before) = (date(&claims, "exp")?, date(&claims, "nbf")?);
    Ok(Introspected {
        claims: Arc::new(claims),
        expires,
        length,
        not_before,
        made: ArcSwapOption::empty(),
    })
}

/// A token that is bound to a key (RFC 8705, RFC 9449), or that buys others, or that says who
/// somebody is, is no bearer token even where it is active. Providers say what it is for in one
/// of three members: `token_type` is often `Bearer` for all.
fn judge_type(said: &Map<String, Value>) -> Result<(), TokenFault> {
    judge_label(said, "token_type", &["bearer", "access_token"])?;
    judge_label(said, "token_use", &["access_token", "access"])?;
    let usual = ["bearer", "access_token", "access", "jwt", "at+jwt", "application/at+jwt"];
    judge_label(said, "typ", &usual)?;
    if is_bound(said.get("cnf")) { Err(TokenFault::Type) } else { Ok(()) }
}

fn judge_label(said: &Map<String, Value>, name: &str, good: &[&str]) -> Result<(), TokenFault> {
    match said.get(name) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(kind)) if good.iter().any(|good| kind.eq_ignore_ascii_case(good)) => {
            Ok(())
        }
        Some(Value::String(_)) => Err(TokenFault::Type),
        Some(_) => Err(TokenFault::ClaimType),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn terms() -> IntrospectionTerms {
        IntrospectionTerms {
            name: "partner".into(),
            url: "https://id.example.com/introspect".into(),
            client_id: "gw".into(),
            client_secret: Secret::new("secret"),
            cache: Duration::from_secs(30),
            timeout: Duration::from_secs(1),
            issuer: None,
            audiences: vec![],
            claims: ClaimPaths::default(),
            scope: ScopeRule::Fallback,
            grants: None,
            fingerprint: OnceLock::new(),
        }
    }

    fn judged(terms: IntrospectionTerms, said: Value) -> Result<Arc<Principal>, TokenFault> {
        let now = Timestamp::from_seconds(NOW);
        let said = terms.read(said.to_string().as_bytes()).unwrap()?;
        Arc::new(terms).principal(&said, now, &RoleGraph::default())
    }

    #[test]
    fn only_the_literal_true_is_active() {
        for active in
            [json!("true"), json!(1), json!("True"), json!([true]), json!(null), json!(false)]
        {
            let said = json!({"active": active, "sub": "1"});
            assert_eq!(judged(terms(), said).unwrap_err(), TokenFault::Inactive, "{active}");
        }
        for said in [json!({"sub": "1"}), json!({}), json!({"Active": true, "sub": "1"})] {
            assert_eq!(judged(terms(), said).unwrap_err(), TokenFault::Inactive);
        }
        let who = judged(terms(), json!({"active": true, "sub": "1"})).unwrap();
        assert_eq!((&*who.subject, who.issuer.as_str()), ("1", "partner"));
        assert_eq!(who.method, CredentialKind::Introspection);
    }

    #[test]
    fn an_active_token_that_a_condition_does_not_hold_for_is_refused() {
        let strict = || IntrospectionTerms {
            issuer: Some("https://id.example.com".into()),
            audiences: vec!["orders".into()],
            ..terms()
        };
        let said = |changes: Value| {
            let mut said = json!({
                "active": true, "sub": "1", "iss": "https://id.example.com",
                "aud": ["x", "orders"], "exp": NOW + 1, "nbf": NOW, "token_type": "bearer",
            });
            for (name, value) in changes.as_object().cloned().unwrap() {
                said[name] = value;
            }
            said
        };
        assert!(judged(strict(), said(json!({}))).is_ok());
        for (change, fault) in [
            (json!({"iss": "https://evil.example.com"}), TokenFault::Issuer),
            (json!({"iss": null}), TokenFault::ClaimType),
            (json!({"aud": "other"}), TokenFault::Audience),
            (json!({"aud": 7}), TokenFault::ClaimType),
            (json!({"exp": NOW}), TokenFault::Expired),
            (json!({"exp": "1900000000"}), TokenFault::ClaimType),
            (json!({"nbf": NOW + 31}), TokenFault::NotYetValid),
            (json!({"nbf": true}), TokenFault::ClaimType),
            (json!({"sub": ""}), TokenFault::MissingClaim),
            (json!({"sub": 7}), TokenFault::ClaimType),
            (json!({"roles": 7}), TokenFault::ClaimType),
            (json!({"plan": []}), TokenFault::ClaimType),
            (json!({"token_type": "DPoP"}), TokenFault::Type),
            (json!({"token_type": "refresh_token"}), TokenFault::Type),
            (json!({"token_type": 7}), TokenFault::ClaimType),
        ] {
            assert_eq!(judged(strict(), said(change.clone())).unwrap_err(), fault, "{change}");
        }
        let clocks = said(json!({"nbf": NOW + 30, "token_type": "Bearer"}));
        assert!(judged(strict(), clocks).is_ok(), "clocks differ");
        let silent = json!({"active": true, "sub": "1"});
        assert_eq!(judged(strict(), silent).unwrap_err(), TokenFault::Issuer);
    }

    #[test]
    fn a_refresh_an_id_and_a_bound_token_are_no_bearer_tokens_though_they_are_active() {
        let said = |member: &str, value: &Value| {
            let mut said = json!({"active": true, "sub": "1", "token_type": "Bearer"});
            said[member] = value.clone();
            judged(terms(), said).map(|_| ())
        };
        for (member, value) in [
            ("token_use", json!("access_token")),
            ("token_use", json!("access")),
            ("typ", json!("Bearer")),
            ("typ", json!("at+jwt")),
            ("typ", json!("JWT")),
            ("typ", json!(null)),
            ("cnf", json!(null)),
        ] {
            assert_eq!(said(member, &value), Ok(()), "{member} {value}");
        }
        for (member, value, fault) in [
            ("token_use", json!("refresh_token"), TokenFault::Type),
            ("token_use", json!("id"), TokenFault::Type),
            ("token_use", json!(["access"]), TokenFault::ClaimType),
            ("typ", json!("Refresh"), TokenFault::Type),
            ("typ", json!("Offline"), TokenFault::Type),
            ("typ", json!("ID"), TokenFault::Type),
            ("typ", json!(1), TokenFault::ClaimType),
            (
                "cnf",
                json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
                TokenFault::Type,
            ),
            (
                "cnf",
                json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
                TokenFault::Type,
            ),
            ("cnf", json!("x"), TokenFault::Type),
        ] {
            assert_eq!(said(member, &value), Err(fault), "{member} {value}");
        }
    }

    #[test]
    fn scope_says_the_permissions_where_nothing_else_does() {
        let permissions = |terms, said| {
            let who = judged(terms, said).unwrap();
            who.permissions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let scope = json!({"active": true, "sub": "1", "scope": "read:a write:a"});
        assert_eq!(permissions(terms(), scope.clone()), "read:a write:a");
        let both = json!({"active": true, "sub": "1", "scope": "x", "permissions": ["read:b"]});
        assert_eq!(permissions(terms(), both), "read:b");
        let ignored = IntrospectionTerms { scope: ScopeRule::Ignored, ..terms() };
        assert_eq!(permissions(ignored, scope.clone()), "");
        let grants = Grants { roles: vec![], permissions: vec!["read:*".into()] };
        let bounded = IntrospectionTerms { grants: Some(grants), ..terms() };
        assert_eq!(permissions(bounded, scope), "read:a");
    }

    #[test]
    fn time_and_terms_are_judged_anew_on_what_was_said_before() {
        let said = json!({"active": true, "sub": "1", "username": "alice", "exp": NOW + 5});
        let (first, graph) = (Arc::new(terms()), RoleGraph::default());
        let said = first.read(said.to_string().as_bytes()).unwrap().unwrap();
        let at = |terms: &Arc<IntrospectionTerms>, seconds| {
            terms.principal(&said, Timestamp::from_seconds(NOW + seconds), &graph)
        };
        assert!(at(&first, 4).is_ok());
        assert_eq!(at(&first, 5).unwrap_err(), TokenFault::Expired);
        let by_name = ClaimPaths { subject: "username".into(), ..ClaimPaths::default() };
        let other = Arc::new(IntrospectionTerms { claims: by_name, ..terms() });
        assert_eq!(&*at(&other, 4).unwrap().subject, "alice");
        assert_eq!(&*at(&first, 4).unwrap().subject, "1");
    }

    #[test]
    fn the_provider_every_option_and_the_whole_token_are_in_the_key() {
        let token = |text: &'static str| Opaque::new(text, Digest::of(text.as_bytes())).unwrap();
        let other = "https://other.example.com/".to_owned();
        let grants = |role: &str| Grants { roles: vec![role.into()], permissions: vec![] };
        let paths = ClaimPaths { subject: "username".into(), ..ClaimPaths::default() };
        let all = [
            terms(),
            IntrospectionTerms { name: "other".into(), ..terms() },
            IntrospectionTerms { url: other.clone(), ..terms() },
            IntrospectionTerms { client_id: "gw2".into(), ..terms() },
            IntrospectionTerms { client_secret: Secret::new("other"), ..terms() },
            IntrospectionTerms { cache: Duration::from_secs(31), ..terms() },
            IntrospectionTerms { timeout: Duration::from_secs(2), ..terms() },
            IntrospectionTerms { issuer: Some(other.clone()), ..terms() },
            IntrospectionTerms { audiences: vec![other], ..terms() },
            IntrospectionTerms { claims: paths, ..terms() },
            IntrospectionTerms { scope: ScopeRule::Ignored, ..terms() },
            IntrospectionTerms { grants: Some(Grants::default()), ..terms() },
            IntrospectionTerms { grants: Some(grants("a")), ..terms() },
        ];
        let mut keys: Vec<Digest> = all.iter().map(|terms| terms.key(&token("a"))).collect();
        keys.push(terms().key(&token("A")));
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        assert_eq!(terms().key(&token("a")), terms().key(&token("a")));
    }

    #[test]
    fn what_can_be_understood_in_two_ways_is_no_answer() {
        for (said, fault) in [
            (r#"{"active":false,"active":true,"sub":"1"}"#, ObjectFault::Duplicate),
            (r#"{"active":true,"sub":"1","sub":"2"}"#, ObjectFault::Duplicate),
            (r#"{"active":true,"\u0061ctive":false}"#, ObjectFault::Duplicate),
            ("[true]", ObjectFault::Malformed),
            ("true", ObjectFault::Malformed),
            ("<html>", ObjectFault::Malformed),
            ("", ObjectFault::Malformed),
        ] {
            assert_eq!(terms().read(said.as_bytes()).map(|_| ()), Err(fault), "{said}");
        }
    }

    #[test]
    fn what_no_token_looks_like_is_not_asked_about() {
        let long = "a".repeat(LONGEST_TOKEN + 1);
        for (text, fault) in [
            ("", TokenFault::Malformed),
            ("a b", TokenFault::Malformed),
            ("a\u{e9}", TokenFault::Malformed),
            ("a\tb", TokenFault::Malformed),
            (long.as_str(), TokenFault::TooLarge),
        ] {
            let refused = Opaque::new(text, Digest::of(text.as_bytes())).map(|_| ());
            assert_eq!(refused, Err(fault), "{text:.9}");
        }
    }
}
