//! Certificates of clients: the listener verified them, and a user of ours has the subject.

use std::sync::Arc;

use super::{Attempt, ClientCertTerms, basic::principal};
use crate::{
    model::{CredentialKind, Principal},
    policy::{
        Sources,
        decision::{CertificateFault, Denial},
    },
};

/// Authenticates by the certificate of the request's connection. Only an enabled user's subject
/// stands: an authority vouches for a name, and whether that name may still come here is for the
/// list of users to say.
pub(super) async fn authenticate(
    attempt: &Attempt<'_>,
    terms: &ClientCertTerms,
    sources: &impl Sources,
) -> Result<Arc<Principal>, Denial> {
    // A browser shows a certificate by itself, whatever page made it ask.
    attempt.judge_origin()?;
    let refused = |fault| {
        let challenges = Arc::clone(&attempt.rule.challenges);
        Denial::InvalidCertificate { fault, challenges }
    };
    let certificate = attempt.facts.certificate.ok_or(refused(CertificateFault::NoSubject))?;
    let (subject, ends) = certificate.subject(terms.subject, attempt.now).map_err(refused)?;
    let user = sources.user(subject).await.map_err(Denial::Unavailable)?;
    let user = user.ok_or(refused(CertificateFault::UnknownUser))?;
    if user.disabled {
        return Err(refused(CertificateFault::DisabledUser));
    }
    let principal = principal(&user, &attempt.policy.roles, CredentialKind::ClientCert);
    Ok(Arc::new(Principal { expires: Some(ends), ..principal }))
}
