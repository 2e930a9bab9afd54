//! `auth`: who is asked for a credential, and which count.

mod challenges;

use std::sync::Arc;

use crate::{
    compile::{
        Input,
        api_keys::KeyMethod,
        client_cert,
        faults::Faults,
        forward_auth::{self, Services},
        introspection::{self, Providers},
        issuers::{self, Issuers},
    },
    config::{
        access::{AuthRule as Written, AuthWord},
        codes,
        document::Site,
        values::AuthMethod,
    },
    model::{IssuerName, Principal},
    policy::{
        authn::{
            AuthRule, BasicTerms, ClientCertTerms, JwtRule, Method,
            introspection::IntrospectionTerms, jwt::IssuerTerms,
        },
        rules::Access,
    },
};

/// The methods that are configured, and what a route gets that does not say.
pub(in crate::compile) struct Methods<'i> {
    input: &'i Input<'i>,
    said_by: SaidBy<'i>,
    api_key: Option<KeyMethod>,
    basic: Option<Arc<BasicTerms>>,
    client_cert: Option<ClientCertTerms>,
    default: DefaultAuth<'i>,
    /// Whether a route was told already that it has to say.
    undecided_told: bool,
}

/// Who says what credentials are worth that the gateway does not hold itself.
#[derive(Clone, Copy)]
pub(in crate::compile) struct SaidBy<'i> {
    /// Those whose signature says it.
    pub issuers: &'i Issuers,
    /// Those who are asked.
    pub providers: &'i Providers,
    /// Those who are asked about whole requests.
    pub services: &'i Services,
}

/// What a route gets that does not say.
enum DefaultAuth<'i> {
    /// `defaults.auth: none`.
    Anyone,
    /// Something that was refused already.
    Faulty,
    /// These methods, as they stand at this place; required unless `optional`.
    Methods { methods: Vec<AuthMethod>, at: Option<Site<'i>>, optional: bool },
    /// Nothing: it has to say, because so many methods are configured.
    Undecided { configured: Vec<String> },
}

impl<'i> Methods<'i> {
    /// Gathers what is configured.
    pub fn new(
        input: &'i Input<'i>,
        said_by: SaidBy<'i>,
        api_key: Option<KeyMethod>,
        faults: &mut Faults,
    ) -> Self {
        let basic = input.config.authentication.basic.as_ref();
        let basic = basic.map(|basic| Arc::new(BasicTerms { realm: basic.realm.0.clone() }));
        let default = DefaultAuth::Faulty;
        let client_cert = client_cert::compile(input, faults);
        let mut methods =
            Self { input, said_by, api_key, basic, client_cert, default, undecided_told: false };
        methods.default = methods.read_default(faults);
        methods
    }

    /// Who is asked on a route.
    pub fn access(
        &mut self,
        written: Option<&Written>,
        route: Site<'i>,
        faults: &mut Faults,
    ) -> Option<Access> {
        let at = route.key("auth");
        let (methods, at, optional) = match written {
            Some(Written::Word(AuthWord::None)) => return Some(Access::Anyone),
            Some(Written::Optional(methods)) => (&methods.optional[..], at.key("optional"), true),
            Some(Written::Methods(methods)) => (methods.as_slice(), at, false),
            Some(Written::Word(AuthWord::Optional)) => match &self.default {
                DefaultAuth::Methods { methods, at: place, .. } => {
                    (methods.as_slice(), place.unwrap_or(at), true)
                }
                DefaultAuth::Faulty => return None,
                DefaultAuth::Undecided { .. } if self.may_lack() => return None,
                DefaultAuth::Anyone | DefaultAuth::Undecided { .. } => {
                    faults
                        .fault(
                            codes::AUTH_UNDECIDED,
                            at,
                            "`auth: optional` takes the methods of `defaults.auth`, which names none",
                        )
                        .help("write `auth: { optional: [jwt] }`, or name methods in `defaults.auth`");
                    return None;
                }
            },
            None if self.input.lacks(route, "auth") => return None,
            None => match &self.default {
                DefaultAuth::Anyone => return Some(Access::Anyone),
                DefaultAuth::Faulty => return None,
                DefaultAuth::Methods { methods, at: place, optional } => {
                    (methods.as_slice(), place.unwrap_or(route), *optional)
                }
                DefaultAuth::Undecided { configured } => {
                    if !self.undecided_told && !self.may_lack() {
                        undecided(configured, route, faults);
                    }
                    self.undecided_told = true;
                    return None;
                }
            },
        };
        let rule = self.rule(methods, at, faults)?;
        Some(if optional { Access::IfPresented(rule) } else { Access::Required(rule) })
    }

    /// Whether methods could be missing because what configures them was refused.
    fn may_lack(&self) -> bool {
        let root = self.input.root();
        let sections = ["jwt", "api_keys", "basic", "client_cert", "introspection", "forward_auth"];
        self.input.lacks_any(root, &["authentication", "defaults", "token"])
            || self.input.lacks_any(root.key("authentication"), &sections)
            || self.input.lacks(root.key("defaults"), "auth")
    }

    fn read_default(&self, faults: &mut Faults) -> DefaultAuth<'i> {
        let at = self.input.root().key("defaults").key("auth");
        match &self.input.config.defaults.auth {
            Some(Written::Word(AuthWord::None)) => {
                faults
                    .warning(
                        codes::PUBLIC_BY_DEFAULT,
                        at,
                        "every route is public that does not say otherwise",
                    )
                    .help(
                        "name a method here, and write `auth: none` on the routes that are public",
                    );
                DefaultAuth::Anyone
            }
            Some(Written::Word(AuthWord::Optional)) => {
                faults
                    .fault(codes::AUTH_UNDECIDED, at, "`optional` refers to `defaults.auth` itself")
                    .help("write `auth: { optional: [jwt] }`");
                DefaultAuth::Faulty
            }
            Some(Written::Optional(optional)) => {
                self.default_methods(&optional.optional, at.key("optional"), true, faults)
            }
            Some(Written::Methods(methods)) => {
                self.default_methods(methods.as_slice(), at, false, faults)
            }
            None if self.input.lacks(self.input.root().key("defaults"), "auth") => {
                DefaultAuth::Faulty
            }
            None => match self.configured().as_slice() {
                [method] => DefaultAuth::Methods {
                    methods: vec![method.clone()],
                    at: None,
                    optional: false,
                },
                several => DefaultAuth::Undecided {
                    configured: several.iter().map(ToString::to_string).collect(),
                },
            },
        }
    }

    /// Judged here, so that a fault is told once and not for every route.
    fn default_methods(
        &self,
        methods: &[AuthMethod],
        at: Site<'i>,
        optional: bool,
        faults: &mut Faults,
    ) -> DefaultAuth<'i> {
        match self.rule(methods, at, faults) {
            Some(_) => DefaultAuth::Methods { methods: methods.to_vec(), at: Some(at), optional },
            None => DefaultAuth::Faulty,
        }
    }

    fn configured(&self) -> Vec<AuthMethod> {
        let config = self.input.config;
        let jwt = !config.authentication.jwt.is_empty() || config.token.is_some();
        let methods = [
            (jwt, AuthMethod::Jwt),
            (config.authentication.api_keys.is_some(), AuthMethod::ApiKey),
            (config.authentication.basic.is_some(), AuthMethod::Basic),
            (config.authentication.client_cert.is_some(), AuthMethod::ClientCert),
        ];
        let there = methods.into_iter().filter(|(there, _)| *there).map(|(_, method)| method);
        let providers = config.authentication.introspection.names().cloned();
        let services = config.authentication.forward_auth.names().cloned();
        there
            .chain(providers.map(AuthMethod::Introspection))
            .chain(services.map(AuthMethod::ForwardAuth))
            .collect()
    }

    fn rule(&self, methods: &[AuthMethod], at: Site<'_>, faults: &mut Faults) -> Option<AuthRule> {
        let mut found: Vec<Method> = Vec::new();
        let mut sound = true;
        for (index, method) in methods.iter().enumerate() {
            let at = at.item(index);
            if methods.iter().take(index).any(|earlier| earlier == method) {
                faults
                    .fault(codes::DUPLICATE, at, format!("`{method}` stands in this list twice"))
                    .help("remove one of them");
                sound = false;
            } else {
                warn_of_issuer(method, methods, at, faults);
                sound &= self.add(method, &mut found, at, faults).is_some();
            }
        }
        sound &= forward_auth_is_last(methods, at, faults);
        if !sound || !one_takes_the_rest(&found, at, faults) {
            return None;
        }
        let written = methods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let line = u32::try_from(at.line()).unwrap_or_default();
        let challenges = challenges::of(&found, self.basic.as_deref(), self.api_key.as_ref());
        let challenges = Arc::new(challenges);
        Some(AuthRule { methods: found, challenges, written, line })
    }

    fn add(
        &self,
        method: &AuthMethod,
        found: &mut Vec<Method>,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<()> {
        match method {
            AuthMethod::ApiKey => match &self.api_key {
                Some(method) => found.push(Method::ApiKey(method.terms.clone())),
                None => return self.not_configured(method, "authentication.api_keys", at, faults),
            },
            AuthMethod::Basic => match &self.basic {
                Some(terms) => found.push(Method::Basic(terms.clone())),
                None => return self.not_configured(method, "authentication.basic", at, faults),
            },
            AuthMethod::ClientCert => match self.client_cert {
                Some(terms) => found.push(Method::ClientCert(terms)),
                None => {
                    return self.not_configured(method, "authentication.client_cert", at, faults);
                }
            },
            AuthMethod::ForwardAuth(name) => {
                if !self.input.config.authentication.forward_auth.has(name) {
                    forward_auth::unknown(self.input, name.as_str(), at, faults);
                    return None;
                }
                let service = self.said_by.services.find(name.as_str())?;
                found.push(Method::ForwardAuth(Arc::clone(service)));
            }
            AuthMethod::Introspection(name) => {
                if !self.input.config.authentication.introspection.has(name) {
                    introspection::unknown(self.input, name.as_str(), at, faults);
                    return None;
                }
                ask(found, self.said_by.providers.find(name.as_str())?, at, faults)?;
            }
            AuthMethod::Jwt => {
                let config = self.input.config;
                if config.authentication.jwt.is_empty() && config.token.is_none() {
                    return self.not_configured(method, "authentication.jwt", at, faults);
                }
                self.said_by.issuers.all().iter().for_each(|issuer| take(found, issuer));
            }
            AuthMethod::JwtOwn => {
                if self.input.config.token.is_none() {
                    return self.not_configured(method, "token", at, faults);
                }
                // If it is missing here it has a fault of its own.
                take(found, self.said_by.issuers.find(IssuerTerms::OWN)?);
            }
            AuthMethod::JwtFrom(name) => {
                if !self.input.config.authentication.jwt.has(name) {
                    issuers::unknown(self.input, name.as_str(), at, faults);
                    return None;
                }
                take(found, self.said_by.issuers.find(name.as_str())?);
            }
        }
        Some(())
    }

    fn not_configured(
        &self,
        method: &AuthMethod,
        section: &str,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<()> {
        if !self.may_lack() {
            faults
                .fault(codes::METHOD_NOT_CONFIGURED, at, format!("`{method}` is not configured"))
                .help(format!("add `{section}`, or name another method"));
        }
        None
    }
}

/// Where the principals of a route can come from: issuers by name, and `local`.
pub(in crate::compile) fn sources(access: &Access) -> Vec<IssuerName> {
    let mut sources = Vec::new();
    let mut add = |source: IssuerName| {
        if !sources.contains(&source) {
            sources.push(source);
        }
    };
    for method in access.rule().into_iter().flat_map(|rule| &rule.methods) {
        match method {
            Method::ApiKey(_) | Method::Basic(_) | Method::ClientCert(_) => {
                add(Principal::local());
            }
            Method::ForwardAuth(service) => add(service.name.clone()),
            Method::Jwt(rule) => {
                rule.issuers.iter().for_each(|issuer| add(issuer.principal_issuer.clone()));
                rule.introspection.iter().for_each(|provider| add(provider.name.clone()));
            }
        }
    }
    sources
}

/// A bearer token is one credential whoever checks it, so all issuers make one method, at the
/// place of the first.
fn take(found: &mut Vec<Method>, issuer: &Arc<IssuerTerms>) {
    match bearer(found) {
        None => found.push(Method::Jwt(JwtRule::of(vec![issuer.clone()]))),
        Some(rule) if rule.issuers.iter().any(|one| one.name == issuer.name) => {}
        Some(rule) => rule.add(issuer.clone()),
    }
}

/// What no issuer takes goes to one provider: of two, nobody could say which.
fn ask(
    found: &mut Vec<Method>,
    provider: &Arc<IntrospectionTerms>,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<()> {
    match bearer(found) {
        None => {
            let mut rule = JwtRule::of(Vec::new());
            rule.ask(Arc::clone(provider));
            found.push(Method::Jwt(rule));
        }
        Some(rule) => {
            if let Some(other) = &rule.introspection {
                let message = format!("`introspection:{}` takes every token already", other.name);
                faults
                    .fault(codes::CONTRADICTION, at, message)
                    .help("keep one of them: what no listed issuer takes goes to one provider");
                return None;
            }
            rule.ask(Arc::clone(provider));
        }
    }
    Some(())
}

fn bearer(found: &mut [Method]) -> Option<&mut JwtRule> {
    found.iter_mut().find_map(|method| match method {
        Method::Jwt(rule) => Some(rule),
        Method::ApiKey(_) | Method::Basic(_) | Method::ClientCert(_) | Method::ForwardAuth(_) => {
            None
        }
    })
}

/// `jwt` is every issuer: one that is named beside it changes nothing.
fn warn_of_issuer(method: &AuthMethod, all: &[AuthMethod], at: Site<'_>, faults: &mut Faults) {
    let named = matches!(method, AuthMethod::JwtOwn | AuthMethod::JwtFrom(_));
    if named && all.contains(&AuthMethod::Jwt) {
        faults
            .warning(codes::REDUNDANT, at, format!("`{method}` is one of `jwt` already"))
            .help("remove it, or remove `jwt` if only the named issuers are meant");
    }
}

/// What a service is sent may be the credential of another method, which it would be shown in vain.
fn forward_auth_is_last(methods: &[AuthMethod], at: Site<'_>, faults: &mut Faults) -> bool {
    let is_last = |index: usize| index + 1 == methods.len();
    let early = methods
        .iter()
        .enumerate()
        .find(|(index, method)| matches!(method, AuthMethod::ForwardAuth(_)) && !is_last(*index));
    let Some((index, method)) = early else { return true };
    faults
        .fault(codes::CONTRADICTION, at.item(index), format!("`{method}` is not the last method"))
        .help("list it last, and once: it takes whatever the others leave");
    false
}

/// Of two issuers without `issuer` nobody could say who takes a token.
fn one_takes_the_rest(found: &[Method], at: Site<'_>, faults: &mut Faults) -> bool {
    let mut takers = found.iter().flat_map(|method| match method {
        Method::Jwt(rule) => rule.issuers.as_slice(),
        Method::ApiKey(_) | Method::Basic(_) | Method::ClientCert(_) | Method::ForwardAuth(_) => {
            &[]
        }
    });
    let mut takers = takers.by_ref().filter(|issuer| issuer.issuer.is_none());
    let (Some(first), Some(second)) = (takers.next(), takers.next()) else { return true };
    faults
        .fault(
            codes::SAME_ISSUER,
            at,
            format!("`{}` and `{}` both take what no other issuer claims", first.name, second.name),
        )
        .help("give at least one of them an `issuer`");
    false
}

fn undecided(configured: &[String], route: Site<'_>, faults: &mut Faults) {
    match configured {
        [] => faults
            .fault(
                codes::AUTH_UNDECIDED,
                route,
                "the route does not say who is let in, and no way to authenticate is configured",
            )
            .help("write `auth: none` if everybody may pass, or configure `authentication` or `token`"),
        several => faults
            .fault(
                codes::AUTH_UNDECIDED,
                route,
                "the route does not say who is let in, and several methods are configured",
            )
            .help(format!(
                "write `defaults: {{ auth: [{}] }}`, or `auth` on each route",
                several.join(", ")
            )),
    };
}
