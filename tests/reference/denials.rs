//! Every refusal that there is. The list does not compile while a variant is missing.

use std::{collections::BTreeMap, fs, sync::Arc};

use http::Method;
use portcullis::{
    model::{CredentialKind, Permission, Role},
    policy::{
        Denial,
        authn::Challenges,
        decision::{ApiKeyFault, CertificateFault, Condition, ForwardAuthFault, TokenFault},
        sources::Unavailable,
    },
};

/// A refusal with its variant and what the source says of that.
pub struct Refusal {
    pub denial: Denial,
    /// `Denial::NoRoute`, or `TokenFault::Expired` where the variant has faults of its own.
    pub variant: String,
    pub meaning: String,
}

/// All variants of an enumeration, each with its name.
macro_rules! variants {
    ($enum:ident: $($variant:ident),+ $(,)?) => {{
        fn _every_one(one: $enum) {
            match one { $($enum::$variant => {}),+ }
        }
        [$(($enum::$variant, concat!(stringify!($enum), "::", stringify!($variant)))),+]
    }};
}

/// All variants of `Denial`, each with its name and values of it.
macro_rules! denials {
    ($($variant:ident => $values:expr),+ $(,)?) => {{
        fn _every_one(one: &Denial) {
            match one { $(Denial::$variant { .. } => {}),+ }
        }
        let mut all: Vec<(Denial, String)> = Vec::new();
        $(
            for (denial, name) in Values::from($values).0 {
                all.push((denial, name.unwrap_or(concat!("Denial::", stringify!($variant))).to_owned()));
            }
        )+
        all
    }};
}

/// Values of a variant; the name of what tells them apart, where something does.
struct Values(Vec<(Denial, Option<&'static str>)>);

impl From<Denial> for Values {
    fn from(one: Denial) -> Self {
        Self(vec![(one, None)])
    }
}

impl<const N: usize> From<[(Denial, &'static str); N]> for Values {
    fn from(several: [(Denial, &'static str); N]) -> Self {
        Self(several.into_iter().map(|(denial, name)| (denial, Some(name))).collect())
    }
}

pub fn all() -> Vec<Refusal> {
    let challenges = || Arc::new(Challenges { lines: Vec::new(), only: None });
    let why = "…";
    let conditions = variants!(Condition: Networks, Owner, When);
    let key_faults = variants!(ApiKeyFault: Disabled, Expired, Malformed, Network, Unknown);
    let certificate_faults = variants!(CertificateFault:
        Ambiguous, DisabledUser, Expired, Malformed, NoSubject, NotYetValid, UnknownUser,
    );
    let forward_faults = variants!(ForwardAuthFault: Forbidden, NoSubject, Unauthorized);
    let token_faults = variants!(TokenFault:
        Algorithm, Audience, Client, ClaimType, Critical, DisabledUser, DuplicateClaim, Expired, Inactive, Issuer, Malformed, MissingClaim,
        NotYetValid, Place, Revoked, Signature, TooLarge, Type, UnknownKey, UnknownUser,
    );
    let all = denials! {
        AmbiguousCredentials => Denial::AmbiguousCredentials { kind: CredentialKind::ApiKey },
        AmbiguousMethod => Denial::AmbiguousMethod,
        AmbiguousPath => Denial::AmbiguousPath { why },
        BadRequest => Denial::BadRequest { why },
        BodyTooLarge => Denial::BodyTooLarge,
        ConditionFailed => conditions.map(|(which, name)| (Denial::ConditionFailed { which }, name)),
        CrossSite => Denial::CrossSite,
        Denied => Denial::Denied,
        HeadersTooLarge => Denial::HeadersTooLarge,
        Internal => Denial::Internal { why },
        InvalidApiKey => key_faults.map(|(fault, name)| {
            (Denial::InvalidApiKey { fault, challenges: challenges() }, name)
        }),
        InvalidCertificate => certificate_faults.map(|(fault, name)| {
            (Denial::InvalidCertificate { fault, challenges: challenges() }, name)
        }),
        InvalidCredentials => Denial::InvalidCredentials { challenges: challenges() },
        InvalidToken => token_faults.map(|(fault, name)| {
            (Denial::InvalidToken { fault, kind: CredentialKind::Jwt, challenges: challenges() }, name)
        }),
        MethodNotAllowed => Denial::MethodNotAllowed { allow: vec![Method::GET] },
        Misdirected => Denial::Misdirected,
        MissingCredentials => Denial::MissingCredentials { challenges: challenges() },
        MissingPermissions => Denial::MissingPermissions {
            missing: vec![Permission::from("…")],
            bearer: false,
        },
        MissingRole => Denial::MissingRole { required: vec![Role::from("…")], bearer: false },
        NoRoute => Denial::NoRoute,
        NoUpstream => Denial::NoUpstream,
        Overloaded => Denial::Overloaded,
        RateLimited => Denial::RateLimited { limit: why.into(), quota: why.into(), retry_after: 1 },
        RefusedElsewhere => forward_faults.map(|(fault, name)| {
            (Denial::RefusedElsewhere { fault, asks: vec![], challenges: challenges() }, name)
        }),
        RequestTimeout => Denial::RequestTimeout,
        Unavailable => Denial::Unavailable(Unavailable { what: why }),
        UpstreamError => Denial::UpstreamError { why },
        UpstreamTimeout => Denial::UpstreamTimeout,
        UriTooLong => Denial::UriTooLong,
    };
    let meanings = meanings();
    let refusal = |(denial, variant): (Denial, String)| {
        let meaning = meanings.get(&variant).unwrap_or_else(|| panic!("{variant} has no comment"));
        let meaning = match denial {
            Denial::ConditionFailed { .. } => {
                format!("{} did not hold.", meaning.trim_end_matches('.'))
            }
            _ => meaning.clone(),
        };
        Refusal { denial, meaning, variant }
    };
    all.into_iter().map(refusal).collect()
}

/// What the source says of each variant, by `Enum::Variant`.
fn meanings() -> BTreeMap<String, String> {
    let source = fs::read_to_string(super::root().join("src/policy/decision.rs")).unwrap();
    let (mut meanings, mut within, mut comment) = (BTreeMap::new(), None::<String>, Vec::new());
    for line in source.lines() {
        if let Some(name) = line.strip_prefix("pub enum ") {
            within = Some(name.trim_end_matches(" {").to_owned());
        } else if line == "}" {
            within = None;
        }
        let Some(text) = line.strip_prefix("    ").filter(|text| !text.starts_with(' ')) else {
            continue;
        };
        if let Some(text) = text.strip_prefix("///") {
            comment.push(text.trim().to_owned());
            continue;
        }
        let comment = std::mem::take(&mut comment).join(" ");
        let variant: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
        if let Some(name) = within.as_ref().filter(|_| !comment.is_empty()) {
            meanings.insert(format!("{name}::{variant}"), comment);
        }
    }
    meanings
}
