//! What clients are told of where tokens come from; nothing in the file asks for it by itself.

use super::{Input, token::Own};
use crate::policy::metadata::{MetadataTerms, ServerTerms, parts};

/// There is something to tell if tokens can be had here, or at an issuer with an address.
pub(super) fn compile(input: &Input<'_>, own: Option<&Own>) -> Option<MetadataTerms> {
    let server = own.and_then(|own| {
        let issuing = &own.issuing;
        let grants = [
            ("password", true),
            ("refresh_token", issuing.refresh_ttl.is_some()),
            ("client_credentials", issuing.for_clients),
        ];
        Some(ServerTerms {
            issuer: parts(&issuing.issuer).map(|_| issuing.issuer.clone()),
            token_path: issuing.path.clone()?,
            jwks_path: issuing.jwks_path.clone(),
            revoke_path: issuing.revoke_path.clone(),
            grants: grants.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect(),
        })
    });
    let issuers = input.config.authentication.jwt.iter();
    let issuers = issuers.filter_map(|(_, issuer)| issuer.issuer.as_ref());
    let providers = input.config.authentication.introspection.iter();
    let providers = providers.filter_map(|(_, provider)| provider.issuer.as_ref());
    let issuers = issuers.chain(providers);
    let issuers = issuers.map(|iss| iss.as_str()).filter(|iss| parts(iss).is_some());
    let issuers: Vec<String> = issuers.map(str::to_owned).collect();
    (server.is_some() || !issuers.is_empty()).then_some(MetadataTerms { server, issuers })
}
