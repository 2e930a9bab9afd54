//! Rate limits: which limits a request is charged to, under which keys, and how each counts.
//!
//! Knows the notation, the algorithms as pure steps over small states, and the keys. Where states
//! are kept, and how several are charged at once, is the business of whoever answers the judge.

mod key;
mod quota;
mod rule;
mod standing;
mod window;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use http::HeaderName;
use smallvec::SmallVec;

pub use self::{
    key::{By, Caller, CounterKey},
    quota::{Quota, QuotaFault, Quotas, Unit},
    rule::{Rule, Scope},
    standing::{Charged, HEADER_NAMES, Standing},
    window::{Algorithm, Look, Pace, State},
};
use crate::model::PlanName;

/// One limit of the file: quotas, what they count by, and how.
#[derive(Clone, Debug)]
pub struct Limit {
    by: Box<[By]>,
    terms: Terms,
    /// Where it stands in the file; 0 is nowhere.
    line: u32,
}

#[derive(Clone, Debug)]
enum Terms {
    Fixed(Rules),
    Plan { default: Rules, named: BTreeMap<PlanName, Rules> },
}

type Rules = Box<[Arc<Rule>]>;

/// A place to be taken: a rule, and the key under which this request counts.
#[derive(Clone, Debug)]
pub struct Charge<'p> {
    /// What is counted.
    pub rule: &'p Arc<Rule>,
    /// For whom.
    pub key: CounterKey,
}

/// The charges of one step.
pub type Charges<'p> = SmallVec<[Charge<'p>; 2]>;

impl Limit {
    /// A limit with the same quotas for everybody. Counted by nothing, it counts everything
    /// together.
    pub fn new(scope: &Scope, quotas: &Quotas, by: Vec<By>, algorithm: Algorithm) -> Self {
        let terms = Terms::Fixed(rules(scope, quotas, algorithm, &by));
        Self { by: by.into(), terms, line: 0 }
    }

    /// `limit: plan`: the quotas of the principal's plan, and those of `default` for whoever has
    /// none that is known.
    pub fn by_plan<'q>(
        scope: &Scope,
        default: &Quotas,
        named: impl IntoIterator<Item = (&'q PlanName, &'q Quotas)>,
        by: Vec<By>,
        algorithm: Algorithm,
    ) -> Self {
        let rules = |quotas| rules(scope, quotas, algorithm, &by);
        let named = named.into_iter().map(|(plan, quotas)| (plan.clone(), rules(quotas)));
        let terms = Terms::Plan { default: rules(default), named: named.collect() };
        Self { by: by.into(), terms, line: 0 }
    }

    /// The same, written at this line of the file.
    #[must_use]
    pub fn at_line(self, line: u32) -> Self {
        Self { line, ..self }
    }

    /// The line of the file that it stands at; 0 is none.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// What it counts by.
    pub fn by(&self) -> &[By] {
        &self.by
    }

    /// The request headers that it reads.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.by.iter().filter_map(By::header)
    }

    /// Whether it can be charged only once the caller is authenticated.
    pub fn needs_principal(&self) -> bool {
        matches!(self.terms, Terms::Plan { .. }) || self.by.iter().any(By::needs_principal)
    }

    /// Every rule that it may charge to, for whoever reports on them.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let (first, rest) = match &self.terms {
            Terms::Fixed(rules) => (rules, None),
            Terms::Plan { default, named } => (default, Some(named.values())),
        };
        first.iter().chain(rest.into_iter().flatten().flatten())
    }

    /// Adds the charges that this caller's request makes.
    pub fn charge_to<'p>(&'p self, caller: &Caller<'_>, charges: &mut Charges<'p>) {
        let rules = match &self.terms {
            Terms::Fixed(rules) => rules,
            Terms::Plan { default, named } => {
                let plan = caller.principal.and_then(|principal| principal.plan.as_ref());
                plan.and_then(|plan| named.get(plan)).unwrap_or(default)
            }
        };
        for rule in rules {
            charges.push(Charge { rule, key: CounterKey::new(rule.id(), &self.by, caller) });
        }
    }
}

/// The limit on logins: so many per address and username, and ten times as many per address and
/// per username alone. All three are charged in one step.
#[derive(Clone, Debug)]
pub struct LoginLimit([Limit; 3]);

impl LoginLimit {
    /// The limit with these quotas per address and username.
    pub fn new(quotas: &Quotas) -> Self {
        let scope = Scope::Own("login_limit");
        let limit = |quotas: &Quotas, by| Limit::new(&scope, quotas, by, Algorithm::default());
        let ten = quotas.times(10);
        Self([
            limit(quotas, vec![By::ClientIp, By::Username]),
            limit(&ten, vec![By::ClientIp]),
            limit(&ten, vec![By::Username]),
        ])
    }

    /// Every rule that it charges to.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.0.iter().flat_map(Limit::rules)
    }

    /// The charges of one attempt to log in under this name.
    pub fn charges(&self, client_ip: IpAddr, username: &str) -> Charges<'_> {
        let caller = Caller { username: Some(username), ..Caller::at(client_ip) };
        let mut charges = Charges::new();
        for limit in &self.0 {
            limit.charge_to(&caller, &mut charges);
        }
        charges
    }
}

fn rules(scope: &Scope, quotas: &Quotas, algorithm: Algorithm, by: &[By]) -> Rules {
    let quotas = quotas.as_slice().iter();
    quotas.map(|quota| Arc::new(Rule::new(scope, *quota, algorithm, by))).collect()
}

#[cfg(test)]
mod tests;
