//! Headers that routes set, add and remove.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{Header, HeaderText, Named, Switch, Template};

/// Headers on responses by name, merged over the built-in ones (`X-Content-Type-Options`,
/// `X-Frame-Options`, `X-XSS-Protection`, `Strict-Transport-Security`); `false` removes one.
pub type SecurityHeaders = Named<Header, Switch<HeaderText>>;

/// What happens to headers. Values are templates.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderEdits {
    /// Replaces what is there.
    pub set: Named<Header, Template>,
    /// Comes beside what is there.
    pub add: Named<Header, Template>,
    /// Goes.
    pub remove: Vec<Header>,
}
