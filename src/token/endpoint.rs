//! The token endpoint: a form in, a token or the reason why not out (RFC 6749).

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    form::{ClientGrant, FormFault, Grant, PasswordGrant, RefreshGrant},
    grant::{self, Holder, Narrowing},
    refresh::{self, Fresh, Opened, Refreshable},
    revoke,
    signer::{self, MintFault, Minted},
};
use crate::{
    model::Timestamp,
    policy::{
        Denial, Policy, Sources,
        decision::Reply,
        digest::Digest,
        issuing::IssuingTerms,
        limit::Standing,
        problem::{Asks, Problem},
        sources::{Occasion, PasswordAttempt, PasswordCheck, Unavailable},
    },
    sources::{provider::SignFault, records::Records},
};

/// Bytes of a form at most; of a longer one nothing need be read.
pub const LONGEST_FORM: usize = 16 << 10;

/// A request to the token endpoint. Its query is not read.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'r> {
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// Its body.
    pub body: Body<'r>,
    /// The client's address.
    pub client: IpAddr,
    /// The request's id.
    pub request_id: &'r str,
}

/// The body of a request, as far as it is read.
#[derive(Clone, Copy)]
pub enum Body<'r> {
    /// All of it.
    Whole(&'r [u8]),
    /// It is longer than [`LONGEST_FORM`].
    TooLarge,
}

/// It holds a password.
impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole(***)",
            Self::TooLarge => "TooLarge",
        })
    }
}

/// What is answered, and what the log says of it.
#[derive(Debug)]
pub struct Answer {
    /// What the client is told.
    pub reply: Reply,
    /// Why there is no token, as the log and the metrics name it; one of a fixed set.
    pub reason: Option<&'static str>,
    /// Who was given a token.
    pub subject: Option<Arc<str>>,
}

/// A request and everything that an answer to it is made of.
pub struct Desk<'d, S> {
    /// The request.
    pub request: TokenRequest<'d>,
    /// What is live.
    pub policy: &'d Policy,
    /// What answers questions about users, keys and passwords.
    pub sources: &'d S,
    /// What is known of the store, if there is one.
    pub records: Option<&'d Records>,
    /// When.
    pub now: Timestamp,
}

impl<S: Sources> Desk<'_, S> {
    /// Answers a request for a token.
    pub async fn issue(&self) -> Answer {
        match self.grant().await {
            Ok(issued) => issued.answer(),
            Err(refusal) => refusal.answer(self.request.request_id),
        }
    }

    /// Answers a request to take a token back (RFC 7009).
    pub async fn revoke(&self) -> Answer {
        match revoke::revoke(self).await {
            Ok(()) => Answer { reply: empty(), reason: None, subject: None },
            Err(refusal) => refusal.answer(self.request.request_id),
        }
    }

    async fn grant(&self) -> Result<Issued, Refusal> {
        let terms = self.terms()?;
        match Grant::parse(self.request.headers, self.form()?)? {
            Grant::Client(grant) => self.client(terms, &grant).await,
            Grant::Password(grant) => self.password(terms, &grant).await,
            Grant::Refresh(grant) => self.refresh(terms, &grant).await,
        }
    }

    async fn password(
        &self,
        terms: &IssuingTerms,
        grant: &PasswordGrant,
    ) -> Result<Issued, Refusal> {
        let attempt = PasswordAttempt {
            username: &grant.username,
            password: grant.password.as_bytes(),
            occasion: Occasion::Login,
            client: self.request.client,
            now: self.now,
        };
        let scope = grant.scope.as_deref();
        let mut is_again = false;
        loop {
            let heard = self.heard();
            let user = match self.sources.password(&attempt).await {
                PasswordCheck::Right(user) => user,
                PasswordCheck::Wrong => return Err(Refusal::Wrong),
                PasswordCheck::Limited(standing) => return Err(Refusal::limited(&standing)),
                PasswordCheck::Unavailable(what) => return Err(what.into()),
            };
            let holder = |family| Holder { heard, ..Holder::user(&user, family) };
            // A scope that cannot be granted opens no family.
            self.mint(terms, &holder(None), Narrowing::asked(scope))?;
            let login = match refresh::open(self, terms, &user, scope).await? {
                Opened::Nothing => None,
                Opened::Family(login) => Some(login),
                // His password may have changed, or only its hash: he is asked about as he is now.
                Opened::Outdated if !is_again => {
                    is_again = true;
                    self.records()?.follow().await.map_err(refresh::away)?;
                    continue;
                }
                Opened::Outdated => return Err(Records::AWAY.into()),
            };
            let family = login.as_ref().map(|login| login.family.as_str());
            let minted = self.mint(terms, &holder(family), Narrowing::asked(scope))?;
            let refresh = login.map(|login| login.first);
            return Ok(Issued { minted, refresh, subject: Arc::clone(&user.subject) });
        }
    }

    /// How far the store has been heard of, before somebody is looked up.
    fn heard(&self) -> Option<i64> {
        self.records.map(Records::revision)
    }

    async fn refresh(&self, terms: &IssuingTerms, grant: &RefreshGrant) -> Result<Issued, Refusal> {
        if terms.refresh_ttl.is_none() {
            return Err(FormFault::GrantType.into());
        }
        let heard = self.heard();
        let Refreshable { user, family, digest } = refresh::find(self, &grant.token).await?;
        let narrowing = grant::within(family.scope.as_deref(), grant.scope.as_deref());
        let narrowing = narrowing.map_err(|_| Refusal::Scope)?;
        let holder = Holder { heard, ..Holder::user(&user, Some(&family.id)) };
        let minted = self.mint(terms, &holder, narrowing)?;
        // Last: whoever is told of a fault keeps a token that is good for another try.
        let next = refresh::exchange(self, &digest).await?;
        Ok(Issued { minted, refresh: Some(next), subject: Arc::clone(&user.subject) })
    }

    /// A token for an API client: its id is the key's, its secret the whole key.
    async fn client(&self, terms: &IssuingTerms, grant: &ClientGrant) -> Result<Issued, Refusal> {
        if !terms.for_clients {
            return Err(FormFault::GrantType.into());
        }
        let (client, now) = (self.request.client, self.now);
        let heard = self.heard();
        let found = self.sources.api_key(&Digest::of(grant.secret.as_bytes())).await?;
        let Some(key) = found.filter(|key| *key.id == **grant.id) else {
            self.sources.count_failure(client, now);
            return Err(Refusal::Client("unknown_key"));
        };
        if key.disabled {
            return Err(Refusal::Client("disabled"));
        }
        if key.is_over(now) {
            return Err(Refusal::Client("expired"));
        }
        if !key.serves_at(client) {
            return Err(Refusal::Client("network"));
        }
        let narrowing = Narrowing::asked(grant.scope.as_deref());
        let minted = self.mint(terms, &Holder { heard, ..Holder::key(&key) }, narrowing)?;
        Ok(Issued { minted, refresh: None, subject: Arc::clone(&key.subject) })
    }

    fn mint(
        &self,
        terms: &IssuingTerms,
        holder: &Holder<'_>,
        narrowing: Narrowing<'_>,
    ) -> Result<Minted, Refusal> {
        let minted = signer::mint_for(terms, holder, &self.policy.roles, narrowing, self.now);
        minted.map_err(|fault| match fault {
            MintFault::Scope(_) => Refusal::Scope,
            MintFault::Signing(_) | MintFault::TooLarge => {
                tracing::error!(%fault, "no token could be issued");
                Refusal::Denied(Denial::Internal { why: "no token could be issued" })
            }
        })
    }

    /// The terms of the gateway as issuer.
    pub(super) fn terms(&self) -> Result<&IssuingTerms, Refusal> {
        self.policy.issuing.as_deref().ok_or(Refusal::Denied(Denial::NoRoute))
    }

    /// What is known of the store. The compiler has refused files that need one and have none.
    pub(super) fn records(&self) -> Result<&Records, Refusal> {
        self.records.ok_or(Refusal::Denied(Denial::Unavailable(Records::AWAY)))
    }

    /// The body of the request.
    pub(super) fn form(&self) -> Result<&[u8], Refusal> {
        match self.request.body {
            Body::Whole(body) if body.len() <= LONGEST_FORM => Ok(body),
            Body::Whole(_) | Body::TooLarge => Err(FormFault::TooLarge.into()),
        }
    }
}

/// What a client is given.
struct Issued {
    minted: Minted,
    refresh: Option<Fresh>,
    subject: Arc<str>,
}

impl Issued {
    fn answer(self) -> Answer {
        let Minted { token, granted } = &self.minted;
        let mut body = json!({
            "access_token": token,
            "token_type": "bearer",
            "expires_in": granted.expires_in,
            "scope": granted.scope,
        });
        if let (Some(members), Some(fresh)) = (body.as_object_mut(), &self.refresh) {
            members.insert("refresh_token".to_owned(), json!(fresh.token.as_str()));
        }
        let reply = json_reply(StatusCode::OK, &body);
        Answer { reply, reason: None, subject: Some(self.subject) }
    }
}

/// Why there is no token.
pub(super) enum Refusal {
    /// The API client is not who it says; the exact reason is for the log.
    Client(&'static str),
    Denied(Denial),
    Form(FormFault),
    /// The refresh token does not stand; the exact reason is for the log.
    Refresh(&'static str),
    Scope,
    Wrong,
}

impl From<FormFault> for Refusal {
    fn from(fault: FormFault) -> Self {
        match fault {
            FormFault::NoClient => Self::Client("missing_credentials"),
            fault => Self::Form(fault),
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(what: Unavailable) -> Self {
        Self::Denied(Denial::Unavailable(what))
    }
}

impl From<SignFault> for Refusal {
    fn from(fault: SignFault) -> Self {
        tracing::error!(%fault, "no token could be issued");
        Self::Denied(Denial::Internal { why: "no token could be issued" })
    }
}

impl Refusal {
    pub(super) fn limited(standing: &Standing) -> Self {
        Self::Denied(Denial::limited(standing))
    }

    fn answer(self, request_id: &str) -> Answer {
        let (reply, reason) = match self {
            Self::Client(reason) => (no_client(), reason),
            Self::Denied(denial) => (denial.problem().reply(request_id), denial.reason()),
            Self::Form(fault) => (fault_of(fault.error(), &fault.description()), fault.error()),
            Self::Refresh(reason) => {
                (fault_of("invalid_grant", "The refresh token is not valid"), reason)
            }
            Self::Scope => {
                let description = "The scope asks for more than there is";
                (fault_of("invalid_scope", description), "invalid_scope")
            }
            Self::Wrong => (wrong(request_id), "invalid_credentials"),
        };
        Answer { reply, reason: Some(reason), subject: None }
    }
}

/// One answer for whatever is wrong with a client (RFC 6749, section 5.2).
fn no_client() -> Reply {
    let body = json!({
        "error": "invalid_client",
        "error_description": "The client could not be authenticated",
    });
    let mut reply = json_reply(StatusCode::UNAUTHORIZED, &body);
    let challenge = HeaderValue::from_static("Basic realm=\"portcullis\", charset=\"UTF-8\"");
    reply.headers.push((header::WWW_AUTHENTICATE, challenge));
    reply
}

fn empty() -> Reply {
    Reply { body: Bytes::new(), ..json_reply(StatusCode::OK, &Value::Null) }
}

/// One answer for a wrong user and a wrong password, for readers of RFC 9457 and of RFC 6749.
fn wrong(request_id: &str) -> Reply {
    const DETAIL: &str = "Incorrect username or password";
    let problem = Problem {
        status: StatusCode::UNAUTHORIZED,
        code: "invalid_credentials",
        detail: DETAIL.into(),
        headers: vec![
            (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            (header::PRAGMA, HeaderValue::from_static("no-cache")),
        ],
        asks: Asks::Here,
    };
    let extensions = [("error", "invalid_grant"), ("error_description", DETAIL)];
    problem.reply_with(request_id, &extensions)
}

fn fault_of(error: &str, description: &str) -> Reply {
    let body = json!({ "error": error, "error_description": description });
    json_reply(StatusCode::BAD_REQUEST, &body)
}

fn json_reply(status: StatusCode, body: &Value) -> Reply {
    let fixed = |name: HeaderName, value| (name, HeaderValue::from_static(value));
    Reply {
        status,
        headers: vec![
            fixed(header::CONTENT_TYPE, "application/json"),
            fixed(header::CACHE_CONTROL, "no-store"),
            fixed(header::PRAGMA, "no-cache"),
        ],
        body: Bytes::from(body.to_string()),
    }
}
