//! Refresh tokens: opaque, each used once, kept by their digest alone. A login opens a family of
//! them; whoever uses one that was used before ends it (RFC 9700, section 4.14.2).

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::endpoint::{Desk, Refusal};
use crate::{
    model::Timestamp,
    policy::{
        Denial, Sources,
        accounts::{STAMPED, User, stamp_in},
        digest::Digest,
        issuing::IssuingTerms,
        sources::Issued,
    },
    sources::{
        provider::{self, SignFault},
        records::Records,
    },
    store::{Author, Entry, Family, NewFamily, StoreFault, Use},
};

/// What a refresh token begins with, so that people and secret scanners know one.
const PREFIX: &str = "prt_";
/// Bytes of randomness in one.
const BYTES: usize = 32;
/// Characters of one.
const LENGTH: usize = PREFIX.len() + 43;

/// A token that its client is told once.
pub(super) struct Fresh {
    pub(super) token: Zeroizing<String>,
    digest: Digest,
}

impl Fresh {
    fn new() -> Result<Self, SignFault> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| SignFault::Randomness)?;
        let token = Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*bytes)));
        Ok(Self { digest: Digest::of(token.as_bytes()), token })
    }
}

/// The digest of what could be a refresh token.
pub(super) fn digest_of(token: &str) -> Option<Digest> {
    let rest = token.strip_prefix(PREFIX)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let fits = token.len() == LENGTH && rest.bytes().all(plain);
    fits.then(|| Digest::of(token.as_bytes()))
}

/// A login that can be refreshed.
pub(super) struct Login {
    pub(super) family: String,
    pub(super) first: Fresh,
}

/// What became of a login.
pub(super) enum Opened {
    /// It can be refreshed.
    Family(Login),
    /// It cannot: there is no `refresh_ttl`.
    Nothing,
    /// The user is not who he was when his password was checked.
    Outdated,
}

/// Opens a family for a user who has just logged in.
pub(super) async fn open<S: Sources>(
    desk: &Desk<'_, S>,
    terms: &IssuingTerms,
    user: &User,
    scope: Option<&str>,
) -> Result<Opened, Refusal> {
    let Some(ttl) = terms.refresh_ttl else { return Ok(Opened::Nothing) };
    let records = desk.records()?;
    let first = Fresh::new()?;
    let mut family = provider::unique_name()?;
    let stamp = desk.policy.accounts.stamp(&user.subject);
    if let Some(stamp) = stamp {
        family.push(STAMPED);
        family.push_str(stamp);
    }
    let opened = NewFamily {
        id: &family,
        subject: &user.subject,
        scope,
        expires: desk.now + ttl,
        password: user.password.as_ref().filter(|_| stamp.is_none()),
        first: first.digest.bytes(),
    };
    let is_open = records.open_family(&opened, desk.now).await.map_err(away)?;
    Ok(if is_open { Opened::Family(Login { family, first }) } else { Opened::Outdated })
}

/// A refresh token that is good and was not used yet.
pub(super) struct Refreshable {
    pub(super) user: Arc<User>,
    pub(super) family: Family,
    pub(super) digest: Digest,
}

/// Finds whose login a refresh token is of, and uses nothing up.
pub(super) async fn find<S: Sources>(
    desk: &Desk<'_, S>,
    token: &str,
) -> Result<Refreshable, Refusal> {
    let (client, now) = (desk.request.client, desk.now);
    if let Some(standing) = desk.sources.exhausted(client, now) {
        return Err(Refusal::limited(&standing));
    }
    let Some(digest) = digest_of(token) else {
        desk.sources.count_failure(client, now);
        return Err(Refusal::Refresh("unknown_refresh_token"));
    };
    let records = desk.records()?;
    let store = records.store().map_err(away)?;
    let found = store.look_at_refresh_token(digest.bytes(), now).await.map_err(away)?;
    let family = unused(desk, records, found).await?;
    let user = desk.sources.user(&family.subject).await?;
    let issued = Issued {
        token: None,
        family: Some(&family.id),
        key: None,
        subject: &family.subject,
        at: family.issued,
        // Whoever shuts the user out ends his families in the same breath: the time of a family
        // counts only where the store was set back.
        heard: Some(i64::MAX),
    };
    let is_void = desk.sources.is_revoked(&issued)?;
    let known = user.filter(|user| !user.disabled && !is_void && is_same(desk, &family, user));
    match known {
        Some(user) => Ok(Refreshable { user, family, digest }),
        None => {
            end(desk, records, &family, "refresh.refused").await?;
            Err(Refusal::Refresh("refresh_over"))
        }
    }
}

/// Uses a refresh token: the next one is in its place. Of uses at the same moment one wins, and what
/// it is given is good.
pub(super) async fn exchange<S: Sources>(
    desk: &Desk<'_, S>,
    digest: &Digest,
) -> Result<Fresh, Refusal> {
    let records = desk.records()?;
    let next = Fresh::new()?;
    let used = records.use_refresh_token(digest.bytes(), next.digest.bytes(), desk.now).await;
    unused(desk, records, used.map_err(away)?).await?;
    Ok(next)
}

/// The family of a token that was not used before; where it was, the login ends.
async fn unused<S: Sources>(
    desk: &Desk<'_, S>,
    records: &Records,
    found: Use,
) -> Result<Family, Refusal> {
    match found {
        Use::First(family) => Ok(family),
        Use::Over(_) => Err(Refusal::Refresh("refresh_over")),
        Use::Late(family) => {
            late(&family, desk);
            Err(Refusal::Refresh("refresh_late"))
        }
        Use::Reused { family, used } => {
            incident(&family, used, desk);
            end(desk, records, &family, "refresh.reuse").await?;
            Err(Refusal::Refresh("refresh_reuse"))
        }
        Use::Unknown => {
            desk.sources.count_failure(desk.request.client, desk.now);
            Err(Refusal::Refresh("unknown_refresh_token"))
        }
    }
}

/// Ends a family and tells the audit log why.
pub(super) async fn end<S: Sources>(
    desk: &Desk<'_, S>,
    records: &Records,
    family: &Family,
    action: &'static str,
) -> Result<(), Refusal> {
    let origin = desk.request.client.to_string();
    let by = Author { who: &family.subject, origin: &origin, at: desk.now };
    let entry = Entry { action, target: &family.id, detail: "" };
    records.end_family(family, &entry, &by).await.map_err(away)
}

/// A client that refreshes twice at once: it goes on with what the other use was given.
fn late<S: Sources>(family: &Family, desk: &Desk<'_, S>) {
    tracing::warn!(
        event = "refresh_late",
        subject = %family.subject,
        family = %family.id,
        client = %desk.request.client,
        request_id = desk.request.request_id,
        "a refresh token was used twice at the same moment: the later use is given nothing"
    );
}

fn incident<S: Sources>(family: &Family, used: Timestamp, desk: &Desk<'_, S>) {
    tracing::error!(
        event = "incident",
        incident = "refresh_reuse",
        subject = %family.subject,
        family = %family.id,
        client = %desk.request.client,
        request_id = desk.request.request_id,
        first_used = used.seconds(),
        "a refresh token was used twice: somebody has a copy; the login is ended"
    );
}

/// Whether the password is still the one that the login was made with. A user of the store ends his
/// families when it changes. One of the file cannot: what tells his passwords apart stands in the
/// name of the family.
fn is_same<S: Sources>(desk: &Desk<'_, S>, family: &Family, user: &User) -> bool {
    stamp_in(&family.id) == desk.policy.accounts.stamp(&user.subject)
}

pub(super) fn away(fault: StoreFault) -> Refusal {
    tracing::error!(%fault, "the store does not answer a request for a token");
    Refusal::Denied(Denial::Unavailable(Records::AWAY))
}
