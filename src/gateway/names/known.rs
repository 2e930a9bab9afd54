//! What is known of one name, and until when.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// No name is asked for more often, however short its time: once a second for each is no burden.
const FLOOR: Duration = Duration::from_secs(1);

/// A name is asked for at least so often, however long its time.
const CEILING: Duration = Duration::from_secs(300);

/// When a name is asked for again that there was no answer for.
const AGAIN: Duration = Duration::from_secs(5);

/// So many times in a row it must be said that there are no addresses, where there were some.
const DENIALS: u8 = 2;

/// What was heard of the addresses of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There are none.
    Denied,
    /// These, for so long.
    Found(Vec<IpAddr>, Duration),
    /// Nothing: nobody answered, or whoever did could not say.
    Unheard,
}

/// What was heard of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Its addresses of IPv4.
    pub v4: Answer,
    /// Its addresses of IPv6.
    pub v6: Answer,
}

impl Answers {
    /// Nothing.
    pub const fn unheard() -> Self {
        Self { v4: Answer::Unheard, v6: Answer::Unheard }
    }
}

/// What is known of a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    v4: Family,
    v6: Family,
    /// When it is asked for next; absent is now.
    due: Option<Instant>,
}

/// What is known of its addresses of one family.
#[derive(Clone, Debug, Default)]
struct Family {
    addresses: Vec<IpAddr>,
    denials: u8,
    unheard: bool,
}

impl Known {
    /// Its addresses, those of IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.addresses.iter().chain(&self.v6.addresses).copied()
    }

    /// Whether its time is over.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// When its time is over; absent is now.
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether anything was heard of it when it was last asked for.
    pub fn is_heard(&self) -> bool {
        !(self.v4.unheard && self.v6.unheard)
    }

    /// Learns what was heard of it.
    pub fn learn(&mut self, answers: Answers, now: Instant) {
        let Answers { v4, v6 } = answers;
        let mut least = self.v4.learn(v4).min(self.v6.learn(v6));
        if self.addresses().next().is_none() {
            // Requests wait for it.
            least = least.min(AGAIN);
        }
        self.due = Some(now + least.clamp(FLOOR, CEILING));
    }
}

impl Family {
    /// Learns what was heard of it; how long that holds.
    fn learn(&mut self, answer: Answer) -> Duration {
        self.unheard = answer == Answer::Unheard;
        match answer {
            Answer::Found(addresses, time) if !addresses.is_empty() => {
                self.denials = 0;
                // Servers turn the order round: that is no change.
                self.addresses = addresses;
                self.addresses.sort_unstable();
                self.addresses.dedup();
                time
            }
            Answer::Denied | Answer::Found(..) => {
                self.denials = self.denials.saturating_add(1);
                if self.addresses.is_empty() {
                    // The usual case of a name of one family: the other says when to ask again.
                    return CEILING;
                }
                if self.denials >= DENIALS {
                    self.addresses.clear();
                }
                FLOOR
            }
            Answer::Unheard => AGAIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: &str, seconds: u64) -> Answer {
        Answer::Found(vec![address.parse().unwrap()], Duration::from_secs(seconds))
    }

    /// How long it is not asked for after these answers.
    fn rests(answers: [(Answer, Answer); 1]) -> u64 {
        let (mut known, now) = (Known::default(), Instant::now());
        for (v4, v6) in answers {
            known.learn(Answers { v4, v6 }, now);
        }
        known.due.unwrap().duration_since(now).as_secs()
    }

    #[test]
    fn a_name_is_asked_for_when_its_time_is_over_within_bounds() {
        assert!(Known::default().is_due(Instant::now()));
        assert_eq!(rests([(found("10.0.0.1", 30), Answer::Denied)]), 30);
        assert_eq!(rests([(found("10.0.0.1", 30), found("2001:db8::1", 20))]), 20);
        assert_eq!(rests([(found("10.0.0.1", 0), Answer::Denied)]), FLOOR.as_secs());
        assert_eq!(rests([(found("10.0.0.1", 86400), Answer::Denied)]), CEILING.as_secs());
        assert_eq!(rests([(Answer::Unheard, Answer::Unheard)]), AGAIN.as_secs());
        assert_eq!(rests([(found("10.0.0.1", 30), Answer::Unheard)]), AGAIN.as_secs());
    }

    #[test]
    fn a_name_without_any_address_is_asked_for_again_soon() {
        assert_eq!(rests([(Answer::Denied, Answer::Denied)]), AGAIN.as_secs());
    }

    #[test]
    fn one_family_that_is_not_heard_of_stays_while_the_other_moves() {
        let mut known = Known::default();
        let now = Instant::now();
        known.learn(Answers { v4: found("10.0.0.1", 9), v6: found("2001:db8::1", 9) }, now);
        known.learn(Answers { v4: found("10.0.0.2", 9), v6: Answer::Unheard }, now);
        let all: Vec<String> = known.addresses().map(|address| address.to_string()).collect();
        assert_eq!(all, ["10.0.0.2", "2001:db8::1"]);
        assert!(known.is_heard());
    }

    #[test]
    fn the_order_of_an_answer_is_no_change() {
        let mut known = Known::default();
        let (one, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let time = Duration::from_secs(9);
        for order in [[one, other], [other, one]] {
            let v4 = Answer::Found(order.to_vec(), time);
            known.learn(Answers { v4, v6: Answer::Denied }, Instant::now());
            assert_eq!(known.addresses().collect::<Vec<_>>(), [one, other]);
        }
    }
}
