//! What the handlers of users, keys and the audit log have in common.

use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::SystemTime};

use axum::{
    Json,
    extract::{FromRequestParts, Path, Query},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};

use super::refuse;
use crate::{
    gateway::{Gateway, Snapshot},
    model::{Permission, Role, Timestamp},
    observe::logging::rfc3339,
    policy::password::HashKind,
    sources::Records,
    store::{Author, StoreFault, StoredKey, StoredUser},
};

/// Bytes of a request's body at most.
pub(super) const LONGEST_BODY: usize = 64 << 10;

/// Items of a page at most.
pub(super) const LONGEST_PAGE: u32 = 1000;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub SocketAddr);

/// The store as a handler needs it: what is known of it, what the file says, and who asks.
pub(super) struct Kept {
    pub records: Arc<Records>,
    pub snapshot: Arc<Snapshot>,
    pub now: Timestamp,
    origin: String,
}

impl Kept {
    /// Whoever holds the token of the admin API, from where he is.
    pub fn author(&self) -> Author<'_> {
        Author { who: "admin", origin: &self.origin, at: self.now }
    }
}

impl FromRequestParts<Arc<Gateway>> for Kept {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Response> {
        let snapshot = gateway.snapshot();
        let Some(records) = snapshot.memory().records.clone() else {
            return Err(refuse(StatusCode::NOT_FOUND, "no_store", "The file names no store"));
        };
        let peer = parts.extensions.get::<Peer>();
        let origin = peer.map(|peer| peer.0.ip().to_canonical().to_string()).unwrap_or_default();
        Ok(Self { records, snapshot, now: SystemTime::now().into(), origin })
    }
}

/// Which page of a list is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Page {
    pub after: String,
    pub limit: Option<u32>,
}

impl Page {
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(100).clamp(1, LONGEST_PAGE)
    }

    /// A page as it is answered, with where the next one begins.
    pub fn answer(&self, name: &str, items: Vec<Value>) -> Response {
        let whole = items.len() < usize::try_from(self.limit()).unwrap_or(usize::MAX);
        let last = items.last().and_then(|item| item.get("id")).cloned();
        let next = if whole { None } else { last };
        Json(json!({ name: items, "next": next })).into_response()
    }
}

/// Why a request is not served.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
}

impl Refusal {
    /// The request is understood and wrong.
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self { status, code: "invalid_request", detail: detail.into() }
    }

    /// There is no such thing.
    pub fn absent(what: &str) -> Self {
        let detail = format!("There is no such {what}").into();
        Self { status: StatusCode::NOT_FOUND, code: "not_found", detail }
    }

    /// It cannot be served now.
    pub fn unavailable(detail: &'static str) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, code: "unavailable", detail: detail.into() }
    }
}

impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Absent { what } => Self::absent(what),
            StoreFault::Taken { what } => {
                let detail = format!("The {what} is taken").into();
                Self { status: StatusCode::CONFLICT, code: "conflict", detail }
            }
            fault => {
                tracing::error!(event = "store_refused", %fault, "the store did not serve the admin API");
                Self::unavailable("The store is unavailable")
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        refuse(self.status, self.code, &self.detail)
    }
}

/// What a query says.
pub(super) struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let why = "A parameter of the query is unknown, twice there or of another kind";
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(said)| Self(said)).map_err(|_| Refusal::invalid(why))
    }
}

/// The id in a path.
pub(super) struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let read = Path::from_request_parts(parts, state).await;
        read.map(|Path(id)| Self(id)).map_err(|_| Refusal::invalid("The path is not UTF-8"))
    }
}

/// Reads a body. What is wrong is told without what stands there, which may be a password.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let why = match error.classify() {
            serde_json::error::Category::Data => "a member is unknown, missing or of another type",
            _ => "it is not JSON",
        };
        Refusal::invalid(format!("The body cannot be used: {why} ({place})"))
    })
}

/// A member that is there, if only as `null`.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// All of these roles are defined, if the file defines any.
pub(super) fn judge_roles(snapshot: &Snapshot, roles: &[Role]) -> Result<(), Refusal> {
    let graph = &snapshot.policy().roles;
    let unknown = roles.iter().find(|role| !graph.defines(role.as_str()));
    match unknown.filter(|_| graph.names().next().is_some()) {
        Some(_) => Err(Refusal::invalid("A role is not defined under `roles`")),
        None => Ok(()),
    }
}

/// A name that can stand in a header and a list.
pub(super) fn judge_name(name: &str) -> Result<(), Refusal> {
    let usual = !name.is_empty()
        && name.len() <= 255
        && name.trim() == name
        && !name.chars().any(|one| one.is_control() || one == ',');
    if usual {
        Ok(())
    } else {
        Err(Refusal::invalid("A name has 1 to 255 characters and no comma"))
    }
}

/// A user for people and scripts, without the hash.
pub fn user(user: &StoredUser) -> Value {
    let StoredUser { terms, created, last_login, revision: _ } = user;
    let kind = terms.password.as_ref().map(|hash| {
        HashKind::of(hash).map_or_else(|| "unknown".to_owned(), |kind| kind.to_string())
    });
    json!({
        "id": terms.subject,
        "username": terms.username,
        "roles": terms.roles.iter().map(Role::as_str).collect::<Vec<_>>(),
        "permissions": terms.permissions.iter().map(Permission::as_str).collect::<Vec<_>>(),
        "plan": terms.plan.as_ref().map(|plan| plan.as_str()),
        "disabled": terms.disabled,
        "password": kind,
        "created": rfc3339(*created),
        "last_login": last_login.map(rfc3339),
    })
}

/// A key for people and scripts, without its digest.
pub fn key(key: &StoredKey, now: Timestamp) -> Value {
    let terms = &key.terms;
    let state = if key.revoked.is_some() {
        "revoked"
    } else if key.disabled {
        "disabled"
    } else if terms.expires.is_some_and(|end| end <= now) {
        "expired"
    } else {
        "good"
    };
    let previous = key.previous.map(|previous| previous.until).filter(|until| *until > now);
    json!({
        "id": terms.id,
        "name": terms.name,
        "subject": terms.owner.as_ref().unwrap_or(&terms.id),
        "roles": terms.roles.iter().map(Role::as_str).collect::<Vec<_>>(),
        "permissions": terms.permissions.iter().map(Permission::as_str).collect::<Vec<_>>(),
        "plan": terms.plan.as_ref().map(|plan| plan.as_str()),
        "networks": terms.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "state": state,
        "expires": terms.expires.map(rfc3339),
        "old_key_until": previous.map(rfc3339),
        "revoked": key.revoked.map(rfc3339),
        "created": rfc3339(key.created),
        "last_used": key.last_used.map(rfc3339),
    })
}
