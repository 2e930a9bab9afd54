//! `token`: the gateway as an issuer of its own.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;

use super::{Input, faults::Faults, secrets};
use crate::{
    config::{
        codes,
        document::Site,
        token::Token,
        values::{Algorithm as Written, FilePath, OneOrMany},
    },
    model::{IssuerName, Principal},
    policy::{
        authn::{
            TokenPlace,
            jwt::{ClaimPaths, IssuerTerms},
            keys::{KeyFault, KeySet, Keys, SigningKey},
        },
        issuing::IssuingTerms,
    },
};

/// How the gateway issues tokens, and how it judges them when they come back.
pub(super) struct Own {
    /// The terms of the token endpoint.
    pub issuing: Arc<IssuingTerms>,
    /// The terms of its tokens.
    pub issuer: Arc<IssuerTerms>,
    /// In the order of the file: the first signs, all verify.
    pub keys: Vec<SigningKey>,
}

/// Reads `token`.
pub(super) fn compile(input: &Input<'_>, faults: &mut Faults) -> Option<Own> {
    let token = input.config.token.as_ref()?;
    let at = input.root().key("token");
    judge_paths(input, token, at, faults);
    judge_store(input, token, at, faults);
    if token.access_ttl.0 < Duration::from_secs(1) {
        faults
            .fault(
                codes::OUT_OF_RANGE,
                at.key("access_ttl"),
                "a token is valid for a second at least",
            )
            .help("half an hour is usual: `access_ttl: 30m`");
    }
    let keys = keys(input, token, at, faults)?;
    let verifying = KeySet::new(keys.iter().map(SigningKey::verifying).collect());
    let signing = keys.first()?.clone();
    let issuer = IssuerTerms {
        name: IssuerName::from(IssuerTerms::OWN),
        principal_issuer: Principal::local(),
        issuer: Some(token.issuer.as_str().to_owned()),
        audiences: vec![token.audience.as_str().to_owned()],
        algorithms: vec![signing.algorithm],
        keys: Keys::fixed(verifying, IssuerTerms::OWN),
        // One clock issues and judges.
        leeway: Duration::ZERO,
        require: ["exp", "sub"].map(str::to_owned).to_vec(),
        token_types: IssuerTerms::usual_types(),
        claims: ClaimPaths::default(),
        grants: None,
        users: super::issuers::user_rule(token.users),
        take_from: vec![TokenPlace::authorization()],
    };
    let path = |path: &Option<crate::config::values::RequestPath>| {
        path.as_ref().map(|path| path.0.clone())
    };
    let issuing = Arc::new(IssuingTerms {
        path: path(&token.path),
        jwks_path: path(&token.jwks_path),
        revoke_path: path(&token.revoke_path),
        issuer: token.issuer.as_str().to_owned(),
        audience: token.audience.as_str().to_owned(),
        access_ttl: token.access_ttl.0,
        refresh_ttl: token.refresh_ttl.map(|ttl| ttl.0),
        for_clients: input.config.store.is_some() || input.config.authentication.api_keys.is_some(),
        key: signing,
    });
    Some(Own { issuing, issuer: Arc::new(issuer), keys })
}

fn judge_paths(input: &Input<'_>, token: &Token, at: Site<'_>, faults: &mut Faults) {
    let shared = token.algorithm.0 == Algorithm::HS256 && !input.lacks(at, "algorithm");
    if token.jwks_path.is_some() && shared {
        faults
            .fault(
                codes::CONTRADICTION,
                at.key("jwks_path"),
                "a shared secret has no public key to serve",
            )
            .help("remove `jwks_path`, or sign with `algorithm: EdDSA` and `private_key_file`");
    }
}

/// What lasts longer than the process, and counts for every gateway, is kept in the store.
fn judge_store(input: &Input<'_>, token: &Token, at: Site<'_>, faults: &mut Faults) {
    let there = [
        ("refresh_ttl", token.refresh_ttl.is_some()),
        ("revoke_path", token.revoke_path.is_some()),
    ];
    for (key, _) in there.iter().filter(|(_, there)| *there) {
        if input.config.store.is_none() && !input.is_faulty("store") {
            faults
                .fault(codes::MISSING_KEY, at.key(key), format!("`{key}` needs a store"))
                .help("add `store: sqlite:portcullis.db`");
        }
    }
    if token.refresh_ttl.is_some_and(|ttl| ttl.0 < Duration::from_secs(1)) {
        faults
            .fault(
                codes::OUT_OF_RANGE,
                at.key("refresh_ttl"),
                "a login can be refreshed for a second at least",
            )
            .help("two weeks are usual: `refresh_ttl: 14d`");
    }
}

/// The keys in the order of the file: the first signs, all verify.
fn keys(
    input: &Input<'_>,
    token: &Token,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Vec<SigningKey>> {
    if input.lacks(at, "algorithm") {
        return None;
    }
    let algorithm = token.algorithm.0;
    let hmac = match algorithm {
        Algorithm::HS256 => true,
        Algorithm::EdDSA | Algorithm::ES256 | Algorithm::RS256 => false,
        _ => {
            faults
                .fault(
                    codes::NOT_AVAILABLE,
                    at.key("algorithm"),
                    format!("the gateway does not sign with {}", token.algorithm.as_str()),
                )
                .help("use HS256, EdDSA, ES256 or RS256");
            return None;
        }
    };
    let (wanted, other) =
        if hmac { ("secret", "private_key_file") } else { ("private_key_file", "secret") };
    let there = [
        ("secret", token.secret.is_some()),
        ("private_key_file", token.private_key_file.is_some()),
    ];
    if there.contains(&(other, true)) {
        faults
            .fault(
                codes::CONTRADICTION,
                at.key(other),
                format!("`{other}` does not go with {}", token.algorithm.as_str()),
            )
            .help(match there.contains(&(wanted, true)) {
                true => format!("remove it, or change `algorithm`: `{wanted}` is there too"),
                false => format!("{} takes `{wanted}`", Written(algorithm).as_str()),
            });
        return None;
    }
    if let Some(secrets) = &token.secret {
        let place = at.key("secret");
        return gather(secrets.as_slice(), place, faults, |secret, at, faults| {
            let secret = secrets::read(input, secret, at, faults)?;
            usable(SigningKey::from_secret(&secret, algorithm), at, faults)
        });
    }
    if let Some(files) = &token.private_key_file {
        let place = at.key("private_key_file");
        return private_keys(input, files, algorithm, place, faults);
    }
    if !input.lacks_any(at, &["secret", "private_key_file"]) {
        faults
            .fault(codes::MISSING_KEY, at, "`token` has no key to sign with")
            .help(format!("add `{wanted}`"));
    }
    None
}

/// Reads private keys, all of them before any is missed.
pub(super) fn private_keys(
    input: &Input<'_>,
    files: &OneOrMany<FilePath>,
    algorithm: Algorithm,
    place: Site<'_>,
    faults: &mut Faults,
) -> Option<Vec<SigningKey>> {
    gather(files.as_slice(), place, faults, |file, at, faults| {
        usable(SigningKey::from_pem(input.file(file)?, algorithm), at, faults)
    })
}

fn gather<T>(
    written: &[T],
    at: Site<'_>,
    faults: &mut Faults,
    read: impl Fn(&T, Site<'_>, &mut Faults) -> Option<SigningKey>,
) -> Option<Vec<SigningKey>> {
    let read = written.iter().enumerate().map(|(index, one)| read(one, at.item(index), faults));
    // All of them are read before any is missed, so that each fault is told.
    read.collect::<Vec<_>>().into_iter().collect()
}

fn usable(
    read: Result<SigningKey, KeyFault>,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<SigningKey> {
    read.map_err(|fault| {
        faults.fault(codes::UNUSABLE_KEY, at, fault.to_string()).help(fault.help());
    })
    .ok()
}
