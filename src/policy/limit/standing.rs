//! How a caller stands with a limit, and the headers that tell it.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::{Look, Rule};
use crate::model::{Timestamp, push_digits};

/// How a caller stands with one rule after a step.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The rule.
    pub rule: Arc<Rule>,
    /// How many more requests it lets through now.
    pub remaining: u32,
    /// How long until it lets one more through than now.
    pub wait: Duration,
}

/// What came of charging the limits of one step.
#[derive(Clone, Debug)]
pub enum Charged {
    /// Every limit had a place, and it was taken. The standing is with the one that is closest
    /// to exhaustion; there is none where nothing was to be charged.
    Admitted(Option<Standing>),
    /// At least one had none, and no place was taken anywhere. The standing is with the refusing
    /// limit that takes longest to have a place.
    Refused(Standing),
}

impl Charged {
    /// The standing that headers tell of.
    pub fn standing(&self) -> Option<&Standing> {
        match self {
            Self::Admitted(standing) => standing.as_ref(),
            Self::Refused(standing) => Some(standing),
        }
    }
}

/// The headers of a limited route.
pub const HEADER_NAMES: [HeaderName; 5] = [
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

impl Standing {
    /// How a caller stands with this rule, as its counter looks.
    pub fn new(rule: &Arc<Rule>, look: Look) -> Self {
        Self { rule: Arc::clone(rule), remaining: look.remaining, wait: look.wait }
    }

    /// Whether the rule with this look is closer to exhaustion than `other`: fewer requests pass,
    /// or as many but it takes longer until another does. So the closest of all says truthfully
    /// when a refused request can pass, for a rule that refuses has nothing remaining.
    pub fn is_closer(look: Look, other: Look) -> bool {
        (look.remaining, other.wait) < (other.remaining, look.wait)
    }

    /// The closer to exhaustion of two, for a request that was charged in several steps.
    #[must_use]
    pub fn closest(self, other: Self) -> Self {
        if (other.remaining, self.wait) < (self.remaining, other.wait) { other } else { self }
    }

    /// Whole seconds until a refused request can pass; at least 1.
    pub fn retry_after(&self) -> u64 {
        self.seconds_to_go().max(1)
    }

    /// The values of [`HEADER_NAMES`], in their order.
    pub fn header_values(&self, now: Timestamp) -> [HeaderValue; 5] {
        let name = self.rule.name();
        let reset = (now + self.wait).micros();
        let reset = reset.div_euclid(1_000_000) + i64::from(reset.rem_euclid(1_000_000) > 0);
        // The three that are made for this request share a piece of memory.
        let mut text = Vec::with_capacity(name.len() + 64);
        text.push(b'"');
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\";r=");
        push_digits(self.remaining.into(), &mut text);
        text.extend_from_slice(b";t=");
        push_digits(self.seconds_to_go(), &mut text);
        let rest = text.len();
        push_digits(self.remaining.into(), &mut text);
        let remaining = text.len();
        push_digits(u64::try_from(reset).unwrap_or(0), &mut text);
        let text = Bytes::from(text);
        // A name is a token and the others are numbers, so this is always a valid value.
        let part = |part: Range<usize>| {
            let value = HeaderValue::from_maybe_shared(text.slice(part));
            value.unwrap_or_else(|_| HeaderValue::from_static(""))
        };
        [
            self.rule.policy().clone(),
            part(0..rest),
            self.rule.amount().clone(),
            part(rest..remaining),
            part(remaining..text.len()),
        ]
    }

    fn seconds_to_go(&self) -> u64 {
        self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::limit::{Algorithm, By, Quota, Scope, Unit};

    fn standing(remaining: u32, wait: Duration) -> Standing {
        let quota = Quota::new(10, 1, Unit::Minute).unwrap();
        let rule = Rule::new(&Scope::Defaults, quota, Algorithm::default(), &[By::Principal]);
        Standing { rule: Arc::new(rule), remaining, wait }
    }

    #[test]
    fn headers_tell_the_policy_the_rest_and_the_seconds_to_go() {
        let values = standing(7, Duration::from_micros(41_000_001))
            .header_values(Timestamp::from_micros(1_000_000_500_000));
        assert_eq!(
            values.each_ref().map(|value| value.to_str().unwrap()),
            [
                "\"10-per-minute-by-principal\";q=10;w=60",
                "\"10-per-minute-by-principal\";r=7;t=42",
                "10",
                "7",
                "1000042",
            ]
        );
    }

    #[test]
    fn a_refused_client_waits_at_least_a_second() {
        assert_eq!(standing(0, Duration::from_micros(1)).retry_after(), 1);
        assert_eq!(standing(0, Duration::ZERO).retry_after(), 1);
        assert_eq!(standing(0, Duration::from_millis(1001)).retry_after(), 2);
        assert_eq!(&**standing(0, Duration::ZERO).rule.told(), "10 per 1 minute");
    }

    #[test]
    fn of_two_steps_the_one_that_refuses_longest_is_told() {
        let seconds = Duration::from_secs;
        for (one, other, expected) in
            [((3, 10), (2, 1), (2, 1)), ((0, 10), (0, 50), (0, 50)), ((0, 10), (5, 50), (0, 10))]
        {
            let one = standing(one.0, seconds(one.1));
            let other = standing(other.0, seconds(other.1));
            for closest in [one.clone().closest(other.clone()), other.closest(one)] {
                assert_eq!((closest.remaining, closest.wait), (expected.0, seconds(expected.1)));
            }
        }
    }
}
