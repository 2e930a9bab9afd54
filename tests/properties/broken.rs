//! What nobody can answer is never a pass.

use std::{net::IpAddr, sync::Arc};

use http::HeaderValue;
use proptest::prelude::*;

use portcullis::{
    model::{Principal, Timestamp},
    policy::{
        Denial, Sources,
        accounts::{ApiKey, User},
        authn::{
            forward_auth::{ForwardAuthTerms, Refusal, Vouched},
            introspection::{Introspected, IntrospectionTerms},
            jwt::{IssuerTerms, Jws, Verified},
        },
        decision::TokenFault,
        digest::Digest,
        forward::AssertionTerms,
        limit::{Charge, Charged, Standing},
        sources::{
            Inspection, Issued, PasswordAttempt, PasswordCheck, Presentation, Unavailable, Untold,
            Unverified,
        },
    },
};

use super::{
    cases,
    gate::{Ask, Gate, NOW, admitted, denial},
    world::{Auth, Shown, asked},
};

const AWAY: Unavailable = Unavailable { what: "everything" };

/// Sources of which none can be asked.
struct Away;

impl Sources for Away {
    fn recall(&self, _: &Digest) -> Option<Arc<Verified>> {
        None
    }

    fn vouches(&self, _: &IssuerTerms, _: &Verified) -> bool {
        false
    }

    async fn verify(&self, _: &IssuerTerms, _: &Jws<'_>) -> Result<Arc<Verified>, Unverified> {
        Err(Unverified::Unavailable(AWAY))
    }

    async fn introspect(
        &self,
        _: &Arc<IntrospectionTerms>,
        _: &Inspection<'_>,
    ) -> Result<Arc<Introspected>, Untold<TokenFault>> {
        Err(Untold::Unavailable(AWAY))
    }

    async fn vouch(
        &self,
        _: &Arc<ForwardAuthTerms>,
        _: Presentation,
    ) -> Result<Arc<Vouched>, Untold<Refusal>> {
        Err(Untold::Unavailable(AWAY))
    }

    async fn api_key(&self, _: &Digest) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        Err(AWAY)
    }

    async fn user(&self, _: &str) -> Result<Option<Arc<User>>, Unavailable> {
        Err(AWAY)
    }

    fn key(&self, _: &str) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        Err(AWAY)
    }

    fn is_revoked(&self, _: &Issued<'_>) -> Result<bool, Unavailable> {
        Err(AWAY)
    }

    fn exhausted(&self, _: IpAddr, _: Timestamp) -> Option<Standing> {
        None
    }

    async fn password(&self, _: &PasswordAttempt<'_>) -> PasswordCheck {
        PasswordCheck::Unavailable(AWAY)
    }

    fn assertion(
        &self,
        _: &AssertionTerms,
        _: &Principal,
        _: Timestamp,
    ) -> Result<HeaderValue, Unavailable> {
        Err(AWAY)
    }

    fn charge(&self, _: &[Charge<'_>], _: Timestamp) -> Result<Charged, Unavailable> {
        Err(AWAY)
    }

    fn count_failure(&self, _: IpAddr, _: Timestamp) {}
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn a_credential_that_cannot_be_looked_up_lets_nobody_in((world, requests) in asked()) {
        let gate = Gate::of(&world.yaml());
        for request in &requests {
            let decision = gate.decide(&request.ask(), &Away, NOW);
            match (world.routes[request.route].auth, request.shown) {
                (Auth::Optional | Auth::Required, Shown::Key(_) | Shown::Wrong) => {
                    prop_assert_eq!(denial(&decision), Some(&Denial::Unavailable(AWAY)));
                }
                (Auth::Required, Shown::Nothing | Shown::Twice(_)) | (Auth::Optional, Shown::Twice(_)) => {
                    prop_assert!(denial(&decision).is_some());
                }
                (Auth::Nobody, _) | (Auth::Optional, Shown::Nothing) => {
                    prop_assert_eq!(admitted(&decision).is_some(), world.expects(request).is_ok());
                }
            }
        }
    }
}

const EACH: &str = "
upstreams: { app: { builtin: echo } }
authentication:
  basic: {}
  forward_auth: { legacy: { url: 'http://127.0.0.1:1/', send: [Cookie], subject: X-Who } }
  introspection: { partner: { url: 'https://id.example.com/i', client_id: gw, client_secret: x } }
  jwt: { corp: { issuer: corp, audiences: [a], algorithms: [HS256], secret: 0123456789-0123456789-0123456789-x } }
users: [{ username: alice, roles: [] }]
routes:
  - { name: jwt, match: { path: /jwt }, upstream: app, auth: [jwt] }
  - { name: opaque, match: { path: /opaque }, upstream: app, auth: ['introspection:partner'] }
  - { name: elsewhere, match: { path: /elsewhere }, upstream: app, auth: ['forward_auth:legacy'] }
  - { name: basic, match: { path: /basic }, upstream: app, auth: [basic] }
  - { name: limited, match: { path: /limited }, upstream: app, auth: none, rate_limit: { limit: 1000/second, by: client_ip } }
  - { name: open, match: { path: /open }, upstream: app, auth: none }
";

#[test]
fn whatever_an_answer_depends_on_its_absence_is_503() {
    let gate = Gate::of(EACH);
    // {"alg":"HS256"}.{"iss":"corp","sub":"x","aud":"a","exp":9999999999}
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJjb3JwIiwic3ViIjoieCIsImF1ZCI6ImEiLCJleHAiOjk5OTk5OTk5OTl9.AAAA";
    for ask in [
        Ask::get("/jwt").header("authorization", &format!("Bearer {token}")),
        Ask::get("/elsewhere").header("cookie", "a=b"),
        Ask::get("/opaque").header("authorization", "Bearer 2YotnFZFEjr1zCsicMWpAA"),
        Ask::get("/basic").header("authorization", "Basic YWxpY2U6eA=="),
        Ask::get("/limited"),
    ] {
        let decision = gate.decide(&ask, &Away, NOW);
        let denial = denial(&decision).unwrap_or_else(|| panic!("{} is let in", ask.path));
        assert_eq!(denial, &Denial::Unavailable(AWAY), "{}", ask.path);
        assert_eq!(denial.problem().status, 503);
    }
    assert_eq!(admitted(&gate.decide(&Ask::get("/open"), &Away, NOW)), Some("open"));
}

#[test]
fn a_table_whose_routes_are_gone_admits_nobody() {
    let mut gate = Gate::of(EACH);
    gate.lose_routes();
    let decision = gate.live(&Ask::get("/open"), NOW);
    let denial = denial(&decision).unwrap();
    assert!(matches!(denial, Denial::Internal { .. }), "{denial:?}");
    assert_eq!(denial.problem().status, 500);
}
