//! `rate_limit`, `plans` and the limits of the gateway's own: how often requests may come.

use std::collections::BTreeMap;

use super::{
    Input,
    faults::{Faults, undefined},
};
use crate::{
    config::{
        codes,
        document::Site,
        limits::{LimitAlgorithm, LimitRule},
        values::{LimitKey, OneOrMany, QuotaText, Switch},
    },
    model::PlanName,
    policy::limit::{Algorithm, By, Limit, LoginLimit, Quotas, Scope},
};

/// The quotas of the plans.
pub(super) struct Plans {
    quotas: BTreeMap<PlanName, Quotas>,
    /// Whether some of them could not be read, which was told.
    faulty: bool,
}

impl Plans {
    /// Reads `plans`.
    pub fn compile(input: &Input<'_>, faults: &mut Faults) -> Self {
        let mut quotas = BTreeMap::new();
        let mut faulty = input.is_faulty("plans");
        for (name, text) in input.config.plans.iter() {
            let at = input.root().key("plans").key(name.as_str());
            match read_quotas(text, at, faults) {
                Some(read) => drop(quotas.insert(name.clone(), read)),
                None => faulty = true,
            }
        }
        Self { quotas, faulty }
    }

    /// Warns of a plan that has no quota, so that its holder is served by `default`.
    pub fn refer(
        &self,
        input: &Input<'_>,
        plan: Option<&PlanName>,
        at: Site<'_>,
        faults: &mut Faults,
    ) {
        let plans = &input.config.plans;
        let Some(plan) = plan.filter(|plan| !plans.is_empty() && !plans.has(plan)) else { return };
        let message = format!("plan `{plan}` is not under `plans`, so that `default` serves it");
        let names = plans.names().map(|plan| plan.as_str());
        faults.warning(codes::UNKNOWN_PLAN, at, message).help(undefined(
            plan.as_str(),
            names,
            "Plans are defined under `plans`",
        ));
    }
}

/// Reads one `rate_limit`. A list is several limits, each with a place of its own.
pub(super) fn compile(
    input: &Input<'_>,
    rules: &OneOrMany<LimitRule>,
    scope: &Scope,
    plans: &Plans,
    at: Site<'_>,
    faults: &mut Faults,
) -> Vec<Limit> {
    let mut limits: Vec<Limit> = Vec::new();
    for (index, rule) in rules.as_slice().iter().enumerate() {
        let at = at.item(index);
        let Some(limit) = compile_one(input, rule, scope, plans, at, faults) else { continue };
        // What it would count, and how, is not known.
        if input.lacks_any(at, &["by", "algorithm"]) {
            continue;
        }
        let limit = limit.at_line(u32::try_from(at.line()).unwrap_or_default());
        let same = |other: &Limit| {
            let ids = |limit: &Limit| limit.rules().map(|rule| *rule.id()).collect::<Vec<_>>();
            ids(other).iter().any(|id| ids(&limit).contains(id))
        };
        if limits.iter().any(same) {
            faults
                .fault(codes::DUPLICATE, at, "the same limit stands in this list twice")
                .help("remove one of them");
            continue;
        }
        limits.push(limit);
    }
    limits
}

fn compile_one(
    input: &Input<'_>,
    rule: &LimitRule,
    scope: &Scope,
    plans: &Plans,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Limit> {
    let by_plan = rule.limit.as_str() == "plan";
    let by = counted_by(rule, by_plan, at, faults);
    let algorithm = algorithm(input, rule, at, faults);
    if !by_plan {
        let quotas = read_quotas(&rule.limit, at.key("limit"), faults)?;
        return Some(Limit::new(scope, &quotas, by?, algorithm?));
    }
    let Some(default) = plans.quotas.get("default") else {
        if plans.faulty {
            return None;
        }
        faults
            .fault(codes::NO_DEFAULT_PLAN, at.key("limit"), "`limit: plan` needs `plans.default`")
            .help("add `plans: { default: 100/hour }`: it serves a principal without a known plan");
        return None;
    };
    let named = plans.quotas.iter().filter(|(name, _)| name.as_str() != "default");
    Some(Limit::by_plan(scope, default, named, by?, algorithm?))
}

fn counted_by(
    rule: &LimitRule,
    by_plan: bool,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Vec<By>> {
    let Some(keys) = &rule.by else {
        return Some(vec![if by_plan { By::Principal } else { By::ClientIp }]);
    };
    let at = at.key("by");
    let mut by: Vec<By> = Vec::new();
    for (index, key) in keys.as_slice().iter().enumerate() {
        let part = match key {
            LimitKey::ApiKey => By::ApiKey,
            LimitKey::ClientIp => By::ClientIp,
            LimitKey::Header(name) => {
                By::Header(http::HeaderName::from_bytes(name.0.as_bytes()).ok()?)
            }
            LimitKey::Principal => By::Principal,
            LimitKey::Route => By::Route,
        };
        if by.contains(&part) {
            let at = at.item(index);
            faults
                .fault(codes::DUPLICATE, at, "the same key stands in this list twice")
                .help("remove one of them");
            return None;
        }
        by.push(part);
    }
    Some(by)
}

fn algorithm(
    input: &Input<'_>,
    rule: &LimitRule,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Algorithm> {
    let bucket = rule.algorithm == Some(LimitAlgorithm::TokenBucket);
    if rule.burst.is_some() && !bucket && !input.lacks(at, "algorithm") {
        faults
            .fault(codes::CONTRADICTION, at.key("burst"), "only a `token_bucket` holds a `burst`")
            .help("add `algorithm: token_bucket`, or remove `burst`");
        return None;
    }
    Some(match rule.algorithm {
        None | Some(LimitAlgorithm::SlidingWindow) => Algorithm::SlidingWindow,
        Some(LimitAlgorithm::FixedWindow) => Algorithm::FixedWindow,
        Some(LimitAlgorithm::TokenBucket) => Algorithm::TokenBucket { burst: rule.burst },
    })
}

/// `authentication.failure_limit`: 60 a minute unless the file says otherwise.
pub(super) fn failure_limit(input: &Input<'_>, faults: &mut Faults) -> Option<Limit> {
    let at = input.root().key("authentication").key("failure_limit");
    let written = input.config.authentication.failure_limit.as_ref();
    let quotas = own_quotas(written, "60/minute", at, faults)?;
    let scope = Scope::Own("failure_limit");
    Some(Limit::new(&scope, &quotas, vec![By::ClientIp], Algorithm::default()))
}

/// `token.login_limit`: five a minute unless the file says otherwise.
pub(super) fn login_limit(input: &Input<'_>, faults: &mut Faults) -> Option<LoginLimit> {
    let at = input.root().key("token").key("login_limit");
    let written = input.config.token.as_ref().and_then(|token| token.login_limit.as_ref());
    own_quotas(written, "5/minute", at, faults).map(|quotas| LoginLimit::new(&quotas))
}

fn own_quotas(
    written: Option<&Switch<QuotaText>>,
    default: &str,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Quotas> {
    match written {
        None => default.parse().ok(),
        Some(Switch::Off) => None,
        Some(Switch::On(text)) => read_quotas(text, at, faults),
    }
}

fn read_quotas(text: &QuotaText, at: Site<'_>, faults: &mut Faults) -> Option<Quotas> {
    match text.as_str().parse() {
        Ok(quotas) => Some(quotas),
        Err(fault) => {
            faults.fault(codes::INVALID_QUOTA, at, fault.to_string()).help(
                "a quota is written `10/minute`, `5 per 10 seconds` or `10/second; 1000/day`",
            );
            None
        }
    }
}
