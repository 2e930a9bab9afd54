//! The form that asks for a token (RFC 6749, sections 3.2, 4.3.2, 4.4.2 and 6) or takes one back
//! (RFC 7009, section 2.1).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use zeroize::Zeroizing;

use crate::policy::authn::parameters;

/// What a form asks for.
pub(super) enum Grant {
    /// A token for the API client that knows its key.
    Client(ClientGrant),
    /// A token for whoever knows the password.
    Password(PasswordGrant),
    /// Another token for whoever has logged in.
    Refresh(RefreshGrant),
}

/// The parameters of the client credentials grant.
pub(super) struct ClientGrant {
    pub(super) id: Zeroizing<String>,
    pub(super) secret: Zeroizing<String>,
    /// Absent asks for all that the key has.
    pub(super) scope: Option<String>,
}

/// The parameters of the password grant.
pub(super) struct PasswordGrant {
    pub(super) username: Zeroizing<String>,
    pub(super) password: Zeroizing<String>,
    /// Absent asks for all that the user has.
    pub(super) scope: Option<String>,
}

/// The parameters of a refresh.
pub(super) struct RefreshGrant {
    pub(super) token: Zeroizing<String>,
    /// Absent asks for all that the login had.
    pub(super) scope: Option<String>,
}

/// Why a form asks for nothing that can be given (RFC 6749, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormFault {
    ContentType,
    Encoding,
    GrantType,
    Missing(&'static str),
    NoClient,
    Repeated(&'static str),
    TooLarge,
    TwoClients,
}

impl FormFault {
    /// The `error` of RFC 6749.
    pub(super) const fn error(self) -> &'static str {
        match self {
            Self::GrantType => "unsupported_grant_type",
            Self::NoClient => "invalid_client",
            Self::ContentType
            | Self::Encoding
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::TooLarge
            | Self::TwoClients => "invalid_request",
        }
    }

    pub(super) fn description(self) -> String {
        match self {
            Self::ContentType => {
                "The content type must be application/x-www-form-urlencoded".to_owned()
            }
            Self::Encoding => "The form is not UTF-8".to_owned(),
            Self::GrantType => "The grant type is not one of this endpoint".to_owned(),
            Self::Missing(name) => format!("The parameter {name} is missing"),
            Self::NoClient => "The client does not say who it is".to_owned(),
            Self::Repeated(name) => format!("The parameter {name} is repeated"),
            Self::TooLarge => "The form is too large".to_owned(),
            Self::TwoClients => "The client says twice who it is".to_owned(),
        }
    }
}

impl Grant {
    /// Reads a form. A missing grant type is `password`; unknown parameters are ignored, and so are
    /// those by which a client would authenticate itself where it is not asked to.
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, FormFault> {
        let form = text_of(headers, body)?;
        let grant_type = only(form, "grant_type")?;
        let username = only(form, "username")?;
        let password = only(form, "password")?;
        let scope = only(form, "scope")?.map(|scope| scope.to_string());
        let token = only(form, "refresh_token")?;
        match grant_type.as_deref().map(String::as_str) {
            None | Some("password") => Ok(Self::Password(PasswordGrant {
                username: username.ok_or(FormFault::Missing("username"))?,
                password: password.ok_or(FormFault::Missing("password"))?,
                scope,
            })),
            Some("refresh_token") => Ok(Self::Refresh(RefreshGrant {
                token: token.ok_or(FormFault::Missing("refresh_token"))?,
                scope,
            })),
            Some("client_credentials") => {
                let (id, secret) = client(headers, form)?;
                Ok(Self::Client(ClientGrant { id, secret, scope }))
            }
            Some(_) => Err(FormFault::GrantType),
        }
    }
}

/// The token that a form takes back. The hint of what it is helps nobody here.
pub(super) fn token_to_revoke(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Zeroizing<String>, FormFault> {
    only(text_of(headers, body)?, "token")?.ok_or(FormFault::Missing("token"))
}

fn text_of<'b>(headers: &HeaderMap, body: &'b [u8]) -> Result<&'b str, FormFault> {
    if !is_form(headers) {
        return Err(FormFault::ContentType);
    }
    std::str::from_utf8(body).map_err(|_| FormFault::Encoding)
}

type Named = (Zeroizing<String>, Zeroizing<String>);

/// Id and secret of a client, by Basic or in the form, never both (RFC 6749, section 2.3).
fn client(headers: &HeaderMap, form: &str) -> Result<Named, FormFault> {
    let id = only(form, "client_id")?;
    let secret = only(form, "client_secret")?;
    match by_basic(headers)? {
        None => id.zip(secret).ok_or(FormFault::NoClient),
        // An id beside it may stand there for no purpose, and then it is the same one.
        Some((named, known)) => match (id, secret) {
            (None, None) => Ok((named, known)),
            (Some(id), None) if *id == *named => Ok((named, known)),
            _ => Err(FormFault::TwoClients),
        },
    }
}

/// Both are encoded as in a form before they are put together (RFC 6749, section 2.3.1).
fn by_basic(headers: &HeaderMap) -> Result<Option<Named>, FormFault> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(FormFault::TwoClients);
    }
    let read = || {
        let (scheme, rest) = line.as_bytes().split_at_checked("Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let pair = Zeroizing::new(STANDARD.decode(rest.trim_ascii()).ok()?);
        let (id, secret) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
        let decoded = |text: &str| {
            if text.contains('&') {
                return None;
            }
            // What stands in a form behind a name.
            let form = Zeroizing::new(format!("x={text}"));
            let value = parameters(&form).next().map(|one| one.value().into_owned())?;
            String::from_utf8(value).ok().map(Zeroizing::new)
        };
        Some((decoded(id)?, decoded(secret)?))
    };
    read().map(Some).ok_or(FormFault::NoClient)
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
