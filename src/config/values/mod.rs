//! Values that are written as text, as types: each knows the name of its notation, how to read
//! it, and how to say what it expects.

mod balance;
mod collections;
pub(super) mod enums;
mod http;
mod names;
mod network;
mod secret;
mod size;
mod store;
mod text;
mod time;
mod url;

pub use balance::{HashKey, Percent, ProbePath, ServerName};
pub use collections::{List, Named, OneOrMany, Switch};
pub use enums::{Algorithm, AuthMethod, HostHeader, LimitKey, PasswordHash, TokenPlace, Workers};
pub use http::{Header, HeaderText, HostPattern, Method, Origin, RequestPath, Status};
pub use names::{Label, RealmText, Sha256Hex};
pub use network::{DnsServer, ListenAddress};
pub use secret::{FilePath, FolderPath, SecretSource, SecretText, SocketPath};
pub use size::Size;
pub use store::StoreUrl;
pub use text::{ClaimPath, Expression, PathTemplate, QuotaText, Template};
pub use time::Period;
pub use url::{RemoteUrl, ServiceUrl, TargetUrl, UpstreamRef};

pub use text::{RULES, Rule};

use super::codes;

/// A value that is written as text.
pub trait Written: Sized {
    /// The notation's name: the `format` of its JSON Schema.
    const FORMAT: &'static str;
    /// What is expected, as the end of "expected …".
    const EXPECTS: &'static str;
    /// Whether `${NAME}` is replaced in it. Templates and expressions have braces of their own.
    const EXPANDS: bool = true;
    /// Whether it is never shown.
    const SECRET: bool = false;
    /// Whether it gives away a secret when it stands in the file itself.
    const IN_CLEAR: bool = Self::SECRET;
    /// Whether a text of it may look like a number without quotes around it.
    const NUMERIC: bool = false;
    /// A pattern for editors; what `read` accepts is what counts.
    const PATTERN: Option<&'static str> = None;

    /// Reads the text. A fault never repeats the text: it may come from the environment.
    fn read(text: &str) -> Result<Self, ValueFault>;
}

/// Why a text is not the value that its key wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueFault {
    /// The diagnostic's code.
    pub code: &'static str,
    /// What is wrong, where "expected …" does not say it.
    pub reason: Option<String>,
    /// How to mend it.
    pub help: Option<String>,
}

impl ValueFault {
    /// Not in the notation at all.
    pub fn malformed() -> Self {
        Self { code: codes::INVALID_VALUE, reason: None, help: None }
    }

    /// In the notation, but wrong for this reason.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::malformed() }
    }

    /// Something that a later version brings; `what` is the subject of the sentence.
    pub fn not_available(what: impl std::fmt::Display) -> Self {
        Self {
            code: codes::NOT_AVAILABLE,
            reason: Some(format!("{what} is not available in this version")),
            help: None,
        }
    }

    /// Adds how to mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::fmt::Display for ValueFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason.as_deref().unwrap_or("malformed value"))
    }
}

/// Lets serde and the JSON Schema read a [`Written`] type.
macro_rules! written {
    ($($name:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                <$name as $crate::config::values::Written>::read(&text)
                    .map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$name as $crate::config::values::Written>::FORMAT.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::config::values::text_schema::<$name>()
            }
        }
    )+};
}
pub(crate) use written;

/// The schema of a [`Written`] type.
pub(crate) fn text_schema<T: Written>() -> schemars::Schema {
    let mut schema = schemars::json_schema!({ "type": "string", "format": T::FORMAT });
    if let Some(pattern) = T::PATTERN {
        schema.insert("pattern".into(), pattern.into());
    }
    schema
}
