//! Taking a token back (RFC 7009): whoever holds it may. A refresh token ends its whole login, an
//! access token itself alone.

use super::{
    endpoint::{Desk, Refusal},
    form, refresh,
};
use crate::{
    policy::{
        Sources,
        authn::jwt::{IssuerTerms, Jws},
        digest::Digest,
        sources::{Issued, Unverified},
    },
    store::{Author, Entry, Revocation, RevocationKind},
};

/// Takes back what the form names. What is no token of ours is as good as taken back.
pub(super) async fn revoke<S: Sources>(desk: &Desk<'_, S>) -> Result<(), Refusal> {
    desk.terms()?;
    let token = form::token_to_revoke(desk.request.headers, desk.form()?)?;
    match refresh::digest_of(&token) {
        Some(digest) => end_login(desk, &digest).await,
        None => end_token(desk, &token).await,
    }
}

async fn end_login<S: Sources>(desk: &Desk<'_, S>, digest: &Digest) -> Result<(), Refusal> {
    let (client, now) = (desk.request.client, desk.now);
    if let Some(standing) = desk.sources.exhausted(client, now) {
        return Err(Refusal::limited(&standing));
    }
    let records = desk.records()?;
    let store = records.store().map_err(refresh::away)?;
    let Some(family) = store.family_of(digest.bytes()).await.map_err(refresh::away)? else {
        desk.sources.count_failure(client, now);
        return Ok(());
    };
    if family.ended.is_some() || family.expires <= now {
        return Ok(());
    }
    refresh::end(desk, records, &family, "refresh.revoke").await
}

async fn end_token<S: Sources>(desk: &Desk<'_, S>, token: &str) -> Result<(), Refusal> {
    let digest = Digest::of(token.as_bytes());
    let Ok(jws) = Jws::parse(token, digest) else { return Ok(()) };
    let own = desk.policy.issuers.iter().find(|issuer| issuer.is_own());
    let Some(own) = own.filter(|own| is_claimed(own, &jws)) else { return Ok(()) };
    let verified = match desk.sources.verify(own, &jws).await {
        Ok(verified) => verified,
        Err(Unverified::Fault(fault)) => {
            if fault.counts_as_failure() {
                desk.sources.count_failure(desk.request.client, desk.now);
            }
            return Ok(());
        }
        Err(Unverified::Unavailable(what)) => return Err(what.into()),
    };
    // One that does not stand, be it over or of another kind, needs no taking back.
    let Ok(trusted) = own.judge(&verified, desk.now) else { return Ok(()) };
    let issued: Issued<'_> = trusted.issued();
    let (Some(jti), Some(until)) = (issued.token, verified.expires) else { return Ok(()) };
    if desk.sources.is_revoked(&issued)? {
        return Ok(());
    }
    let name = jti.to_owned();
    let kind = RevocationKind::Token;
    let revocation = Revocation { kind, name, at: desk.now, until, revision: 0 };
    let origin = desk.request.client.to_string();
    let by = Author { who: trusted.subject(), origin: &origin, at: desk.now };
    let entry = Entry { action: "token.revoke", target: jti, detail: "" };
    let records = desk.records()?;
    records.revoke(&revocation, &entry, &by).await.map_err(refresh::away)
}

fn is_claimed(own: &IssuerTerms, jws: &Jws<'_>) -> bool {
    matches!((jws.issuer(), &own.issuer), (Ok(Some(iss)), Some(issuer)) if iss == issuer)
}
