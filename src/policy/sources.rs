//! What only the outside can know: the questions of the judge and their answers, as types.
//!
//! An answer is a fact ("this signature is good"), never a verdict: what a fact is worth is judged
//! anew on each request.

use std::{net::IpAddr, sync::Arc};

use http::HeaderValue;
use serde_json::Value;

use super::{
    accounts::{ApiKey, User},
    authn::{
        forward_auth::{Asked, ForwardAuthTerms, Refusal, Vouched},
        introspection::{Introspected, IntrospectionTerms, Opaque},
        jwt::{IssuerTerms, Jws, Verified},
    },
    decision::TokenFault,
    digest::Digest,
    forward::AssertionTerms,
    limit::{Charge, Charged, Standing},
};
use crate::model::{Claims, Principal, Timestamp};

/// The outside could not be asked; what depends on it is 503, never a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is unavailable")]
pub struct Unavailable {
    /// What could not be asked, for the log.
    pub what: &'static str,
}

/// Why a token's signature was not vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The token is bad.
    Fault(TokenFault),
    /// The keys could not be had.
    Unavailable(Unavailable),
}

/// Why it is not known what a credential is worth of which others have to be asked.
#[derive(Clone, Debug)]
pub enum Untold<R> {
    /// Too many failures from this client; nobody was asked.
    Limited(Standing),
    /// It is worth nothing, they say.
    Refused(R),
    /// They could not be asked, or what they said is nonsense.
    Unavailable(Unavailable),
}

/// A question about a token.
#[derive(Clone, Copy, Debug)]
pub struct Inspection<'r> {
    /// The token.
    pub token: Opaque<'r>,
    /// Where it comes from; absent, nobody's failures are held against it.
    pub client: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
}

/// A request as it is presented to somebody who may know its sender.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// All that he is told.
    pub asked: Asked,
    /// Where it comes from.
    pub client: IpAddr,
    /// When.
    pub now: Timestamp,
}

/// The outcome of a password check.
#[derive(Clone, Debug)]
pub enum PasswordCheck {
    /// The password is that of this enabled user.
    Right(Arc<User>),
    /// Unknown user, disabled user or wrong password: nobody is told which.
    Wrong,
    /// Too many attempts, or too many failures from this client; nothing was looked at.
    Limited(Standing),
    /// No room to hash now, or the store is away.
    Unavailable(Unavailable),
}

/// An attempt to authenticate with a password.
#[derive(Clone, Copy)]
pub struct PasswordAttempt<'r> {
    /// The name as it was sent.
    pub username: &'r str,
    /// The password.
    pub password: &'r [u8],
    /// What for.
    pub occasion: Occasion,
    /// Where it comes from.
    pub client: IpAddr,
    /// When.
    pub now: Timestamp,
}

/// By what a token of the gateway's own can be taken back.
#[derive(Clone, Copy, Debug)]
pub struct Issued<'t> {
    /// Its `jti`.
    pub token: Option<&'t str>,
    /// The login that it is of, its `sid`.
    pub family: Option<&'t str>,
    /// The API key that it was issued to, its `client_id`.
    pub key: Option<&'t str>,
    /// Whom it speaks for.
    pub subject: &'t str,
    /// When it was issued; the epoch if it does not say.
    pub at: Timestamp,
    /// The number of the latest change that whoever issued it had heard of, its `rev`.
    pub heard: Option<i64>,
}

impl<'t> Issued<'t> {
    /// As the claims of a token say.
    pub fn of(claims: &'t Claims, subject: &'t str) -> Self {
        let member = |name: &str| claims.members().get(name);
        let text = |name: &str| member(name).and_then(Value::as_str);
        let at = member("iat").and_then(Value::as_f64).map(Timestamp::from_numeric_date);
        Self {
            token: text("jti"),
            family: text("sid"),
            key: text("client_id"),
            subject,
            at: at.unwrap_or_default(),
            heard: member("rev").and_then(Value::as_i64),
        }
    }
}

/// What a password is presented for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// To be issued something that outlives the request: a user of the store is let in by the store,
    /// not by what is remembered of it.
    Login,
    /// To make one request.
    Request,
}

/// What only the outside can know.
#[expect(
    async_fn_in_trait,
    reason = "dispatch is static, and the compiler sees each future's type"
)]
pub trait Sources {
    /// The facts of a token whose signature was verified before, if they are still held.
    fn recall(&self, token: &Digest) -> Option<Arc<Verified>>;

    /// Whether the keys that vouched for a token are still the keys of this very issuer.
    fn vouches(&self, issuer: &IssuerTerms, verified: &Verified) -> bool;

    /// Verifies a token's signature with the keys of this issuer, and keeps the facts.
    async fn verify(
        &self,
        issuer: &IssuerTerms,
        token: &Jws<'_>,
    ) -> Result<Arc<Verified>, Unverified>;

    /// What a provider says of a token, now or a short while ago. A client whose failures are
    /// exhausted causes no question, unless the token was good within the last ten minutes.
    async fn introspect(
        &self,
        provider: &Arc<IntrospectionTerms>,
        question: &Inspection<'_>,
    ) -> Result<Arc<Introspected>, Untold<TokenFault>>;

    /// What a service says of a request, now or a short while ago. A client whose failures are
    /// exhausted causes no question, unless the credential was good within the last ten minutes.
    async fn vouch(
        &self,
        service: &Arc<ForwardAuthTerms>,
        presented: Presentation,
    ) -> Result<Arc<Vouched>, Untold<Refusal>>;

    /// The API key with this SHA-256, if there is one.
    async fn api_key(&self, key: &Digest) -> Result<Option<Arc<ApiKey>>, Unavailable>;

    /// The user with this subject, if there is one.
    async fn user(&self, subject: &str) -> Result<Option<Arc<User>>, Unavailable>;

    /// The API key with this id, if there is one.
    fn key(&self, id: &str) -> Result<Option<Arc<ApiKey>>, Unavailable>;

    /// Whether what the gateway issued was taken back.
    fn is_revoked(&self, issued: &Issued<'_>) -> Result<bool, Unavailable>;

    /// The standing with `failure_limit` of a client that has exhausted it.
    fn exhausted(&self, client: IpAddr, now: Timestamp) -> Option<Standing>;

    /// Whether this is the password of an enabled user, at the same cost for every answer. The
    /// attempt is charged to `login_limit`, which gives the place back if it succeeds; a wrong
    /// password counts as a failure, and a client whose failures are exhausted is heard only with
    /// a credential that was good within the last ten minutes.
    async fn password(&self, attempt: &PasswordAttempt<'_>) -> PasswordCheck;

    /// The signed assertion of who this principal is, for an upstream.
    fn assertion(
        &self,
        terms: &AssertionTerms,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<HeaderValue, Unavailable>;

    /// Charges all of these limits or none.
    fn charge(&self, charges: &[Charge<'_>], now: Timestamp) -> Result<Charged, Unavailable>;

    /// Counts a failed credential against `failure_limit`.
    fn count_failure(&self, client: IpAddr, now: Timestamp);
}
