//! The judge: what happens to a request, from top to bottom.

use std::{borrow::Cow, sync::Arc};

use http::{Method, header};
use smallvec::SmallVec;

use super::{
    Decision, Denial, Permit, Policy, RequestFacts, Sources, Trail, Verdict, authn, authz,
    decision::Reply,
    forward::{self, HeaderEdit, ResponsePlan, cors::Preflight},
    grpc,
    limit::{Caller, Charged, Charges, Limit, Standing},
    route::{Match, RouteFault, is_override_header, overrides_in_query},
    rules::{Access, Action, CorsRule, Mode, Route},
    scope::Scope,
    trail::Outcome,
};
use crate::model::{Principal, Timestamp};

/// Decides on a request. Same policy, same facts, same answers from the sources, same time: same
/// decision. Charges the limits it passes; a limit that is reached late refuses without taking a
/// place.
pub async fn decide(
    policy: &Policy,
    facts: &RequestFacts<'_>,
    sources: &impl Sources,
    now: Timestamp,
    trail: &mut Trail,
) -> Decision {
    Case::of(policy, facts, None, now).decide(sources, trail).await
}

/// Decides on a request as if it came from this principal: where a route asks for a credential,
/// nobody is asked for one. For what an operator expects of a policy, never for a client.
pub async fn decide_as(
    policy: &Policy,
    facts: &RequestFacts<'_>,
    principal: Arc<Principal>,
    sources: &impl Sources,
    now: Timestamp,
    trail: &mut Trail,
) -> Decision {
    Case::of(policy, facts, Some(principal), now).decide(sources, trail).await
}

/// The methods that the request asks an app to act on in place of its own.
pub(super) fn overrides<'r>(facts: &RequestFacts<'r>) -> SmallVec<[Cow<'r, str>; 1]> {
    let headers = facts.headers.iter().filter(|(name, _)| is_override_header(name.as_str()));
    let in_headers = headers.map(|(_, value)| Cow::Borrowed(value.to_str().unwrap_or_default()));
    let query = facts.query.map(str::as_bytes).unwrap_or_default();
    in_headers.chain(overrides_in_query(query).map(Cow::Owned)).collect()
}

/// Methods are told apart by letter case, and none that is registered has a small letter; but some
/// apps act on `delete` as on `DELETE`, which another route or an expression may have refused.
fn judge_case(method: &Method) -> Result<(), RouteFault> {
    if method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(RouteFault::AmbiguousMethod);
    }
    Ok(())
}

/// What is known of the request so far.
struct Case<'c> {
    policy: &'c Policy,
    facts: &'c RequestFacts<'c>,
    /// Whom nobody has to ask for a credential.
    known: Option<Arc<Principal>>,
    now: Timestamp,
    route: Option<Arc<Route>>,
    principal: Option<Arc<Principal>>,
    standing: Option<Standing>,
    shadow: Option<Denial>,
    remark: Option<&'static str>,
    response: Option<ResponsePlan>,
}

impl<'c> Case<'c> {
    fn of(
        policy: &'c Policy,
        facts: &'c RequestFacts<'c>,
        known: Option<Arc<Principal>>,
        now: Timestamp,
    ) -> Self {
        Self {
            policy,
            facts,
            known,
            now,
            route: None,
            principal: None,
            standing: None,
            shadow: None,
            remark: None,
            response: None,
        }
    }

    async fn decide(mut self, sources: &impl Sources, trail: &mut Trail) -> Decision {
        let verdict = match self.judge(sources, trail).await {
            Ok(verdict) => verdict,
            Err(denial) => Verdict::Deny(denial),
        };
        self.close(verdict)
    }

    async fn judge(
        &mut self,
        sources: &impl Sources,
        trail: &mut Trail,
    ) -> Result<Verdict, Denial> {
        if let Some(verdict) = self.preflight(sources, trail)? {
            return Ok(verdict);
        }
        let found = self.find(self.facts.method, trail)?;
        let route = self.enter(&found)?;
        self.judge_size(&route)?;
        self.charge(&route.early_limits, sources, trail)?;
        self.principal = self.authenticate(&route, sources, trail).await?;
        let allowed = self.authorize(&route, &found, trail);
        self.unless_shadow(&route, allowed)?;
        let charged = self.charge(&route.late_limits, sources, trail);
        self.unless_shadow(&route, charged)?;
        self.carry_out(&route, &found, sources, trail)
    }

    /// Finds the one route that every reading of the request falls under.
    fn find(&self, method: &Method, trail: &mut Trail) -> Result<Match<'c>, Denial> {
        let (policy, facts) = (self.policy, self.facts);
        let (table, path) = (&policy.table, facts.path.as_bytes());
        let found = table.find(facts.host, method, path).and_then(|found| {
            let overrides = overrides(facts);
            let values = overrides.iter().map(|value| &**value);
            table.judge_overrides(facts.host, path, found.route, values)?;
            judge_case(method)?;
            Ok(found)
        });
        let found = found.map_err(|fault| match fault {
            // It is no method of any path (RFC 9110, section 9.3.8).
            RouteFault::NoRoute if *method == Method::TRACE => {
                RouteFault::MethodNotAllowed { allow: Vec::new() }
            }
            fault => fault,
        });
        let found = found.map_err(|fault| {
            trail.note("route", Outcome::Refused, 0, || fault.to_string());
            Denial::from(fault)
        })?;
        if let Some(route) = policy.routes.get(found.route) {
            trail.note("route", Outcome::Passed, route.line, || {
                format!(
                    "`{}`: `{}` is the most specific pattern for the path",
                    route.name,
                    found.pattern.as_str()
                )
            });
        }
        Ok(found)
    }

    /// The route of a match, from here on the one that governs the request.
    fn enter(&mut self, found: &Match<'_>) -> Result<Arc<Route>, Denial> {
        let route = self.policy.routes.get(found.route).cloned();
        let route =
            route.ok_or(Denial::Internal { why: "the table names a route that is not there" })?;
        self.route = Some(Arc::clone(&route));
        Ok(route)
    }

    /// A preflight is answered without credentials and charged to no limit, by the route of the
    /// method that it asks about.
    fn preflight(
        &mut self,
        sources: &impl Sources,
        trail: &mut Trail,
    ) -> Result<Option<Verdict>, Denial> {
        let Some(preflight) = Preflight::find(self.facts.method, self.facts.headers) else {
            return Ok(None);
        };
        let policy = self.policy;
        let Some(found) = self.asked_about(&preflight.method) else { return Ok(None) };
        let Some(route) = policy.routes.get(found.route).cloned() else { return Ok(None) };
        match &route.cors {
            CorsRule::Off => Ok(None),
            CorsRule::On(cors) => {
                let answer = cors.answer(&preflight);
                let outcome = if answer.allowed { Outcome::Passed } else { Outcome::Refused };
                trail.note("preflight", outcome, route.line, || {
                    format!("answered for `{}` by the route `{}`", preflight.method, route.name)
                });
                self.remark = (!answer.allowed).then_some("cors");
                self.response =
                    Some(ResponsePlan::of_preflight(&route.security_headers, self.facts));
                self.route = Some(route);
                Ok(Some(Verdict::Answer(answer.reply)))
            }
            CorsRule::Upstream => {
                let route = self.enter(&found)?;
                // Nobody was asked for a credential, so the app must not take it for another method.
                if !overrides(self.facts).is_empty() {
                    return Err(Denial::AmbiguousMethod);
                }
                trail.note("preflight", Outcome::Passed, route.line, || {
                    "left to the upstream".to_owned()
                });
                self.charge(&route.early_limits, sources, trail)?;
                self.carry_out(&route, &found, sources, trail).map(Some)
            }
        }
    }

    /// The route of the method that a preflight asks about; for a method that none takes, any
    /// other route of the path, whose rules do not allow it.
    fn asked_about(&self, method: &Method) -> Option<Match<'c>> {
        let (facts, table) = (self.facts, &self.policy.table);
        let find = |method| table.find(facts.host, method, facts.path.as_bytes());
        match find(method) {
            Ok(found) => Some(found),
            Err(RouteFault::MethodNotAllowed { allow }) => {
                let found = find(allow.first()?).ok()?;
                let route = self.policy.routes.get(found.route)?;
                matches!(route.cors, CorsRule::On(_)).then_some(found)
            }
            Err(_) => None,
        }
    }

    /// A body whose length is announced is judged before anything is asked of anybody.
    fn judge_size(&self, route: &Route) -> Result<(), Denial> {
        let limit = match &route.action {
            Action::Forward(forwarding) if grpc::is_call(self.facts.headers) => {
                forwarding.call_limit.unwrap_or(u64::MAX)
            }
            Action::Forward(forwarding) => forwarding.body_limit,
            Action::Redirect { .. } | Action::Respond(_) | Action::Serve(_) => {
                self.policy.server.limits.body
            }
        };
        let announced = self.facts.headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit) {
            Err(Denial::BodyTooLarge)
        } else {
            Ok(())
        }
    }

    fn charge(
        &mut self,
        limits: &[Arc<Limit>],
        sources: &impl Sources,
        trail: &mut Trail,
    ) -> Result<(), Denial> {
        if limits.is_empty() {
            return Ok(());
        }
        let route = self.route.clone();
        let principal = self.principal.clone();
        let caller = Caller {
            client_ip: self.facts.client,
            headers: Some(self.facts.headers),
            principal: principal.as_deref(),
            route: route.as_ref().map(|route| &route.name),
            username: None,
        };
        let mut charges = Charges::new();
        for limit in limits {
            limit.charge_to(&caller, &mut charges);
        }
        let charged = sources.charge(&charges, self.now).map_err(Denial::Unavailable)?;
        let Some(standing) = charged.standing().cloned() else { return Ok(()) };
        let refused = matches!(charged, Charged::Refused(_));
        let outcome = if refused { Outcome::Refused } else { Outcome::Passed };
        if trail.is_kept() {
            let rule = &standing.rule;
            let of = |limit: &&Arc<Limit>| limit.rules().any(|one| one.id() == rule.id());
            let line = limits.iter().find(of).map_or(0, |limit| limit.line());
            trail.note("limit", outcome, line, || {
                format!("`{}`: {} left of {}", rule.name(), standing.remaining, rule.quota())
            });
        }
        let refusing = refused.then(|| standing.clone());
        let closest = match self.standing.take() {
            Some(earlier) => earlier.closest(standing),
            None => standing,
        };
        // A limit of an earlier step may be spent by now too: only after the longer wait does a
        // request pass both.
        let denial =
            refusing.map(|refusing| Denial::limited(&Standing { wait: closest.wait, ..refusing }));
        self.standing = Some(closest);
        denial.map_or(Ok(()), Err)
    }

    async fn authenticate(
        &self,
        route: &Route,
        sources: &impl Sources,
        trail: &mut Trail,
    ) -> Result<Option<Arc<Principal>>, Denial> {
        let (rule, required) = match &route.access {
            Access::Anyone => {
                trail.note("authentication", Outcome::Skipped, route.line, || {
                    "the route asks nobody".to_owned()
                });
                return Ok(None);
            }
            Access::IfPresented(rule) => (rule, false),
            Access::Required(rule) => (rule, true),
        };
        if let Some(principal) = &self.known {
            trail.note("authentication", Outcome::Passed, rule.line, || {
                format!("{} of {}, as given", principal.subject, principal.issuer)
            });
            return Ok(Some(Arc::clone(principal)));
        }
        let principal =
            authn::authenticate(self.policy, route, rule, self.facts, sources, self.now, trail)
                .await?;
        if required && principal.is_none() {
            trail.note("authentication", Outcome::Refused, rule.line, || {
                "the route asks for a credential".to_owned()
            });
            return Err(Denial::MissingCredentials { challenges: Arc::clone(&rule.challenges) });
        }
        Ok(principal)
    }

    fn authorize(&self, route: &Route, found: &Match<'_>, trail: &mut Trail) -> Result<(), Denial> {
        let scope = Scope {
            principal: self.principal.as_deref(),
            facts: self.facts,
            params: &found.params,
        };
        authz::authorize(route, &scope, self.now, trail)
    }

    /// In shadow a refusal is kept for the log and the request goes on.
    fn unless_shadow(&mut self, route: &Route, outcome: Result<(), Denial>) -> Result<(), Denial> {
        match (outcome, route.mode) {
            (Err(denial), Mode::Shadow) => {
                self.shadow.get_or_insert(denial);
                Ok(())
            }
            (outcome, Mode::Enforce | Mode::Shadow) => outcome,
        }
    }

    fn carry_out(
        &mut self,
        route: &Arc<Route>,
        found: &Match<'_>,
        sources: &impl Sources,
        trail: &mut Trail,
    ) -> Result<Verdict, Denial> {
        let scope = Scope {
            principal: self.principal.as_deref(),
            facts: self.facts,
            params: &found.params,
        };
        let mut response = ResponsePlan::of_route(route, self.facts);
        response.add_route_headers(route, &scope);
        self.response = Some(response);
        match &route.action {
            Action::Forward(forwarding) => {
                let path = forwarding.path.apply(&scope)?;
                let identity = &self.policy.identity;
                let assertion = self.assert(sources, trail)?;
                let plan = forward::request::plan(
                    route,
                    forwarding,
                    identity,
                    &scope,
                    path.as_deref(),
                    assertion,
                );
                Ok(Verdict::Forward(Permit::new(Arc::clone(route), plan)))
            }
            Action::Redirect { to, status } => {
                let to = forward::path::location(to, &scope)?;
                Ok(Verdict::Answer(Reply::redirect(*status, to)))
            }
            Action::Respond(reply) => Ok(Verdict::Answer(reply.clone())),
            Action::Serve(endpoint) => Ok(Verdict::Serve(*endpoint)),
        }
    }

    /// What the upstream is told of the principal in a form that it can verify.
    fn assert(
        &self,
        sources: &impl Sources,
        trail: &mut Trail,
    ) -> Result<Option<HeaderEdit>, Denial> {
        let Some(terms) = self.policy.identity.assertion() else { return Ok(None) };
        let Some(principal) = self.principal.as_deref() else { return Ok(None) };
        let value = sources.assertion(terms, principal, self.now).map_err(Denial::Unavailable)?;
        trail.note("assertion", Outcome::Passed, terms.line, || {
            let (subject, source) = (&principal.subject, &principal.issuer);
            format!("{subject} of {source} for `{}`, in `{}`", terms.audience, terms.header)
        });
        Ok(Some(HeaderEdit::Set(terms.header.clone(), value)))
    }

    fn close(self, verdict: Verdict) -> Decision {
        let mut response = self.response.unwrap_or_else(|| match self.route.as_deref() {
            Some(route) => ResponsePlan::of_route(route, self.facts),
            None => {
                let security_headers = &self.policy.default_security_headers;
                ResponsePlan::new(&self.policy.default_cors, security_headers, self.facts)
            }
        });
        if matches!(verdict, Verdict::Deny(_)) {
            response.forget_route_headers();
        }
        if let Some(standing) = &self.standing {
            response.tell(standing, self.now);
        }
        Decision {
            route: self.route,
            principal: self.principal,
            response,
            shadow: self.shadow,
            remark: self.remark,
            verdict,
        }
    }
}
