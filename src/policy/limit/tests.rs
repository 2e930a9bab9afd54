use std::sync::Arc;

use super::*;
use crate::model::{Claims, CredentialKind, Principal};

fn principal(plan: Option<&str>) -> Principal {
    Principal {
        issuer: Principal::LOCAL.into(),
        subject: "7".into(),
        roles: Arc::new([]),
        permissions: Arc::new([]),
        effective_roles: Arc::new([]),
        plan: plan.map(PlanName::from),
        method: CredentialKind::ApiKey,
        claims: Arc::new(Claims::default()),
        api_key: None,
        expires: None,
    }
}

fn quotas(text: &str) -> Quotas {
    text.parse().unwrap()
}

fn by_plan() -> Limit {
    let (pro, both) = (PlanName::from("pro"), PlanName::from("both"));
    let named = [(&pro, &quotas("1000/hour")), (&both, &quotas("5/second; 2000/hour"))];
    let by = vec![By::Principal];
    Limit::by_plan(&Scope::Defaults, &quotas("100/hour"), named, by, Algorithm::default())
}

fn amounts(limit: &Limit, principal: Option<&Principal>) -> Vec<u32> {
    let caller = Caller { principal, ..Caller::at("192.0.2.1".parse().unwrap()) };
    let mut charges = Charges::new();
    limit.charge_to(&caller, &mut charges);
    charges.iter().map(|charge| charge.rule.quota().amount()).collect()
}

#[test]
fn a_plan_picks_its_quotas_and_the_default_serves_the_rest() {
    let limit = by_plan();
    for (plan, expected) in [
        (Some("pro"), vec![1000]),
        (Some("both"), vec![5, 2000]),
        (Some("gone"), vec![100]),
        (None, vec![100]),
    ] {
        assert_eq!(amounts(&limit, Some(&principal(plan))), expected, "{plan:?}");
    }
    assert_eq!(amounts(&limit, None), [100]);
    assert_eq!(limit.rules().count(), 4);
}

#[test]
fn what_needs_the_principal_waits_for_it() {
    let needs = |by: &[By]| {
        let limit =
            Limit::new(&Scope::Defaults, &quotas("1/day"), by.to_vec(), Algorithm::default());
        limit.needs_principal()
    };
    let tenant = By::Header(http::HeaderName::from_static("x-tenant"));
    assert!(!needs(&[]) && !needs(&[By::ClientIp, By::Route, tenant]));
    assert!(needs(&[By::Principal]) && needs(&[By::ApiKey]) && needs(&[By::Route, By::Principal]));
    assert!(by_plan().needs_principal(), "only the principal has a plan, whatever is counted by");
}

#[test]
fn a_login_is_counted_three_ways() {
    let limit = LoginLimit::new(&quotas("5/minute"));
    let charges = limit.charges("192.0.2.1".parse().unwrap(), "alice");
    let names: Vec<_> = charges.iter().map(|charge| &**charge.rule.name()).collect();
    assert_eq!(
        names,
        [
            "5-per-minute-by-client-ip+username",
            "50-per-minute-by-client-ip",
            "50-per-minute-by-username",
        ]
    );
}
