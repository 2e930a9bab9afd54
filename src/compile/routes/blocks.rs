//! `allow` and `deny`: conditions on who may pass.

use crate::{
    compile::{
        Input,
        faults::{Faults, undefined},
        issuers,
        roles::Roles,
    },
    config::{
        access::{Block as Written, Owner as WrittenOwner},
        codes,
        document::Site,
        values::{Expression, OneOrMany},
    },
    model::{IssuerName, Principal},
    policy::{
        authn::jwt::IssuerTerms,
        authz::{Block, Condition, ConditionFault, ConditionFaultKind, Owner},
        rules::Access,
    },
};

/// What the blocks of a route are read against.
pub(super) struct Ground<'a> {
    /// The file.
    pub input: &'a Input<'a>,
    /// Its roles.
    pub roles: &'a Roles<'a>,
    /// Who is asked on the route; absent if that is faulty.
    pub access: Option<&'a Access>,
    /// The parameters that every template of the route catches.
    pub params: &'a [String],
}

impl Ground<'_> {
    /// Reads one `allow` or `deny`.
    pub fn blocks(
        &self,
        written: Option<&OneOrMany<Written>>,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<Vec<Block>> {
        let blocks = written.map(OneOrMany::as_slice).unwrap_or_default().iter().enumerate();
        // All of them are read before any is missed, so that each fault is told.
        let blocks: Vec<_> =
            blocks.map(|(index, block)| self.block(block, at.item(index), faults)).collect();
        blocks.into_iter().collect()
    }

    fn block(&self, written: &Written, at: Site<'_>, faults: &mut Faults) -> Option<Block> {
        let asks = [
            ("roles", written.roles.is_some()),
            ("permissions", written.permissions.is_some()),
            ("owner", written.owner.is_some()),
        ];
        let public = matches!(self.access, Some(Access::Anyone));
        for (key, _) in asks.into_iter().filter(|(_, asked)| *asked && public) {
            nobody_is_asked(&format!("`{key}`"), at.key(key), faults);
        }
        if let Some(roles) = &written.roles {
            self.roles.refer_all(roles, at.key("roles"), faults);
        }
        let owner = written.owner.as_ref().map(|owner| self.owner(owner, at.key("owner"), faults));
        let when = written.when.as_ref().map(|when| self.when(when, at.key("when"), faults));
        Some(Block {
            line: u32::try_from(at.line()).unwrap_or_default(),
            networks: written.networks.clone(),
            roles: written.roles.clone(),
            permissions: written.permissions.clone(),
            owner: owner.map_or(Some(None), |owner| owner.map(Some))?,
            when: when.map_or(Some(None), |when| when.map(Some))?,
        })
    }

    fn owner(&self, written: &WrittenOwner, at: Site<'_>, faults: &mut Faults) -> Option<Owner> {
        let (parameter, place, named) = match written {
            WrittenOwner::Parameter(parameter) => (parameter, at, None),
            WrittenOwner::Of(of) => (&of.parameter, at.key("parameter"), Some(&of.issuers)),
        };
        let parameter = parameter.as_str();
        if !self.params.iter().any(|known| known == parameter) {
            faults
                .fault(
                    codes::OWNER_PARAMETER,
                    place,
                    format!("not every path of the route has a parameter `{parameter}`"),
                )
                .help(match self.params {
                    [] => "name it in the path, as in `/users/{user_id}`".to_owned(),
                    known => format!("there is `{}`", known.join("`, `")),
                });
        }
        // Whom the route lets in is told as faulty elsewhere.
        let sources = super::access::sources(self.access?);
        let issuers = match named {
            Some(named) => {
                let place = at.key("issuers");
                let named = named.iter().enumerate();
                let known: Vec<_> = named
                    .map(|(index, name)| {
                        self.source(name.as_str(), &sources, place.item(index), faults)
                    })
                    .collect();
                known.into_iter().collect::<Option<Vec<_>>>()?
            }
            None => {
                if sources.len() > 1 {
                    several_sources(parameter, &sources, at, faults);
                }
                Vec::new()
            }
        };
        Some(Owner { parameter: parameter.to_owned(), issuers })
    }

    fn source(
        &self,
        name: &str,
        sources: &[IssuerName],
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<IssuerName> {
        // The gateway's own tokens speak of its own users.
        let name = if name == IssuerTerms::OWN { Principal::LOCAL } else { name };
        let source = IssuerName::from(name);
        if sources.contains(&source) {
            return Some(source);
        }
        let authentication = &self.input.config.authentication;
        let known = authentication.jwt.has(&source)
            || authentication.introspection.has(&source)
            || authentication.forward_auth.has(&source);
        if name != Principal::LOCAL && !known {
            issuers::unknown(self.input, name, at, faults);
            return None;
        }
        let names: Vec<_> = sources.iter().map(IssuerName::as_str).collect();
        faults
            .fault(codes::OWNER_SOURCES, at, format!("the route lets nobody in from `{name}`"))
            .help(format!("its principals come from `{}`", names.join("`, `")));
        None
    }

    fn when(&self, written: &Expression, at: Site<'_>, faults: &mut Faults) -> Option<Condition> {
        let when = match Condition::compile(written.as_str(), self.params) {
            Ok(when) => when,
            Err(fault) => {
                faults
                    .fault_within(codes::INVALID_EXPRESSION, at, &fault.span, fault.to_string())
                    .help(condition_help(&fault));
                return None;
            }
        };
        if when.needs_principal() && matches!(self.access, Some(Access::Anyone)) {
            nobody_is_asked("an expression about `principal` or `claims`", at, faults);
        }
        Some(when)
    }
}

fn condition_help(fault: &ConditionFault) -> String {
    match &fault.kind {
        ConditionFaultKind::UnknownName { name, known } => undefined(
            name,
            known.iter().map(String::as_str),
            "A condition reads `principal`, `claims`, `path`, `query`, `headers`, `request`, `client` and `now`",
        ),
        ConditionFaultKind::UnknownFunction { name, known } => undefined(
            name,
            known.iter().map(String::as_str),
            &format!("There are {}", known.join(", ")),
        ),
        _ => "a condition is written in CEL, such as `claims.tenant == path.tenant`".to_owned(),
    }
}

/// Refuses a rule about principals where nobody is asked who they are.
fn nobody_is_asked(what: &str, at: Site<'_>, faults: &mut Faults) {
    faults
        .fault(
            codes::NEEDS_PRINCIPAL,
            at,
            format!("{what} needs a principal, and `auth: none` asks nobody who they are"),
        )
        .help("name a method in `auth`, or remove this rule");
}

fn several_sources(parameter: &str, sources: &[IssuerName], at: Site<'_>, faults: &mut Faults) {
    let names: Vec<_> = sources.iter().map(IssuerName::as_str).collect();
    faults
        .fault(
            codes::OWNER_SOURCES,
            at,
            format!(
                "principals come from `{}`, and the same subject may be somebody else at another",
                names.join("`, `")
            ),
        )
        .help(format!(
            "say whose subjects these are: `owner: {{ parameter: {parameter}, issuers: [{}] }}`",
            names.first().copied().unwrap_or(Principal::LOCAL)
        ));
}
