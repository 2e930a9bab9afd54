//! Who a request turned out to come from.

use std::sync::{Arc, LazyLock};

use super::{Claims, IssuerName, Permission, PlanName, Role, Timestamp};

/// How a principal was established; the value of `principal.method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CredentialKind {
    /// An API key.
    ApiKey,
    /// HTTP Basic (RFC 7617).
    Basic,
    /// A client's TLS certificate.
    ClientCert,
    /// Whatever another service was asked about (`forward_auth`).
    ForwardAuth,
    /// A token that its provider was asked about (RFC 7662).
    Introspection,
    /// A bearer JWT (RFC 6750, RFC 7519).
    Jwt,
}

impl CredentialKind {
    /// As it stands in headers, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::ClientCert => "client_cert",
            Self::ForwardAuth => "forward_auth",
            Self::Introspection => "introspection",
            Self::Jwt => "jwt",
        }
    }

    /// Whether it came as a bearer token (RFC 6750).
    pub const fn is_bearer(self) -> bool {
        match self {
            Self::Introspection | Self::Jwt => true,
            Self::ApiKey | Self::Basic | Self::ClientCert | Self::ForwardAuth => false,
        }
    }
}

/// Who a request turned out to come from. Two principals are the same only if issuer *and*
/// subject are.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The issuer's name, or `local` for users, keys, Basic, certificates and the gateway's own tokens.
    pub issuer: IssuerName,
    /// The subject, unique with its issuer.
    pub subject: Arc<str>,
    /// Roles as granted, without those that they include.
    pub roles: Arc<[Role]>,
    /// Permissions in effect: the credential's own and those of its roles; sorted, each once.
    pub permissions: Arc<[Permission]>,
    /// Roles in effect: as granted and all that they include; sorted, each once.
    pub effective_roles: Arc<[Role]>,
    /// The plan that picks its quota.
    pub plan: Option<PlanName>,
    /// What it was established by.
    pub method: CredentialKind,
    /// The claims of its token; empty for other credentials.
    pub claims: Arc<Claims>,
    /// The id of its API key, if it came by one.
    pub api_key: Option<Arc<str>>,
    /// When its credential ends.
    pub expires: Option<Timestamp>,
}

impl Principal {
    /// The issuer of everything that the gateway itself vouches for.
    pub const LOCAL: &'static str = "local";

    /// [`Principal::LOCAL`] as a name, shared by all.
    pub fn local() -> IssuerName {
        static NAME: LazyLock<IssuerName> = LazyLock::new(|| Principal::LOCAL.into());
        NAME.clone()
    }

    /// The claims of whoever came without a token, shared by all.
    pub fn no_claims() -> Arc<Claims> {
        static NONE: LazyLock<Arc<Claims>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }

    /// Whether it holds the role, granted or included.
    pub fn has_role(&self, role: &Role) -> bool {
        self.effective_roles.binary_search(role).is_ok()
    }

    /// Whether it holds the permission.
    pub fn has_permission(&self, permission: &Permission) -> bool {
        self.permissions.binary_search(permission).is_ok()
    }
}
