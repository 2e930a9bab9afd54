//! Quotas as they are written: `10/minute`, `5 per 10 seconds`, `100/hour; 2000/day`.
//!
//! The notation is that of the Python library `limits`, spaces and letter case included, so that
//! a quota can be moved here from an app without a second look. `quota/corpus.txt` holds what that
//! library makes of some two thousand texts, and we make the same of them. That includes two
//! oddities: a multiple of zero counts as one (`10/0 minutes`), and one colon may stand before a
//! separator (`1/second:; 5/minute`).
//!
//! Only what could not be counted is refused here and accepted there: an amount above
//! 4,294,967,295, a window above a hundred years, and (there a fault of the interpreter) numbers
//! of more than 4,300 digits are read here if they are small after leading zeros.

use std::{fmt, str::FromStr, time::Duration};

/// The unit of a window, from the shortest to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// One second.
    Second,
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
    /// 30 days.
    Month,
    /// 360 days.
    Year,
}

impl Unit {
    // From the shortest to the longest.
    const ALL: [Self; 6] =
        [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Year];

    /// The unit's name in the singular.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    const fn seconds(self) -> u64 {
        const DAY: u64 = 24 * 60 * 60;
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => DAY,
            Self::Month => 30 * DAY,
            Self::Year => 360 * DAY,
        }
    }

    fn find(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let singular = word.strip_suffix('s').unwrap_or(&word);
        Self::ALL.into_iter().find(|unit| unit.as_str() == singular)
    }
}

/// So many in so long: `5/10 seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    amount: u32,
    multiple: u32,
    unit: Unit,
}

impl Quota {
    const LONGEST_SECONDS: u64 = 100 * Unit::Year.seconds();

    /// A quota; nothing if its window is zero or above a hundred years.
    pub fn new(amount: u32, multiple: u32, unit: Unit) -> Option<Self> {
        let seconds = u64::from(multiple) * unit.seconds();
        (1..=Self::LONGEST_SECONDS).contains(&seconds).then_some(Self { amount, multiple, unit })
    }

    /// How many; zero denies all.
    pub const fn amount(self) -> u32 {
        self.amount
    }

    /// In how many seconds; at least one.
    pub const fn seconds(self) -> u64 {
        // At most LONGEST_SECONDS, checked by `new`.
        self.multiple as u64 * self.unit.seconds()
    }

    /// In how long; at least a second.
    pub const fn window(self) -> Duration {
        Duration::from_secs(self.seconds())
    }

    /// The same window with `factor` times as many; saturates.
    #[must_use]
    pub const fn times(self, factor: u32) -> Self {
        Self { amount: self.amount.saturating_mul(factor), ..self }
    }

    /// As part of a policy's name: `10-per-minute`, `5-per-10-seconds`.
    pub fn slug(self) -> String {
        let Self { amount, multiple, unit } = self;
        match multiple {
            1 => format!("{amount}-per-{}", unit.as_str()),
            _ => format!("{amount}-per-{multiple}-{}s", unit.as_str()),
        }
    }
}

/// As clients are told: `10 per 1 minute`.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {} {}", self.amount, self.multiple, self.unit.as_str())
    }
}

/// One quota or several, all of which must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quotas(Vec<Quota>);

impl Quotas {
    /// The quotas, at least one, as written.
    pub fn as_slice(&self) -> &[Quota] {
        &self.0
    }

    /// Each with `factor` times as many; saturates.
    #[must_use]
    pub fn times(&self, factor: u32) -> Self {
        Self(self.0.iter().map(|quota| quota.times(factor)).collect())
    }
}

impl From<Quota> for Quotas {
    fn from(quota: Quota) -> Self {
        Self(vec![quota])
    }
}

/// Why a text is no quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaFault {
    /// An amount that cannot be counted to.
    #[error("the amount `{0}` is too large; at most 4294967295 is counted")]
    Amount(String),
    /// Not of the form `N/unit`.
    #[error("`{0}` is not a quota such as `10/minute` or `5 per 10 seconds`")]
    Malformed(String),
    /// A word that is no unit.
    #[error("`{word}` is not a unit of time{}", suggest(.suggestion))]
    Unit {
        /// As written.
        word: String,
        /// What was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A window that no gateway will live to see.
    #[error("the window `{0}` is too long; at most 100 years are counted")]
    Window(String),
}

fn suggest(suggestion: &Option<&'static str>) -> String {
    match suggestion {
        Some(unit) => format!("; did you mean `{unit}`?"),
        None => "; units are second, minute, hour, day, month and year".to_owned(),
    }
}

impl FromStr for Quotas {
    type Err = QuotaFault;

    fn from_str(text: &str) -> Result<Self, QuotaFault> {
        let mut parts = text.split([',', ';', '|']).peekable();
        let mut quotas = Vec::new();
        while let Some(part) = parts.next() {
            let part = match parts.peek() {
                Some(_) => part.strip_suffix(':').unwrap_or(part),
                None => part,
            };
            quotas.push(parse_one(part)?);
        }
        Ok(Self(quotas))
    }
}

fn parse_one(part: &str) -> Result<Quota, QuotaFault> {
    let malformed = || QuotaFault::Malformed(part.trim_matches(is_space).to_owned());
    let mut rest = Rest(part);
    rest.take_while(is_space);
    let amount = rest.take_while(|c| c.is_ascii_digit());
    rest.take_while(is_space);
    if amount.is_empty() || !(rest.take_prefix("/") || rest.take_prefix("per")) {
        return Err(malformed());
    }
    rest.take_while(is_space);
    let multiple = rest.take_while(|c| c.is_ascii_digit());
    rest.take_while(is_space);
    let word = rest.take_while(|c| c.is_alphabetic());
    rest.take_while(is_space);
    if word.is_empty() || !rest.0.is_empty() {
        return Err(malformed());
    }
    let unit = Unit::find(word).ok_or_else(|| QuotaFault::Unit {
        word: word.to_owned(),
        suggestion: nearest_unit(word),
    })?;
    let amount = number(amount).ok_or_else(|| QuotaFault::Amount(amount.to_owned()))?;
    let too_long = || QuotaFault::Window(format!("{multiple} {word}"));
    let multiple = match multiple {
        "" => 1,
        digits => number(digits).ok_or_else(too_long)?.max(1),
    };
    Quota::new(amount, multiple, unit).ok_or_else(too_long)
}

struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let end = self.0.find(|c| !wanted(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn take_prefix(&mut self, word: &str) -> bool {
        match self.0.split_at_checked(word.len()) {
            Some((head, rest)) if head.eq_ignore_ascii_case(word) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }
}

// Python's `\s`: Unicode white space and the four ASCII separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn number(digits: &str) -> Option<u32> {
    match digits.trim_start_matches('0') {
        "" => Some(0),
        significant => significant.parse().ok(),
    }
}

fn nearest_unit(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let unit = match word.as_str() {
        "s" | "sec" | "secs" => Unit::Second,
        "m" | "min" | "mins" => Unit::Minute,
        "h" | "hr" | "hrs" => Unit::Hour,
        "d" => Unit::Day,
        "w" | "week" | "weeks" => return Some("7 days"),
        "mo" | "mon" => Unit::Month,
        "y" | "yr" | "yrs" => Unit::Year,
        other => Unit::ALL
            .into_iter()
            .find(|unit| strsim::damerau_levenshtein(unit.as_str(), other) <= 2)?,
    };
    Some(unit.as_str())
}

#[cfg(test)]
mod tests;
