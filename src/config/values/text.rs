//! Texts with a language of their own, kept as written: the compiler parses them. And the table
//! of every notation.

use super::{ValueFault, Written, written};
use crate::model::{
    Cidr, IssuerName, Permission, PlanName, Role, RouteName, Timestamp, UpstreamName,
};

macro_rules! language {
    ($(#[$doc:meta])* $name:ident, $format:literal, $expects:literal, $expands:literal, $longest:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl Written for $name {
            const FORMAT: &'static str = $format;
            const EXPECTS: &'static str = $expects;
            const EXPANDS: bool = $expands;

            fn read(text: &str) -> Result<Self, ValueFault> {
                if text.is_empty() {
                    return Err(ValueFault::because("the text is empty"));
                }
                if text.len() > $longest {
                    return Err(ValueFault::because(concat!("the text is longer than ", $longest, " bytes")));
                }
                Ok(Self(text.to_owned()))
            }
        }

        written!($name);
    };
}

language!(
    /// How many within which time: `10/minute`, `5/10 seconds`, `100/hour;10/second`.
    QuotaText, "quota", "a quota such as `10/minute`", true, 256
);
language!(
    /// A path to match: `/users/{id}`, `/files/{rest*}`, `/admin/**`.
    PathTemplate, "path-template", "a path template such as `/users/{id}`", false, 2048
);
language!(
    /// Text with `{principal.subject}` and the like, evaluated per request.
    Template, "template", "a template such as `{principal.subject}`", false, 4096
);
language!(
    /// A condition in CEL.
    Expression, "cel", "a CEL expression", false, 4096
);
language!(
    /// A dotted path to a claim, such as `realm_access.roles`.
    ClaimPath, "claim-path", "the path of a claim such as `realm_access.roles`", true, 256
);

/// How one notation is read.
#[derive(Debug)]
pub struct Rule {
    /// The notation's name: the `format` of its schema.
    pub format: &'static str,
    /// What is expected, as the end of "expected …".
    pub expects: &'static str,
    /// Whether `${NAME}` is replaced.
    pub expands: bool,
    /// Whether the value is never shown.
    pub secret: bool,
    /// Whether it gives away a secret when it stands in the file itself.
    pub in_clear: bool,
    /// Whether a text of it may look like a number.
    pub numeric: bool,
    /// Whether the text is in the notation.
    pub judge: fn(&str) -> Result<(), ValueFault>,
}

const fn rule<T: Written>() -> Rule {
    Rule {
        format: T::FORMAT,
        expects: T::EXPECTS,
        expands: T::EXPANDS,
        secret: T::SECRET,
        in_clear: T::IN_CLEAR,
        numeric: T::NUMERIC,
        judge: |text| T::read(text).map(drop),
    }
}

/// Every notation.
pub const RULES: &[Rule] = &[
    rule::<super::Algorithm>(),
    rule::<super::AuthMethod>(),
    rule::<super::DnsServer>(),
    rule::<super::HashKey>(),
    rule::<super::Header>(),
    rule::<super::HeaderText>(),
    rule::<super::HostHeader>(),
    rule::<super::HostPattern>(),
    rule::<super::Label>(),
    rule::<super::LimitKey>(),
    rule::<super::ListenAddress>(),
    rule::<super::Method>(),
    rule::<super::Origin>(),
    rule::<super::PasswordHash>(),
    rule::<super::Percent>(),
    rule::<super::Period>(),
    rule::<super::ProbePath>(),
    rule::<super::RealmText>(),
    rule::<super::RequestPath>(),
    rule::<super::ServerName>(),
    rule::<super::ServiceUrl>(),
    rule::<super::Sha256Hex>(),
    rule::<super::Size>(),
    rule::<super::StoreUrl>(),
    rule::<super::TargetUrl>(),
    rule::<super::TokenPlace>(),
    rule::<super::UpstreamRef>(),
    rule::<super::secret::Base64Text>(),
    rule::<super::FilePath>(),
    rule::<super::FolderPath>(),
    rule::<super::SocketPath>(),
    rule::<super::RemoteUrl>(),
    rule::<super::SecretText>(),
    rule::<Cidr>(),
    rule::<ClaimPath>(),
    rule::<Expression>(),
    rule::<IssuerName>(),
    rule::<PathTemplate>(),
    rule::<Permission>(),
    rule::<PlanName>(),
    rule::<QuotaText>(),
    rule::<Role>(),
    rule::<RouteName>(),
    rule::<Template>(),
    rule::<Timestamp>(),
    rule::<UpstreamName>(),
];
