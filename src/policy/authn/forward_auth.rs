//! Requests that another service knows the sender of: what it is asked, and what its answer makes of
//! that (the `auth_request`, `ext_authz` and `forwardAuth` of other gateways).
//!
//! Everything that is asked is said by the gateway, from the request as it judges it; of the answer
//! only the headers count that the file names.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Map, Value};

use super::Attempt;
use crate::{
    model::{Claims, CredentialKind, IssuerName, Permission, PlanName, Principal, Role},
    policy::{
        RequestFacts, Sources, Trail,
        authz::RoleGraph,
        decision::{Denial, ForwardAuthFault},
        digest::{Digest, Parts},
        forward::request::forwarded_for,
        sources::{Presentation, Untold},
        trail::Outcome,
    },
};

/// Bytes of taken headers at most: more would not fit into a request.
const MOST_TAKEN: usize = 16 << 10;
/// Bytes of a subject at most.
const LONGEST_SUBJECT: usize = 2048;
/// Lines of `WWW-Authenticate` that are passed on at most, and their bytes.
const MOST_ASKS: (usize, usize) = (16, 8 << 10);

/// A service that knows clients, what it is told of a request, and what of its answers counts. It
/// belongs to one policy: a reload makes new ones.
#[derive(Debug)]
pub struct ForwardAuthTerms {
    /// Its name under `authentication.forward_auth`: the issuer of the principals it makes.
    pub name: IssuerName,
    /// Where it is asked.
    pub url: String,
    /// Headers of the request that it is sent: a request with none of them has no credential.
    pub send: Vec<HeaderName>,
    /// Headers of its answer that go upstream, and that no client may send. Those that make the
    /// principal are among them.
    pub take: Vec<HeaderName>,
    /// Which says the subject.
    pub subject: HeaderName,
    /// Which says the roles, with commas between.
    pub roles: Option<HeaderName>,
    /// Which says the permissions, with commas or spaces between.
    pub permissions: Option<HeaderName>,
    /// Which says the plan.
    pub plan: Option<HeaderName>,
    /// How long an answer is remembered.
    pub cache: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// The digest of all of this, once it was needed.
    pub fingerprint: OnceLock<Digest>,
}

/// All that the service is told of a request. It holds credentials, so it does not print.
#[derive(Clone)]
pub struct Asked {
    lines: Vec<(HeaderName, HeaderValue)>,
    /// Those of them that are the credential, which come first.
    sent: usize,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

/// Why a service does not vouch for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub fault: ForwardAuthFault,
    /// Its own `WWW-Authenticate` lines.
    pub asks: Vec<HeaderValue>,
}

/// What a service vouched for. Only [`ForwardAuthTerms::read`] makes one.
#[derive(Debug)]
pub struct Vouched {
    subject: Arc<str>,
    /// The headers that were taken, by name, several lines joined.
    taken: Arc<Claims>,
    /// Bytes of them.
    pub length: usize,
    made: ArcSwapOption<Made>,
}

/// The principal that was last made of an answer.
#[derive(Debug)]
struct Made {
    // INVARIANT: a weak pointer keeps the address from being given to another, so that comparing
    // addresses compares what they hold.
    terms: Weak<ForwardAuthTerms>,
    principal: Arc<Principal>,
}

/// Authenticates a request by asking the service that knows its sender.
pub(super) async fn authenticate(
    attempt: &Attempt<'_>,
    terms: &Arc<ForwardAuthTerms>,
    sources: &impl Sources,
    trail: &mut Trail,
) -> Result<Arc<Principal>, Denial> {
    let asked = terms.asked(attempt.facts)?;
    if asked.is_ambient() {
        attempt.judge_origin()?;
    }
    trail.note("forward_auth", Outcome::Passed, attempt.rule.line, || {
        let names: Vec<_> = asked.credential().map(|(name, _)| name.as_str()).collect();
        format!("`{}` is asked, at {}, with `{}`", terms.name, terms.url, names.join("`, `"))
    });
    let is_explicit = asked.is_explicit();
    let (client, now) = (attempt.facts.client, attempt.now);
    match sources.vouch(terms, Presentation { asked, client, now }).await {
        Ok(vouched) => Ok(terms.principal(&vouched, &attempt.policy.roles)),
        Err(Untold::Limited(standing)) => Err(Denial::limited(&standing)),
        Err(Untold::Unavailable(what)) => Err(Denial::Unavailable(what)),
        Err(Untold::Refused(Refusal { fault, asks })) => {
            // Browsers send cookies wherever they go, also those that are no credential: only what
            // somebody wrote down is a guess.
            if fault == ForwardAuthFault::Unauthorized && is_explicit {
                sources.count_failure(client, now);
            }
            let challenges = Arc::clone(&attempt.rule.challenges);
            Err(Denial::RefusedElsewhere { fault, asks, challenges })
        }
    }
}

impl ForwardAuthTerms {
    /// Whether a request brings what the service could know its sender by.
    pub(super) fn is_presented(&self, headers: &HeaderMap) -> bool {
        self.send.iter().any(|name| headers.contains_key(name))
    }

    /// Whether one of the headers comes twice, so that the service and an app could each take
    /// another. The lines of `Cookie` are one list (RFC 9113, section 8.2.3).
    pub(super) fn is_ambiguous(&self, headers: &HeaderMap) -> bool {
        let several = |name: &&HeaderName| headers.get_all(*name).iter().nth(1).is_some();
        self.send.iter().filter(|name| **name != header::COOKIE).any(|name| several(&name))
    }

    /// What the service is told of a request. The rest of it is none of its business.
    fn asked(&self, facts: &RequestFacts<'_>) -> Result<Asked, Denial> {
        let mut lines: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(self.send.len() + 5);
        for name in &self.send {
            let mut values = facts.headers.get_all(name).iter();
            let Some(first) = values.next() else { continue };
            let mut value = first.clone();
            for more in values {
                let joined = [value.as_bytes(), more.as_bytes()].join(&b"; "[..]);
                value = HeaderValue::from_bytes(&joined).map_err(|_| UNSENDABLE)?;
            }
            value.set_sensitive(true);
            lines.push((name.clone(), value));
        }
        let sent = lines.len();
        let mut say = |name: &'static str, value: &[u8]| -> Result<(), Denial> {
            let value = HeaderValue::from_bytes(value).map_err(|_| UNSENDABLE)?;
            lines.push((HeaderName::from_static(name), value));
            Ok(())
        };
        say("x-forwarded-method", facts.method.as_str().as_bytes())?;
        say("x-forwarded-proto", facts.scheme.as_str().as_bytes())?;
        say("x-forwarded-host", facts.forwarded_host.as_bytes())?;
        match facts.query {
            None => say("x-forwarded-uri", facts.path.as_bytes())?,
            Some(query) => say("x-forwarded-uri", format!("{}?{query}", facts.path).as_bytes())?,
        }
        say("x-forwarded-for", &forwarded_for(facts))?;
        Ok(Asked { lines, sent })
    }

    /// What an answer is remembered by: this service with all of its options, and all that it is told.
    pub fn key(&self, asked: &Asked) -> Digest {
        self.digest(&asked.lines)
    }

    /// What the credential is known by, whatever it is presented for.
    pub fn credential_key(&self, asked: &Asked) -> Digest {
        self.digest(asked.lines.get(..asked.sent).unwrap_or_default())
    }

    fn digest(&self, lines: &[(HeaderName, HeaderValue)]) -> Digest {
        let mut parts = Parts::default();
        parts.add(self.fingerprint.get_or_init(|| self.made_fingerprint()).bytes());
        for (name, value) in lines {
            parts.add(name.as_str().as_bytes());
            parts.add(value.as_bytes());
        }
        parts.digest()
    }

    fn made_fingerprint(&self) -> Digest {
        let mut parts = Parts::default();
        parts.add(self.name.as_str().as_bytes());
        parts.add(self.url.as_bytes());
        parts.add_all(self.send.iter().map(HeaderName::as_str));
        parts.add_all(self.take.iter().map(HeaderName::as_str));
        parts.add(self.subject.as_str().as_bytes());
        for name in [&self.roles, &self.permissions, &self.plan] {
            parts.add_option(name.as_ref().map(HeaderName::as_str));
        }
        parts.add(&self.cache.as_micros().to_be_bytes());
        parts.add(&self.timeout.as_micros().to_be_bytes());
        parts.digest()
    }

    /// Reads a good answer. Without a subject nobody is vouched for.
    ///
    /// # Errors
    /// If it can be understood in more than one way, or could not be passed on: text of no character
    /// set, control characters, a header twice that is no list, or more than fits into a request.
    pub fn read(&self, headers: &HeaderMap) -> Result<Result<Vouched, Refusal>, &'static str> {
        let mut taken = Map::new();
        let mut length = 0;
        for name in &self.take {
            let is_list =
                [&self.roles, &self.permissions].iter().any(|one| one.as_ref() == Some(name));
            let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
            if lines.len() > 1 && !is_list {
                return Err("a header that it is to say once is in it twice");
            }
            let mut texts = Vec::with_capacity(lines.len());
            for line in lines {
                length += line.len();
                texts.push(readable(line)?);
            }
            let text = texts.join(", ");
            if !text.is_empty() {
                taken.insert(name.as_str().to_owned(), Value::String(text));
            }
        }
        if length > MOST_TAKEN {
            return Err("its headers are longer than any request's");
        }
        let subject = taken.get(self.subject.as_str()).and_then(Value::as_str);
        let Some(subject) = subject else {
            return Ok(Err(Refusal { fault: ForwardAuthFault::NoSubject, asks: Vec::new() }));
        };
        if subject.len() > LONGEST_SUBJECT {
            return Err("its subject is longer than any");
        }
        let subject = Arc::from(subject);
        let taken = Arc::new(Claims::new(taken));
        Ok(Ok(Vouched { subject, taken, length, made: ArcSwapOption::empty() }))
    }

    /// The principal that an answer vouches for. Made once for an answer as long as the terms stay.
    fn principal(self: &Arc<Self>, vouched: &Vouched, graph: &RoleGraph) -> Arc<Principal> {
        let made = vouched.made.load();
        if let Some(made) = made.as_ref().filter(|made| std::ptr::eq(made.terms.as_ptr(), &**self))
        {
            return Arc::clone(&made.principal);
        }
        let said = |name: &Option<HeaderName>| {
            let value = name.as_ref().and_then(|name| vouched.taken.members().get(name.as_str()));
            value.and_then(Value::as_str).unwrap_or_default()
        };
        // Names of groups have spaces within.
        let roles: Vec<Role> = items(said(&self.roles), |one| one == ',').map(Role::from).collect();
        let is_between = |one: char| one == ',' || one.is_ascii_whitespace();
        let own: Vec<Permission> =
            items(said(&self.permissions), is_between).map(Permission::from).collect();
        let (effective_roles, permissions) = graph.effective(&roles, &own);
        let plan = Some(said(&self.plan)).filter(|plan| !plan.is_empty()).map(PlanName::from);
        let principal = Arc::new(Principal {
            issuer: self.name.clone(),
            subject: Arc::clone(&vouched.subject),
            roles: roles.into(),
            permissions,
            effective_roles,
            plan,
            method: CredentialKind::ForwardAuth,
            claims: Arc::clone(&vouched.taken),
            api_key: None,
            expires: None,
        });
        let made = Made { terms: Arc::downgrade(self), principal: Arc::clone(&principal) };
        vouched.made.store(Some(Arc::new(made)));
        principal
    }
}

const UNSENDABLE: Denial =
    Denial::BadRequest { why: "a character in the target or a header that cannot be passed on" };

/// A header's text: UTF-8 without control characters.
fn readable(line: &HeaderValue) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(line.as_bytes()).map_err(|_| "a header of it is not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("a header of it has control characters");
    }
    Ok(text.trim())
}

fn items(text: &str, is_between: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(is_between).map(str::trim).filter(|item| !item.is_empty())
}

impl Asked {
    /// All lines, at the place where they are sent.
    pub fn expose(&self) -> &[(HeaderName, HeaderValue)] {
        &self.lines
    }

    fn credential(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.lines.iter().take(self.sent)
    }

    /// Whether it could be a credential that browsers send by themselves, to wherever a page of
    /// another site sends them: cookies, and what is in `Authorization` unless a script put it there.
    fn is_ambient(&self) -> bool {
        self.credential().any(|(name, value)| match *name {
            header::COOKIE => true,
            header::AUTHORIZATION => {
                let scheme = value.as_bytes().trim_ascii().get(..7);
                !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
            }
            _ => false,
        })
    }

    /// Whether there is more than what browsers send of their own accord.
    fn is_explicit(&self) -> bool {
        self.credential().any(|(name, _)| *name != header::COOKIE)
    }
}

/// What a service asks for with its refusal, as it is passed on.
///
/// # Errors
/// If that is more than any client reads.
pub fn asks(headers: &HeaderMap) -> Result<Vec<HeaderValue>, &'static str> {
    let asks: Vec<_> = headers.get_all(header::WWW_AUTHENTICATE).iter().cloned().collect();
    let (lines, bytes) = MOST_ASKS;
    if asks.len() > lines || asks.iter().map(HeaderValue::len).sum::<usize>() > bytes {
        return Err("its challenges are longer than any");
    }
    Ok(asks)
}

#[cfg(test)]
mod tests;
