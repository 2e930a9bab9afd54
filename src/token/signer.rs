//! From claims to a signed token.

use super::grant::{self, Granted, Holder, Narrowing, ScopeFault};
use crate::{
    model::Timestamp,
    policy::{accounts::User, authn::jwt::LONGEST_TOKEN, authz::RoleGraph, issuing::IssuingTerms},
    sources::provider::{self, SignFault},
};

/// The JOSE `typ` of what is issued.
const TYPE: &str = "JWT";

/// Why no token could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintFault {
    /// The scope asks for what the user does not have.
    #[error(transparent)]
    Scope(#[from] ScopeFault),
    /// Nothing can be signed.
    #[error(transparent)]
    Signing(#[from] SignFault),
    /// What the user has does not fit into a token that would be taken.
    #[error("the token has more than {LONGEST_TOKEN} bytes")]
    TooLarge,
}

/// A token for a user, with what is to be said about it.
#[derive(Clone, Debug)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// What it grants.
    pub granted: Granted,
}

/// Mints a token for a user.
///
/// # Errors
/// If the scope asks for what the user lacks, or the token cannot be made.
pub fn mint(
    terms: &IssuingTerms,
    user: &User,
    roles: &RoleGraph,
    scope: Option<&str>,
    now: Timestamp,
) -> Result<Minted, MintFault> {
    mint_for(terms, &Holder::user(user, None), roles, Narrowing::asked(scope), now)
}

/// Mints a token.
///
/// # Errors
/// As [`mint`].
pub fn mint_for(
    terms: &IssuingTerms,
    holder: &Holder<'_>,
    roles: &RoleGraph,
    narrowing: Narrowing<'_>,
    now: Timestamp,
) -> Result<Minted, MintFault> {
    let jti = provider::unique_name()?;
    let granted = grant::issue(terms, holder, roles, narrowing, now, &jti)?;
    let token = provider::sign(&terms.key, TYPE, &granted.claims)?;
    if token.len() > LONGEST_TOKEN {
        return Err(MintFault::TooLarge);
    }
    Ok(Minted { token, granted })
}
