//! Names from the configuration as types, so that a role is never taken for a route.

use std::{borrow::Borrow, fmt, sync::Arc};

use unicode_normalization::UnicodeNormalization;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// An issuer of tokens, as named under `authentication.jwt`; `token` is the gateway itself.
    IssuerName
);
name!(
    /// One thing that a principal may do, such as `read:items`.
    Permission
);
name!(
    /// A plan, which picks a principal's quota.
    PlanName
);
name!(
    /// A named set of permissions.
    Role
);
name!(
    /// A route, unique in the file.
    RouteName
);
name!(
    /// A service behind the gateway.
    UpstreamName
);

/// A username in the one spelling that stands for all which a person, a user store or an app may
/// take for it: without letter case and Unicode compatibility forms.
pub fn folded_username(name: &str) -> String {
    // Folding twice settles letters that only fold after decomposition.
    let once: String = name.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    once.chars().flat_map(char::to_lowercase).nfkc().collect()
}
