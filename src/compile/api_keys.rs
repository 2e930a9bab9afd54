//! `authentication.api_keys`: where keys are looked for, and the keys.

use std::{collections::HashMap, sync::Arc};

use http::HeaderName;

use super::{Input, faults::Faults, limits::Plans, roles::Roles};
use crate::{
    config::{
        api_keys::{ApiKey as WrittenKey, ApiKeys, RejectStatus},
        codes,
        document::Site,
    },
    policy::{accounts::ApiKey, authn::ApiKeyTerms, digest::Digest},
};

/// The method, as routes use it.
pub(super) struct KeyMethod {
    /// Where keys are looked for.
    pub terms: Arc<ApiKeyTerms>,
    /// The status of a refusal where it is a route's only method.
    pub reject_status: http::StatusCode,
}

/// Reads where keys are looked for.
pub(super) fn method(input: &Input<'_>, faults: &mut Faults) -> Option<KeyMethod> {
    let written = input.config.authentication.api_keys.as_ref()?;
    let at = place(input);
    let nowhere = written.header.is_none() && written.query.is_none();
    if nowhere && !input.lacks_any(at, &["header", "query"]) {
        faults
            .fault(codes::MISSING_KEY, at, "no place is named where API keys are looked for")
            .help("add `header: X-API-Key`");
    }
    judge_header(written, at, faults);
    let header = written.header.as_ref();
    Some(KeyMethod {
        terms: Arc::new(ApiKeyTerms {
            header: header.and_then(|name| HeaderName::from_bytes(name.0.as_bytes()).ok()),
            query: written.query.as_ref().map(|name| name.as_str().to_owned()),
        }),
        reject_status: match written.reject_status {
            RejectStatus::Forbidden => http::StatusCode::FORBIDDEN,
            RejectStatus::Unauthorized => http::StatusCode::UNAUTHORIZED,
        },
    })
}

/// Reads the keys.
pub(super) fn keys(
    input: &Input<'_>,
    roles: &Roles<'_>,
    plans: &Plans,
    faults: &mut Faults,
) -> Vec<(Digest, ApiKey)> {
    let Some(written) = &input.config.authentication.api_keys else { return Vec::new() };
    let users = input.config.users.iter();
    let users: HashMap<&str, usize> =
        users.map(|(index, user)| (user.subject().as_str(), index)).collect();
    let mut ids = HashMap::new();
    let mut digests = HashMap::new();
    let mut keys = Vec::with_capacity(written.keys.len());
    for (index, key) in written.keys.iter() {
        let at = place(input).key("keys").item(index);
        if let Some(first) = ids.insert(key.id.as_str(), index) {
            let message = format!("two keys have the id `{}`", key.id.as_str());
            let first = place(input).key("keys").item(first).key("id");
            faults
                .fault(codes::DUPLICATE, at.key("id"), message)
                .beside(first, "the first")
                .help("give each key an id of its own");
        }
        if let Some(first) = digests.insert(key.sha256, index) {
            let first = place(input).key("keys").item(first).key("sha256");
            let message = "two entries have the same digest, so that they are one key";
            faults
                .fault(codes::DUPLICATE, at.key("sha256"), message)
                .beside(first, "the first")
                .help("remove one of them");
        }
        roles.refer_all(&key.roles, at.key("roles"), faults);
        plans.refer(input, key.plan.as_ref(), at.key("plan"), faults);
        judge_expiry(input, key, at, faults);
        if let (Some(user), None) = (users.get(key.id.as_str()), &key.subject) {
            warn_of_user(input, key, *user, at, faults);
        }
        let digest = Digest::from_bytes(key.sha256.0);
        input.demonstration.judge_digest(digest, at.key("sha256"), faults);
        keys.push((digest, compiled(key)));
    }
    keys
}

fn place<'d>(input: &Input<'d>) -> Site<'d> {
    input.root().key("authentication").key("api_keys")
}

fn compiled(key: &WrittenKey) -> ApiKey {
    ApiKey {
        id: key.id.as_str().into(),
        subject: key.subject.as_ref().unwrap_or(&key.id).as_str().into(),
        roles: key.roles.as_slice().into(),
        permissions: key.permissions.as_slice().into(),
        plan: key.plan.clone(),
        networks: key.networks.as_deref().unwrap_or_default().into(),
        expires: key.expires,
        disabled: key.disabled,
    }
}

/// Without `subject` a key speaks under its id: whether it is meant to be a user's is not said.
fn warn_of_user(
    input: &Input<'_>,
    key: &WrittenKey,
    user: usize,
    at: Site<'_>,
    faults: &mut Faults,
) {
    let id = key.id.as_str();
    let message = format!("the key `{id}` speaks as the user `{id}`");
    faults
        .warning(codes::KEY_AS_USER, at.key("id"), message)
        .beside(input.root().key("users").item(user), "the user")
        .help(format!("give the key another id, or write `subject: {id}` if it is his"));
}

fn judge_expiry(input: &Input<'_>, key: &WrittenKey, at: Site<'_>, faults: &mut Faults) {
    if key.expires.is_some_and(|end| end <= input.circumstances.now) && !key.disabled {
        faults
            .warning(
                codes::EXPIRED_KEY,
                at.key("expires"),
                format!("the key `{}` has expired", key.id.as_str()),
            )
            .help("remove it, or give it a later end");
    }
}

/// A header that has a meaning of its own is no place for a key.
fn judge_header(written: &ApiKeys, at: Site<'_>, faults: &mut Faults) {
    let Some(header) = &written.header else { return };
    if super::headers::is_framing(&header.0) || header.0.eq_ignore_ascii_case("cookie") {
        faults
            .fault(
                codes::RESERVED_HEADER,
                at.key("header"),
                format!("the header `{}` has a meaning of its own", header.0),
            )
            .help("use a header of your own such as `X-API-Key`");
    }
}
