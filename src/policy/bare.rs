//! A policy without routes, for tests of what needs no more.

use std::sync::Arc;

use super::{
    Policy,
    accounts::Accounts,
    authn::jwt::IssuerTerms,
    authz::RoleGraph,
    rules::CorsRule,
    server::{ConnectionLimits, RequestLimits, ServerTerms},
};

impl Policy {
    /// These issuers, accounts and roles, and nothing else.
    pub(crate) fn bare(
        issuers: Vec<Arc<IssuerTerms>>,
        accounts: Accounts,
        roles: RoleGraph,
    ) -> Self {
        Self {
            server: ServerTerms {
                trusted_proxies: vec![],
                limits: RequestLimits::default(),
                connections: ConnectionLimits::default(),
            },
            routes: vec![],
            table: Default::default(),
            upstreams: vec![],
            issuers,
            providers: vec![],
            services: vec![],
            accounts: Arc::new(accounts),
            roles,
            identity: Default::default(),
            issuing: None,
            metadata: None,
            failure_limit: None,
            login_limit: None,
            counters: 10_000,
            default_cors: CorsRule::Off,
            default_security_headers: [].into(),
        }
    }
}
