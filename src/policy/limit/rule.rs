//! One quota at its place: what a single counter counts, and how it is called.

use std::{fmt::Write, sync::Arc};

use http::HeaderValue;
use ring::digest;

use super::{Algorithm, By, Pace, Quota};

/// Where a limit was written, and so what shares its count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Under `defaults`: one count over all routes that inherit it.
    Defaults,
    /// One of the gateway's own, such as `login_limit`.
    Own(&'static str),
    /// On the route of this name.
    Route(crate::model::RouteName),
}

/// A quota, how it is counted, and by what. Several quotas in one limit are several rules.
#[derive(Debug)]
pub struct Rule {
    id: [u8; 16],
    name: Arc<str>,
    quota: Quota,
    told: Arc<str>,
    pace: Pace,
    policy: HeaderValue,
    amount: HeaderValue,
}

impl Rule {
    pub(super) fn new(scope: &Scope, quota: Quota, algorithm: Algorithm, by: &[By]) -> Self {
        let by_names = by.iter().map(By::to_string).collect::<Vec<_>>().join("+");
        let name: Arc<str> = format!("{}-by-{by_names}", quota.slug()).into();
        let id = identity(scope, quota, algorithm, &by_names);
        let told = quota.to_string().into();
        let (amount, window) = (quota.amount(), quota.seconds());
        // A name is a token and the others are numbers, so this is always a valid value.
        let policy = HeaderValue::try_from(format!("\"{name}\";q={amount};w={window}"));
        let policy = policy.unwrap_or_else(|_| HeaderValue::from_static(""));
        let pace = Pace::new(quota, algorithm);
        Self { id, name, quota, told, pace, policy, amount: HeaderValue::from(amount) }
    }

    /// What `RateLimit-Policy` says of it.
    pub fn policy(&self) -> &HeaderValue {
        &self.policy
    }

    /// How many requests it takes, for a header.
    pub fn amount(&self) -> &HeaderValue {
        &self.amount
    }

    /// The same for the same definition at the same place, in every process: by this, counts
    /// survive a reload.
    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// As in `RateLimit-Policy`: `10-per-minute-by-principal`, `5-per-10-seconds-by-client-ip`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many in how long.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Its quota as clients are told: `10 per 1 minute`.
    pub fn told(&self) -> &Arc<str> {
        &self.told
    }

    /// How it is counted.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }
}

fn identity(scope: &Scope, quota: Quota, algorithm: Algorithm, by: &str) -> [u8; 16] {
    let mut text = match algorithm {
        Algorithm::FixedWindow => "fixed_window".to_owned(),
        Algorithm::SlidingWindow => "sliding_window".to_owned(),
        Algorithm::TokenBucket { burst } => {
            format!("token_bucket {}", burst.unwrap_or(quota.amount()))
        }
    };
    // No part but the last can hold a line break, so texts are equal only if all parts are.
    let _ = write!(text, "\n{}\n{}\n{by}\n", quota.amount(), quota.seconds());
    text.push_str(&match scope {
        Scope::Defaults => "defaults".to_owned(),
        Scope::Own(name) => format!("own {name}"),
        Scope::Route(name) => format!("route {name}"),
    });
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(scope: Scope, quota: &str, algorithm: Algorithm, by: &[By]) -> Rule {
        let quotas: crate::policy::limit::Quotas = quota.parse().unwrap();
        Rule::new(&scope, quotas.as_slice()[0], algorithm, by)
    }

    #[test]
    fn a_rule_is_named_after_what_it_counts() {
        let tenant = By::Header(http::HeaderName::from_static("x-tenant"));
        for (quota, by, name) in [
            ("10/minute", vec![By::Principal], "10-per-minute-by-principal"),
            ("5/10 seconds", vec![By::ClientIp], "5-per-10-seconds-by-client-ip"),
            ("1/day", vec![By::ApiKey, By::Route], "1-per-day-by-api-key+route"),
            ("3/hour", vec![tenant], "3-per-hour-by-header-x-tenant"),
        ] {
            let rule = rule(Scope::Defaults, quota, Algorithm::SlidingWindow, &by);
            assert_eq!(&**rule.name(), name);
        }
    }

    #[test]
    fn an_identity_is_the_place_and_the_definition_and_nothing_else() {
        let by = [By::ClientIp];
        let sliding = Algorithm::SlidingWindow;
        let bucket = |burst| Algorithm::TokenBucket { burst };
        let base = rule(Scope::Defaults, "60/minute", sliding, &by);
        assert_eq!(base.id(), rule(Scope::Defaults, "60 per 60 seconds", sliding, &by).id());
        assert_eq!(
            rule(Scope::Defaults, "60/minute", bucket(None), &by).id(),
            rule(Scope::Defaults, "60/minute", bucket(Some(60)), &by).id(),
        );
        for other in [
            rule(Scope::Own("defaults"), "60/minute", sliding, &by),
            rule(Scope::Route("defaults".into()), "60/minute", sliding, &by),
            rule(Scope::Defaults, "61/minute", sliding, &by),
            rule(Scope::Defaults, "60/hour", sliding, &by),
            rule(Scope::Defaults, "60/minute", Algorithm::FixedWindow, &by),
            rule(Scope::Defaults, "60/minute", bucket(None), &by),
            rule(Scope::Defaults, "60/minute", bucket(Some(5)), &by),
            rule(Scope::Defaults, "60/minute", sliding, &[By::Principal]),
            rule(Scope::Defaults, "60/minute", sliding, &[By::ClientIp, By::Route]),
        ] {
            assert_ne!(base.id(), other.id(), "{other:?}");
        }
    }
}
