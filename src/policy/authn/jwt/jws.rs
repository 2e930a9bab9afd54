//! A token in the compact form of JWS (RFC 7515), read strictly and not yet believed.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::LONGEST_KID;
use crate::{
    model::{Claims, ObjectFault, parse_object},
    policy::{decision::TokenFault, digest::Digest},
};

/// Bytes of a token at most; a longer one is refused before anything of it is decoded.
pub const LONGEST_TOKEN: usize = 16 << 10;

/// A token that parses as a JWS in compact form, its signature not yet looked at.
pub struct Jws<'r> {
    /// The digest it is remembered by.
    pub digest: Digest,
    /// What its header says.
    pub header: JoseHeader,
    token: &'r str,
    unverified: Claims,
}

/// The members of a JOSE header that matter. A header with `crit`, `cty` or `b64` is refused
/// before this is made; `jwk`, `jku`, `x5u` and `x5c` are never looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoseHeader {
    /// The algorithm it claims, if it is one that we know.
    pub algorithm: Option<Algorithm>,
    /// The key it claims.
    pub kid: Option<String>,
    /// Its type, lower case, without `application/`; empty if absent.
    pub typ: String,
}

/// Without the token, which is a credential.
impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws").field("header", &self.header).finish_non_exhaustive()
    }
}

impl<'r> Jws<'r> {
    /// Parses a token. `digest` is that of the whole token.
    ///
    /// # Errors
    /// If it is too long, not three parts of unpadded base64url, its header or claims are not JSON
    /// objects without duplicate members, or the header asks for what we do not do.
    pub fn parse(token: &'r str, digest: Digest) -> Result<Self, TokenFault> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenFault::TooLarge);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenFault::Malformed);
        };
        let header = JoseHeader::read(&object(header)?)?;
        let unverified = Claims::new(object(claims)?);
        Ok(Self { token, digest, header, unverified })
    }

    /// The token as it came.
    pub fn token(&self) -> &'r str {
        self.token
    }

    /// The unverified `iss`, by which an issuer is chosen and nothing else.
    ///
    /// # Errors
    /// If it is there and no text: `["a", "b"]` would let two readers pick different ones.
    pub fn issuer(&self) -> Result<Option<&str>, TokenFault> {
        issuer_of(&self.unverified)
    }

    /// What the signature is over, and the signature, in base64url as it stands.
    pub fn signed(&self) -> (&'r [u8], &'r str) {
        let (message, signature) = self.token.rsplit_once('.').unwrap_or_default();
        (message.as_bytes(), signature)
    }

    pub(super) fn unverified(&self) -> &Claims {
        &self.unverified
    }
}

pub(in crate::policy::authn) fn issuer_of(claims: &Claims) -> Result<Option<&str>, TokenFault> {
    match claims.members().get("iss") {
        None => Ok(None),
        Some(Value::String(issuer)) => Ok(Some(issuer)),
        Some(_) => Err(TokenFault::ClaimType),
    }
}

impl JoseHeader {
    fn read(members: &Map<String, Value>) -> Result<Self, TokenFault> {
        if ["b64", "crit", "cty"].iter().any(|name| members.contains_key(*name)) {
            return Err(TokenFault::Critical);
        }
        let algorithm = text(members, "alg")?.ok_or(TokenFault::Malformed)?;
        let kid = text(members, "kid")?;
        if kid.is_some_and(|kid| kid.len() > LONGEST_KID || kid.chars().any(char::is_control)) {
            return Err(TokenFault::Malformed);
        }
        Ok(Self {
            algorithm: Algorithm::from_str(algorithm).ok(),
            kid: kid.map(str::to_owned),
            typ: text(members, "typ")?.map(present_type).transpose()?.unwrap_or_default(),
        })
    }
}

/// A media type as it is compared: lower case, and without the `application/` that may be left out
/// where no other `/` stands (RFC 7515, section 4.1.9).
pub fn normal_type(written: &str) -> String {
    let lower = written.to_ascii_lowercase();
    match lower.strip_prefix("application/") {
        Some(rest) if !rest.contains('/') => rest.to_owned(),
        _ => lower,
    }
}

/// A type that names nothing is not the same as none.
fn present_type(written: &str) -> Result<String, TokenFault> {
    Some(normal_type(written)).filter(|typ| !typ.is_empty()).ok_or(TokenFault::Malformed)
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, TokenFault> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenFault::Malformed),
    }
}

fn object(part: &str) -> Result<Map<String, Value>, TokenFault> {
    // The engine refuses padding and bits beyond the last byte, so a token has one spelling.
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed)?;
    parse_object(&json).map_err(|fault| match fault {
        ObjectFault::Duplicate => TokenFault::DuplicateClaim,
        ObjectFault::Malformed => TokenFault::Malformed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    fn parse(header: &str, claims: &str) -> Result<JoseHeader, TokenFault> {
        let token = token(header, claims);
        Jws::parse(&token, Digest::of(token.as_bytes())).map(|jws| jws.header)
    }

    fn fault(token: &str) -> TokenFault {
        Jws::parse(token, Digest::of(b"")).unwrap_err()
    }

    #[test]
    fn the_header_is_read_and_its_type_made_comparable() {
        let header =
            parse(r#"{"alg":"ES256","kid":"k1","typ":"application/AT+JWT"}"#, "{}").unwrap();
        assert_eq!(header.algorithm, Some(Algorithm::ES256));
        assert_eq!(header.kid.as_deref(), Some("k1"));
        assert_eq!(header.typ, "at+jwt");
        assert_eq!(parse(r#"{"alg":"ES256"}"#, "{}").unwrap().typ, "");
        assert_eq!(normal_type("Application/a/b"), "application/a/b");
    }

    #[test]
    fn an_empty_type_does_not_pass_for_an_absent_one() {
        for typ in ["", "application/"] {
            let header = format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#);
            assert_eq!(parse(&header, "{}"), Err(TokenFault::Malformed), "{typ}");
        }
    }

    #[test]
    fn an_algorithm_that_we_do_not_know_is_none_of_ours_in_every_letter_case() {
        for name in ["none", "None", "NONE", "nOnE", "rs256", "ES256K", "ES512", "", "HS256 "] {
            let header = parse(&format!(r#"{{"alg":"{name}"}}"#), "{}").unwrap();
            assert_eq!(header.algorithm, None, "{name}");
        }
        for header in ["{}", r#"{"alg":7}"#, r#"{"alg":["HS256"]}"#, r#"{"alg":null}"#] {
            assert_eq!(parse(header, "{}"), Err(TokenFault::Malformed), "{header}");
        }
    }

    #[test]
    fn a_header_that_asks_for_what_we_do_not_do_is_refused() {
        for header in [
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            r#"{"alg":"HS256","crit":null}"#,
            r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
            r#"{"alg":"HS256","b64":true}"#,
            r#"{"alg":"HS256","cty":"JWT"}"#,
        ] {
            assert_eq!(parse(header, "{}"), Err(TokenFault::Critical), "{header}");
        }
    }

    #[test]
    fn a_key_in_the_header_is_not_looked_at() {
        let header = r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"jku":"https://evil.example/","x5u":7,"x5c":["x"]}"#;
        let header = parse(header, "{}").unwrap();
        assert_eq!(header, parse(r#"{"alg":"HS256"}"#, "{}").unwrap());
    }

    #[test]
    fn a_kid_is_a_short_printable_text() {
        let kid = |kid: &str| parse(&format!(r#"{{"alg":"HS256","kid":{kid}}}"#), "{}");
        for good in [r#""../../../../dev/null""#, r#""' OR 1=1 --""#, r#""""#] {
            assert!(kid(good).is_ok(), "{good}");
        }
        let long = format!("\"{}\"", "k".repeat(257));
        for bad in ["7", "null", r#""a\u0000b""#, r#""a\nb""#, r#"["k"]"#, &long] {
            assert_eq!(kid(bad), Err(TokenFault::Malformed), "{bad}");
        }
    }

    #[test]
    fn what_is_not_a_compact_jws_is_malformed() {
        let good = token(r#"{"alg":"HS256"}"#, "{}");
        let padded = good.replacen('.', "=.", 1);
        let loose = "eyJhbGciOiJIUzI1NiJ9.e31.c2ln"; // `{}` with bits beyond its last byte
        for bad in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c.d",
            &format!("{good}.x"),
            &format!(" {good}"),
            &padded,
            loose,
            "e30.e30.e30",
            &token("[]", "{}"),
            &token("{}", "[]"),
            "eyJhbGciOiJIUzI1NiJ9.e30+.x",
        ] {
            assert_eq!(fault(bad), TokenFault::Malformed, "{bad}");
        }
        assert_eq!(parse(r#"{"alg":"HS256"}"#, "[1]"), Err(TokenFault::Malformed));
    }

    #[test]
    fn a_token_over_16_kib_is_refused_undecoded() {
        assert_eq!(fault(&"a".repeat(LONGEST_TOKEN + 1)), TokenFault::TooLarge);
        assert_eq!(fault(&"a".repeat(LONGEST_TOKEN)), TokenFault::Malformed);
    }

    #[test]
    fn duplicate_members_are_refused_in_header_and_claims() {
        let twice = TokenFault::DuplicateClaim;
        assert_eq!(parse(r#"{"alg":"HS256","alg":"none"}"#, "{}"), Err(twice));
        assert_eq!(parse(r#"{"alg":"HS256"}"#, r#"{"roles":[],"roles":["admin"]}"#), Err(twice));
        assert_eq!(parse(r#"{"alg":"HS256"}"#, r#"{"a":{"roles":1,"roles":2}}"#), Err(twice));
    }

    #[test]
    fn an_iss_that_is_no_text_chooses_nobody() {
        for claims in [r#"{"iss":7}"#, r#"{"iss":["a"]}"#, r#"{"iss":null}"#, r#"{"iss":{}}"#] {
            let token = token(r#"{"alg":"HS256"}"#, claims);
            let jws = Jws::parse(&token, Digest::of(b"")).unwrap();
            assert_eq!(jws.issuer(), Err(TokenFault::ClaimType), "{claims}");
        }
    }
}
