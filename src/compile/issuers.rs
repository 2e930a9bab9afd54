//! `authentication.jwt`: what the tokens of each issuer are judged by.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::HeaderName;
use jsonwebtoken::AlgorithmFamily;

use super::{
    Input, claims,
    faults::{Faults, undefined},
    roles::Roles,
};
use crate::{
    config::{
        codes,
        document::Site,
        issuers::{Grants as WrittenGrants, Issuer, UserRule as WrittenUserRule},
        values::{Label, RemoteUrl, TokenPlace as WrittenPlace, Written as _},
    },
    model::{IssuerName, Role},
    policy::{
        authn::{
            TokenPlace,
            jwt::{Grants, IssuerTerms, UserRule, normal_type},
            keys::{KeyFault, KeyPlace, KeySet, Keys, Publication, VerifyingKey},
        },
        forward::assertion::ASSERTION_TYPE,
    },
};

/// The issuers of the file; the gateway's own comes beside them.
#[derive(Default)]
pub(super) struct Issuers {
    terms: Vec<Arc<IssuerTerms>>,
}

/// Reads `authentication.jwt`.
pub(super) fn compile(input: &Input<'_>, roles: &Roles<'_>, faults: &mut Faults) -> Issuers {
    let mut issuers = Issuers::default();
    let mut claimed: HashMap<&str, &IssuerName> = HashMap::new();
    let own = input.config.token.as_ref().map(|token| token.issuer.as_str());
    for (name, issuer) in input.config.authentication.jwt.iter() {
        let at = input.root().key("authentication").key("jwt").key(name.as_str());
        judge_claim_to_iss(name, issuer, own, &mut claimed, at, faults);
        warn(input, name, issuer, at, faults);
        refuse_assertions(issuer, at, faults);
        if let Some(grants) = &issuer.grants {
            refer_granted(grants, roles, at.key("grants").key("roles"), faults);
        }
        let places = places(input, issuer, at, faults);
        let Some(keys) = keys(input, name, issuer, at, faults) else { continue };
        // Which tokens would be its own is not known.
        if input.lacks(at, "issuer") {
            continue;
        }
        issuers.terms.push(Arc::new(terms(name, issuer, keys, places)));
    }
    issuers
}

/// What the gateway asserts to apps is for them alone: as a token it would let an app in under the
/// name of whoever called it.
fn refuse_assertions(issuer: &Issuer, at: Site<'_>, faults: &mut Faults) {
    let types = issuer.token_types.iter().flatten().enumerate();
    for (index, _) in types.filter(|(_, typ)| normal_type(typ.as_str()) == ASSERTION_TYPE) {
        let at = at.key("token_types").item(index);
        faults
            .fault(codes::CONTRADICTION, at, format!("`{ASSERTION_TYPE}` is never accepted"))
            .help("remove it: an assertion tells an app who calls, and is no token");
    }
}

impl Issuers {
    /// Adds the gateway's own.
    pub fn add(&mut self, own: Arc<IssuerTerms>) {
        self.terms.push(own);
    }

    /// All of them, in the order of the file.
    pub fn all(&self) -> &[Arc<IssuerTerms>] {
        &self.terms
    }

    /// Finds one by its name.
    pub fn find(&self, name: &str) -> Option<&Arc<IssuerTerms>> {
        self.terms.iter().find(|terms| terms.name.as_str() == name)
    }

    /// Hands them over.
    pub fn into_all(self) -> Vec<Arc<IssuerTerms>> {
        self.terms
    }
}

/// Says that an issuer is not defined, and which it could be.
pub(super) fn unknown(input: &Input<'_>, name: &str, at: Site<'_>, faults: &mut Faults) {
    let issuers = &input.config.authentication.jwt;
    if issuers.is_empty() && input.is_faulty("authentication.jwt") {
        return;
    }
    let names = issuers.names().map(|name| name.as_str());
    faults
        .fault(codes::UNKNOWN_ISSUER, at, format!("issuer `{name}` is not defined"))
        .help(undefined(name, names, "Issuers are defined under `authentication.jwt`"));
}

fn judge_claim_to_iss<'c>(
    name: &'c IssuerName,
    issuer: &'c Issuer,
    own: Option<&str>,
    claimed: &mut HashMap<&'c str, &'c IssuerName>,
    at: Site<'_>,
    faults: &mut Faults,
) {
    let Some(iss) = issuer.issuer.as_ref().map(|iss| iss.as_str()) else { return };
    let other = match claimed.insert(iss, name) {
        Some(other) => format!("`{other}`"),
        None if own == Some(iss) => "the gateway itself, by `token.issuer`,".to_owned(),
        None => return,
    };
    faults
        .fault(codes::SAME_ISSUER, at.key("issuer"), format!("{other} has the same `issuer`"))
        .help("a token goes to the issuer whose `issuer` is its `iss`: each needs one of its own");
}

fn warn(input: &Input<'_>, name: &IssuerName, issuer: &Issuer, at: Site<'_>, faults: &mut Faults) {
    if issuer.issuer.is_none() && !input.lacks(at, "issuer") {
        let message = format!("issuer `{name}` takes every token that no other issuer claims");
        faults
            .warning(codes::NO_ISSUER, at, message)
            .help("add `issuer`, the exact `iss` of its tokens");
    }
    if issuer.audiences.is_empty() && !input.lacks(at, "audiences") {
        let message = format!("issuer `{name}` takes tokens that were issued for anybody");
        faults
            .warning(codes::NO_AUDIENCES, at, message)
            .help("add `audiences`, one of which must be in `aud`");
    }
    let subject = claims::paths(&issuer.claims).subject;
    for (index, algorithm) in issuer.algorithms.iter().enumerate() {
        if issuer.algorithms.iter().take(index).any(|earlier| earlier == algorithm) {
            let at = at.key("algorithms").item(index);
            faults
                .fault(
                    codes::DUPLICATE,
                    at,
                    format!("`{}` stands in this list twice", algorithm.as_str()),
                )
                .help("remove one of them");
        }
    }
    if !issuer.require.iter().any(|claim| claim.as_str() == "exp") {
        let message =
            format!("tokens of issuer `{name}` may be without `exp`, and then never expire");
        faults
            .warning(codes::NO_EXPIRY, at.key("require"), message)
            .help(format!("write `require: [exp, {subject}]`"));
    }
}

/// A role that an issuer may assert is a reference like any other; a beginning and `*` is none.
pub(super) fn refer_granted(
    grants: &WrittenGrants,
    roles: &Roles<'_>,
    at: Site<'_>,
    faults: &mut Faults,
) {
    for (index, role) in grants.roles.iter().enumerate() {
        if !role.as_str().ends_with('*') {
            roles.refer(&Role::from(role.as_str()), at.item(index), faults);
        }
    }
}

/// Where keys can come from.
const SOURCES: [&str; 5] = ["discovery", "jwks_url", "jwks_file", "public_key_file", "secret"];

fn keys(
    input: &Input<'_>,
    name: &IssuerName,
    issuer: &Issuer,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Keys> {
    let algorithms: Vec<_> = issuer.algorithms.iter().map(|algorithm| algorithm.0).collect();
    let there = [
        issuer.discovery,
        issuer.jwks_url.is_some(),
        issuer.jwks_file.is_some(),
        issuer.public_key_file.is_some(),
        issuer.secret.is_some(),
    ];
    let mut written =
        SOURCES.into_iter().zip(there).filter(|(_, there)| *there).map(|(key, _)| key);
    let first = written.next();
    if let (Some(first), Some(second)) = (first, written.next()) {
        faults
            .fault(
                codes::CONTRADICTION,
                at.key(second),
                format!("the issuer has both `{first}` and `{second}`"),
            )
            .help("keep the one that holds its keys");
        return None;
    }
    if issuer.discovery || issuer.jwks_url.is_some() {
        return published(input, issuer, at, faults);
    }
    if issuer.refresh.is_some() && !input.lacks_any(at, &["discovery", "jwks_url"]) {
        faults
            .fault(codes::CONTRADICTION, at.key("refresh"), "the issuer's keys stand in the file")
            .help("remove `refresh`: it is for `discovery` and `jwks_url`");
    }
    let fixed = |keys| Keys::fixed(keys, name.as_str());
    let one = |key| fixed(KeySet::new(vec![key]));
    let refuse = |faults: &mut Faults, at: Site<'_>, fault: KeyFault| {
        faults.fault(codes::UNUSABLE_KEY, at, fault.to_string()).help(fault.help());
    };
    if let Some(file) = &issuer.jwks_file {
        let at = at.key("jwks_file");
        return match KeySet::from_jwks(input.file(file)?, &algorithms) {
            Ok((keys, warnings)) => {
                for warning in warnings {
                    faults.warning(codes::UNUSABLE_KEY, at, warning.to_string());
                }
                Some(fixed(keys))
            }
            Err(fault) => {
                refuse(faults, at, fault);
                None
            }
        };
    }
    if let Some(file) = &issuer.public_key_file {
        let read = VerifyingKey::from_pem(input.file(file)?, &algorithms);
        return read
            .map(one)
            .map_err(|fault| refuse(faults, at.key("public_key_file"), fault))
            .ok();
    }
    if let Some(secret) = &issuer.secret {
        let at = at.key("secret");
        let secret = super::secrets::read(input, secret, at, faults)?;
        let read = VerifyingKey::from_secret(&secret, &algorithms);
        return read.map(one).map_err(|fault| refuse(faults, at, fault)).ok();
    }
    if input.lacks_any(at, &SOURCES) {
        return None;
    }
    faults
        .fault(codes::MISSING_KEY, at, "the issuer has no keys")
        .help("add one of `discovery`, `jwks_url`, `jwks_file`, `public_key_file` and `secret`");
    None
}

/// Keys are asked for no more often than this.
const LEAST_REFRESH: Duration = Duration::from_secs(30);
const USUAL_REFRESH: Duration = Duration::from_secs(600);

/// Where the issuer publishes its keys.
fn published(
    input: &Input<'_>,
    issuer: &Issuer,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Keys> {
    let refresh = issuer.refresh.map_or(USUAL_REFRESH, |refresh| refresh.0);
    if refresh < LEAST_REFRESH {
        faults
            .fault(codes::OUT_OF_RANGE, at.key("refresh"), "an issuer is asked at most every 30s")
            .help("a new key is noticed sooner: a token that names it asks for it");
    }
    for (index, algorithm) in issuer.algorithms.iter().enumerate() {
        if algorithm.0.family() == AlgorithmFamily::Hmac {
            let at = at.key("algorithms").item(index);
            let message =
                format!("{} takes a secret, and nobody publishes one", algorithm.as_str());
            faults
                .fault(codes::UNUSABLE_KEY, at, message)
                .help("published keys verify RS*, PS*, ES256, ES384 and EdDSA");
        }
    }
    let place = match &issuer.jwks_url {
        Some(url) => KeyPlace::Jwks(url.as_str().to_owned()),
        None if input.lacks(at, "issuer") => return None,
        None => KeyPlace::Discovery(discovered(issuer, at, faults)?),
    };
    Some(Keys::Published(Publication { place, refresh }))
}

/// The issuer as an address to ask.
fn discovered(issuer: &Issuer, at: Site<'_>, faults: &mut Faults) -> Option<String> {
    let Some(iss) = &issuer.issuer else {
        faults
            .fault(
                codes::MISSING_KEY,
                at.key("discovery"),
                "`discovery` asks the `issuer`, and there is none",
            )
            .help("add `issuer`, the exact `iss` of its tokens");
        return None;
    };
    match RemoteUrl::read(iss.as_str()) {
        Ok(url) if !url.as_str().contains('?') => Some(url.0),
        read => {
            let fault = read.err().and_then(|fault| fault.reason);
            let why = fault
                .unwrap_or_else(|| "an issuer that is asked is a URL without a query".to_owned());
            faults
                .fault(codes::INVALID_VALUE, at.key("issuer"), why)
                .help("or name the key set itself: `jwks_url: https://…` in place of `discovery`");
            None
        }
    }
}

/// Where its tokens are looked for.
fn places(
    input: &Input<'_>,
    issuer: &Issuer,
    at: Site<'_>,
    faults: &mut Faults,
) -> Vec<TokenPlace> {
    let mut places = Vec::new();
    for (index, written) in issuer.take_from.iter().enumerate() {
        let at = at.key("take_from").item(index);
        let Some(place) = place(written, at, faults) else { continue };
        if places.contains(&place) {
            faults
                .fault(codes::DUPLICATE, at, format!("`{place}` stands in this list twice"))
                .help("remove one of them");
        } else if holds_keys(input, &place) {
            faults
                .fault(codes::CONTRADICTION, at, "API keys are looked for there")
                .help("give tokens a place of their own");
        } else {
            places.push(place);
        }
    }
    places
}

fn place(written: &WrittenPlace, at: Site<'_>, faults: &mut Faults) -> Option<TokenPlace> {
    match written {
        WrittenPlace::Cookie(name) => Some(TokenPlace::Cookie(name.clone())),
        WrittenPlace::Header(header) => {
            let taken = ["cookie", "proxy-authorization", "x-request-id"];
            let taken = taken.iter().any(|name| header.0.eq_ignore_ascii_case(name));
            if taken || super::headers::is_framing(&header.0) {
                faults
                    .fault(
                        codes::RESERVED_HEADER,
                        at,
                        format!("the header `{}` has a meaning of its own", header.0),
                    )
                    .help("use `header:Authorization`, or a header of your own");
                return None;
            }
            HeaderName::from_bytes(header.0.as_bytes()).ok().map(TokenPlace::Header)
        }
        WrittenPlace::Query(name) => Some(TokenPlace::Query(name.as_str().to_owned())),
    }
}

/// Nobody could say whether what stands there is a key or a token.
fn holds_keys(input: &Input<'_>, place: &TokenPlace) -> bool {
    let Some(keys) = &input.config.authentication.api_keys else { return false };
    match place {
        TokenPlace::Cookie(_) => false,
        TokenPlace::Header(name) => {
            !place.is_authorization()
                && keys.header.as_ref().is_some_and(|key| key.0.eq_ignore_ascii_case(name.as_str()))
        }
        TokenPlace::Query(name) => keys.query.as_ref().is_some_and(|key| key.as_str() == name),
    }
}

fn texts(labels: &[Label]) -> Vec<String> {
    labels.iter().map(|label| label.as_str().to_owned()).collect()
}

/// What may be asserted.
pub(super) fn granted(grants: &WrittenGrants) -> Grants {
    Grants { roles: texts(&grants.roles), permissions: texts(&grants.permissions) }
}

fn terms(
    name: &IssuerName,
    issuer: &Issuer,
    keys: Keys,
    take_from: Vec<TokenPlace>,
) -> IssuerTerms {
    let token_types =
        issuer.token_types.as_deref().map_or_else(IssuerTerms::usual_types, |types| {
            types.iter().map(|one| normal_type(one.as_str())).collect()
        });
    IssuerTerms {
        name: name.clone(),
        principal_issuer: name.clone(),
        issuer: issuer.issuer.as_ref().map(|iss| iss.as_str().to_owned()),
        audiences: texts(&issuer.audiences),
        algorithms: issuer.algorithms.iter().map(|algorithm| algorithm.0).collect(),
        keys,
        leeway: issuer.leeway.0,
        require: issuer.require.iter().map(|claim| claim.as_str().to_owned()).collect(),
        token_types,
        claims: claims::paths(&issuer.claims),
        grants: issuer.grants.as_ref().map(granted),
        users: user_rule(issuer.users),
        take_from,
    }
}

pub(super) const fn user_rule(written: WrittenUserRule) -> UserRule {
    match written {
        WrittenUserRule::Ignore => UserRule::Ignore,
        WrittenUserRule::Require => UserRule::Require,
    }
}
