//! `cors`: which pages of other origins may read answers.

use std::sync::Arc;

use http::Method;

use super::{Input, faults::Faults};
use crate::{
    config::{
        codes,
        cors::{Cors as Written, CorsRule as WrittenRule, CorsSetting},
        document::Site,
        values::Switch,
    },
    policy::{
        forward::cors::{Cors, CorsDefinition, CorsFault},
        rules::CorsRule,
    },
};

/// The rules of a route: its own words over those of `defaults`. `methods` are the route's, if it
/// names any.
pub(super) fn compile(
    input: &Input<'_>,
    own: Option<(&WrittenRule, Site<'_>)>,
    default: Option<&WrittenRule>,
    methods: Option<&[Method]>,
    faults: &mut Faults,
) -> Option<CorsRule> {
    let default = default.map(WrittenRule::on);
    let (setting, at) = match own {
        Some((Switch::Off, _)) => return Some(CorsRule::Off),
        Some((Switch::On(setting), at)) => (Some(setting), Some(at)),
        None => (default.flatten(), None),
    };
    let base = match default.flatten() {
        Some(CorsSetting::Gateway(base)) => Some(base.as_ref()),
        Some(CorsSetting::Upstream(_)) | None => None,
    };
    let written = match setting {
        None => return Some(CorsRule::Off),
        Some(CorsSetting::Upstream(_)) => return Some(CorsRule::Upstream),
        Some(CorsSetting::Gateway(written)) => written,
    };
    let definition = merged(written, base);
    // Without a place of its own the rule is that of `defaults`, whose faults were told there.
    let mut tell = |code, key: &str, message: String, help: &str| {
        if let Some(at) = at {
            faults.fault(code, at.key(key), message).help(help);
        }
    };
    if at.is_some_and(|at| input.lacks(at, "allow_origins")) {
        return None;
    }
    if definition.allow_origins.is_empty() {
        tell(
            codes::MISSING_KEY,
            "allow_origins",
            "`cors` names no origin".to_owned(),
            "add `allow_origins: [https://app.example.com]`",
        );
        return None;
    }
    match Cors::parse(&definition, methods) {
        Ok(cors) => Some(CorsRule::On(Arc::new(cors))),
        Err(found) => {
            for fault in found {
                let key = match fault {
                    CorsFault::AnyOriginWithCredentials => "allow_credentials",
                    CorsFault::MalformedHeader(_) => "allow_headers",
                    CorsFault::MalformedMethod(_) => "allow_methods",
                    CorsFault::MalformedOrigin(_) | CorsFault::NullOrigin => "allow_origins",
                };
                tell(codes::INVALID_CORS, key, fault.to_string(), fault_help(&fault));
            }
            None
        }
    }
}

const fn fault_help(fault: &CorsFault) -> &'static str {
    match fault {
        CorsFault::AnyOriginWithCredentials => {
            "name the origins that may send credentials, or remove `allow_credentials`"
        }
        CorsFault::MalformedHeader(_) => "write a header name such as `X-Tenant`, or `*`",
        CorsFault::MalformedMethod(_) => "write a method such as `GET`, or `*`",
        CorsFault::MalformedOrigin(_) | CorsFault::NullOrigin => {
            "write `https://app.example.com` or `https://*.example.com`"
        }
    }
}

fn merged(own: &Written, base: Option<&Written>) -> CorsDefinition {
    fn first<'w, T>(
        own: &'w Written,
        base: Option<&'w Written>,
        of: impl Fn(&'w Written) -> Option<&'w T>,
    ) -> Option<&'w T> {
        of(own).or_else(|| base.and_then(of))
    }
    let headers = |names: Option<&Vec<crate::config::values::Header>>| {
        names.into_iter().flatten().map(|name| name.0.clone()).collect()
    };
    let origins = first(own, base, |cors| cors.allow_origins.as_ref());
    let methods = first(own, base, |cors| cors.allow_methods.as_ref());
    CorsDefinition {
        allow_origins: origins.into_iter().flatten().map(|origin| origin.0.clone()).collect(),
        allow_credentials: first(own, base, |cors| cors.allow_credentials.as_ref())
            .copied()
            .unwrap_or_default(),
        allow_methods: methods
            .map(|methods| methods.iter().map(|method| method.0.clone()).collect()),
        allow_headers: headers(first(own, base, |cors| cors.allow_headers.as_ref())),
        expose_headers: headers(first(own, base, |cors| cors.expose_headers.as_ref())),
        max_age: first(own, base, |cors| cors.max_age.as_ref()).map(|age| age.0),
    }
}
