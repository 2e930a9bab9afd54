//! The token endpoint: a form in, a token or the reason why not out (RFC 6749).

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    form::{FormFault, Grant, PasswordGrant},
    signer::{self, MintFault, Minted},
};
use crate::{
    model::Timestamp,
    policy::{
        Denial, Policy, Sources,
        accounts::User,
        decision::Reply,
        issuing::IssuingTerms,
        problem::Problem,
        sources::{Occasion, PasswordAttempt, PasswordCheck},
    },
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
    pub user: Option<Arc<User>>,
}

/// Answers a request for a token.
pub async fn answer(
    request: &TokenRequest<'_>,
    policy: &Policy,
    sources: &impl Sources,
    now: Timestamp,
) -> Answer {
    match grant(request, policy, sources, now).await {
        Ok((user, minted)) => Answer { reply: success(&minted), reason: None, user: Some(user) },
        Err(refusal) => refusal.answer(request.request_id),
    }
}

async fn grant(
    request: &TokenRequest<'_>,
    policy: &Policy,
    sources: &impl Sources,
    now: Timestamp,
) -> Result<(Arc<User>, Minted), Refusal> {
    let terms = policy.issuing.as_deref().ok_or(Refusal::Denied(Denial::NoRoute))?;
    let body = match request.body {
        Body::Whole(body) if body.len() <= LONGEST_FORM => body,
        Body::Whole(_) | Body::TooLarge => return Err(FormFault::TooLarge.into()),
    };
    let Grant::Password(grant) = Grant::parse(request.headers, body)?;
    let attempt = PasswordAttempt {
        occasion: Occasion::Login,
        username: &grant.username,
        password: grant.password.as_bytes(),
        client: request.client,
        now,
    };
    match sources.password(&attempt).await {
        PasswordCheck::Right(user) => {
            let minted = minted(terms, &user, &grant, policy, now)?;
            Ok((user, minted))
        }
        PasswordCheck::Wrong => Err(Refusal::Wrong),
        PasswordCheck::Limited(standing) => Err(Refusal::Denied(Denial::limited(&standing))),
        PasswordCheck::Unavailable(what) => Err(Refusal::Denied(Denial::Unavailable(what))),
    }
}

fn minted(
    terms: &IssuingTerms,
    user: &User,
    grant: &PasswordGrant,
    policy: &Policy,
    now: Timestamp,
) -> Result<Minted, Refusal> {
    let minted = signer::mint(terms, user, &policy.roles, grant.scope.as_deref(), now);
    minted.map_err(|fault| match fault {
        MintFault::Scope(_) => Refusal::Scope,
        MintFault::Signing(_) | MintFault::TooLarge => {
            tracing::error!(%fault, "no token could be issued");
            Refusal::Denied(Denial::Internal { why: "no token could be issued" })
        }
    })
}

/// Why there is no token.
enum Refusal {
    Denied(Denial),
    Form(FormFault),
    Scope,
    Wrong,
}

impl From<FormFault> for Refusal {
    fn from(fault: FormFault) -> Self {
        Self::Form(fault)
    }
}

impl Refusal {
    fn answer(self, request_id: &str) -> Answer {
        let (reply, reason) = match self {
            Self::Denied(denial) => (denial.problem().reply(request_id), denial.reason()),
            Self::Form(fault) => (fault_of(fault.error(), &fault.description()), fault.error()),
            Self::Scope => {
                let description = "The scope asks for more than the user has";
                (fault_of("invalid_scope", description), "invalid_scope")
            }
            Self::Wrong => (wrong(request_id), "invalid_credentials"),
        };
        Answer { reply, reason: Some(reason), user: None }
    }
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
    };
    let extensions = [("error", "invalid_grant"), ("error_description", DETAIL)];
    problem.reply_with(request_id, &extensions)
}

fn success(minted: &Minted) -> Reply {
    let Minted { token, granted } = minted;
    json_reply(
        StatusCode::OK,
        &json!({
            "access_token": token,
            "token_type": "bearer",
            "expires_in": granted.expires_in,
            "scope": granted.scope,
        }),
    )
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
