//! The form that asks for a token (RFC 6749, sections 3.2 and 4.3.2).

use http::{HeaderMap, header};
use zeroize::Zeroizing;

use crate::policy::authn::parameters;

/// What a form asks for.
pub(super) enum Grant {
    /// A token for whoever knows the password.
    Password(PasswordGrant),
}

/// The parameters of the password grant.
pub(super) struct PasswordGrant {
    pub(super) username: Zeroizing<String>,
    pub(super) password: Zeroizing<String>,
    /// Absent asks for all that the user has.
    pub(super) scope: Option<String>,
}

/// Why a form asks for nothing that can be given (RFC 6749, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormFault {
    ContentType,
    Encoding,
    GrantType,
    Missing(&'static str),
    Repeated(&'static str),
    TooLarge,
}

impl FormFault {
    /// The `error` of RFC 6749.
    pub(super) const fn error(self) -> &'static str {
        match self {
            Self::GrantType => "unsupported_grant_type",
            Self::ContentType
            | Self::Encoding
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::TooLarge => "invalid_request",
        }
    }

    pub(super) fn description(self) -> String {
        match self {
            Self::ContentType => {
                "The content type must be application/x-www-form-urlencoded".to_owned()
            }
            Self::Encoding => "The form is not UTF-8".to_owned(),
            Self::GrantType => "The grant type must be password".to_owned(),
            Self::Missing(name) => format!("The parameter {name} is missing"),
            Self::Repeated(name) => format!("The parameter {name} is repeated"),
            Self::TooLarge => "The form is too large".to_owned(),
        }
    }
}

impl Grant {
    /// Reads a form. A missing grant type is `password`; unknown parameters and those by which a
    /// client would authenticate itself are ignored.
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, FormFault> {
        if !is_form(headers) {
            return Err(FormFault::ContentType);
        }
        let form = std::str::from_utf8(body).map_err(|_| FormFault::Encoding)?;
        let grant_type = only(form, "grant_type")?;
        let username = only(form, "username")?;
        let password = only(form, "password")?;
        let scope = only(form, "scope")?;
        only(form, "refresh_token")?;
        if grant_type.is_some_and(|name| *name != "password") {
            return Err(FormFault::GrantType);
        }
        Ok(Self::Password(PasswordGrant {
            username: username.ok_or(FormFault::Missing("username"))?,
            password: password.ok_or(FormFault::Missing("password"))?,
            scope: scope.map(|scope| scope.to_string()),
        }))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let media = line.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    media.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// The value of a parameter. One without a value counts as absent (RFC 6749, section 3.2).
fn only(form: &str, name: &'static str) -> Result<Option<Zeroizing<String>>, FormFault> {
    let mut found = parameters(form).filter(|one| one.is_named(name));
    let first = found.next();
    if found.next().is_some() {
        return Err(FormFault::Repeated(name));
    }
    let Some(value) = first.map(|one| one.value()) else { return Ok(None) };
    let text = String::from_utf8(value.into_owned()).map_err(|_| FormFault::Encoding)?;
    Ok((!text.is_empty()).then(|| Zeroizing::new(text)))
}
