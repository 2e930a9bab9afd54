//! The facts of a token whose signature is good.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::{IssuerTerms, Jws, jws::issuer_of};
use crate::{
    model::{Claims, IssuerName, Principal, Timestamp},
    policy::{
        accounts::User,
        authn::keys::{Keyring, VerifyingKey},
        decision::TokenFault,
        digest::Digest,
    },
};

/// The facts of a token whose signature is good. Only [`IssuerTerms::vouch`] makes one.
#[derive(Debug)]
pub struct Verified {
    /// Whose keys vouched for it.
    pub issuer: IssuerName,
    /// Which issuer with which keys, see [`Keyring::fingerprint`].
    pub fingerprint: Digest,
    /// Its JOSE type, as in [`super::JoseHeader::typ`].
    pub typ: String,
    /// All of its claims.
    pub claims: Arc<Claims>,
    /// `exp`, if it is there.
    pub expires: Option<Timestamp>,
    /// `nbf`, if it is there.
    pub not_before: Option<Timestamp>,
    made: ArcSwapOption<Made>,
}

/// The principal that a token's claims last made, with what else it was made of: nothing in it
/// depends on time, and it is used again only while terms and user are the very same.
#[derive(Debug)]
struct Made {
    // INVARIANT: a weak pointer keeps the address from being given to another, so that comparing
    // addresses compares what they hold.
    terms: Weak<IssuerTerms>,
    user: Option<Weak<User>>,
    principal: Arc<Principal>,
}

impl IssuerTerms {
    /// Vouches for a token whose signature one of these keys of the issuer made. `check` does the
    /// cryptography, for a key and an algorithm that fit each other and the terms.
    ///
    /// # Errors
    /// If the algorithm is not one of the issuer's, no key fits, no key made the signature, or a
    /// claim that every reader understands in one way only has another type.
    pub fn vouch(
        &self,
        keys: &Keyring,
        token: &Jws<'_>,
        mut check: impl FnMut(&VerifyingKey, Algorithm) -> bool,
    ) -> Result<Verified, TokenFault> {
        let header = &token.header;
        let algorithm = header.algorithm.filter(|one| self.algorithms.contains(one));
        let algorithm = algorithm.ok_or(TokenFault::Algorithm)?;
        let mut candidates = keys.keys.candidates(algorithm, header.kid.as_deref()).peekable();
        if candidates.peek().is_none() {
            return Err(TokenFault::UnknownKey);
        }
        if !candidates.any(|key| check(key, algorithm)) {
            return Err(TokenFault::Signature);
        }
        let claims = token.unverified().clone();
        issuer_of(&claims)?;
        let (expires, not_before) = (date(&claims, "exp")?, date(&claims, "nbf")?);
        date(&claims, "iat")?;
        if !matches!(claims.members().get("sub"), None | Some(Value::String(_))) {
            return Err(TokenFault::ClaimType);
        }
        Ok(Verified {
            issuer: self.name.clone(),
            fingerprint: keys.fingerprint,
            typ: header.typ.clone(),
            claims: Arc::new(claims),
            expires,
            not_before,
            made: ArcSwapOption::empty(),
        })
    }
}

impl Verified {
    /// Its `iss`, by which its issuer is chosen again on each request.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.members().get("iss").and_then(Value::as_str)
    }

    /// The principal that was made of this token under these very terms and of this very user.
    pub(super) fn made(
        &self,
        terms: &Arc<IssuerTerms>,
        user: Option<&Arc<User>>,
    ) -> Option<Arc<Principal>> {
        let made = self.made.load();
        let made = made.as_ref()?;
        let same_user = match (&made.user, user) {
            (None, None) => true,
            (Some(then), Some(now)) => std::ptr::eq(then.as_ptr(), Arc::as_ptr(now)),
            (None, Some(_)) | (Some(_), None) => false,
        };
        let same_terms = std::ptr::eq(made.terms.as_ptr(), Arc::as_ptr(terms));
        (same_terms && same_user).then(|| Arc::clone(&made.principal))
    }

    /// Whether a principal was made of it by these very terms, which they do only once all stood.
    pub(super) fn stood_by(&self, terms: &IssuerTerms) -> bool {
        self.made.load().as_ref().is_some_and(|made| std::ptr::eq(made.terms.as_ptr(), terms))
    }

    pub(super) fn remember(
        &self,
        terms: &Arc<IssuerTerms>,
        user: Option<&Arc<User>>,
        principal: &Arc<Principal>,
    ) {
        let made = Made {
            terms: Arc::downgrade(terms),
            user: user.map(Arc::downgrade),
            principal: Arc::clone(principal),
        };
        self.made.store(Some(Arc::new(made)));
    }
}

/// A NumericDate (RFC 7519, section 2).
pub(in crate::policy::authn) fn date(
    claims: &Claims,
    name: &str,
) -> Result<Option<Timestamp>, TokenFault> {
    let number = match claims.members().get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(TokenFault::ClaimType),
    };
    let whole = number.as_i64().map(Timestamp::from_seconds);
    let date = whole.or_else(|| number.as_f64().map(Timestamp::from_numeric_date));
    date.map(Some).ok_or(TokenFault::ClaimType)
}
