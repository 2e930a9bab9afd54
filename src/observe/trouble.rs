//! A trouble that comes again with every attempt: it is told when it begins, now and then while it
//! lasts, and when it is over.

use std::time::{Duration, Instant};

/// How often it is told while it lasts.
const OFTEN: Duration = Duration::from_secs(60);

/// What is known of it.
#[derive(Debug, Default)]
pub struct Trouble {
    told: Option<Instant>,
    times: u64,
}

impl Trouble {
    /// It came, once more. How often it has since it began, if that is to be told.
    pub fn came(&mut self, now: Instant) -> Option<u64> {
        self.times = self.times.saturating_add(1);
        let told = self.told.is_some_and(|told| now.saturating_duration_since(told) < OFTEN);
        if told {
            return None;
        }
        self.told = Some(now);
        Some(self.times)
    }

    /// An attempt succeeded. How often there was trouble before, if there was.
    pub fn is_over(&mut self) -> Option<u64> {
        self.told.take()?;
        Some(std::mem::take(&mut self.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_and_again_is_told_once_a_minute_and_when_it_is_over() {
        let (mut trouble, begun) = (Trouble::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(trouble.is_over(), None);
        assert_eq!(trouble.came(at(0)), Some(1));
        assert_eq!((trouble.came(at(1)), trouble.came(at(59))), (None, None));
        assert_eq!(trouble.came(at(60)), Some(4));
        assert_eq!(trouble.came(at(61)), None);
        assert_eq!(trouble.is_over(), Some(5));
        assert_eq!(trouble.is_over(), None);
        assert_eq!(trouble.came(at(62)), Some(1), "another one");
    }
}
