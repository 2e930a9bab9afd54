//! Lengths of time and points in time.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{ValueFault, Written, written};
use crate::model::Timestamp;

/// A length of time: `500ms`, `30s`, `10m`, `2h`, `14d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Period {
    /// Ten years: what is longer is a slip, and would overflow dates.
    const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

    /// Whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl Written for Period {
    const FORMAT: &'static str = "duration-text";
    const EXPECTS: &'static str = "a duration such as `500ms`, `30s`, `10m`, `2h` or `14d`";
    const PATTERN: Option<&'static str> = Some("^[0-9]+(ms|s|m|h|d)$");

    fn read(text: &str) -> Result<Self, ValueFault> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if digits > 0 => {
                return Err(ValueFault::because("a duration needs a unit")
                    .help("write the unit too: `ms`, `s`, `m`, `h` or `d`"));
            }
            _ => return Err(ValueFault::malformed()),
        };
        if number.is_empty() {
            return Err(ValueFault::malformed());
        }
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(milliseconds))
            .map(Duration::from_millis)
            .filter(|length| *length <= Self::LONGEST)
            .map(Self)
            .ok_or_else(|| ValueFault::because("a duration is at most 3650d"))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let whole = |size: u128| milliseconds > 0 && milliseconds.is_multiple_of(size);
        match units.into_iter().find(|(_, size)| whole(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", milliseconds / size),
            None if milliseconds == 0 => f.write_str("0s"),
            None => write!(f, "{milliseconds}ms"),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Written for Timestamp {
    const FORMAT: &'static str = "date-time";
    const EXPECTS: &'static str = "a time such as `2030-01-01T00:00:00Z`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| ValueFault::malformed())?;
        let micros = time.unix_timestamp_nanos() / 1_000;
        i64::try_from(micros).map(Self::from_micros).map_err(|_| ValueFault::malformed())
    }
}

written!(Period, Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, milliseconds) in
            [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("2h", 7_200_000), ("0s", 0)]
        {
            let period = Period::read(text).unwrap();
            assert_eq!(period.0.as_millis(), milliseconds, "{text}");
            assert_eq!(period.to_string(), text);
        }
        assert_eq!(Period::read("14d").unwrap().to_string(), "14d");
        for text in ["", "s", "10", "1.5s", "-1s", "1 s", "1h30m", "10S", "99999999999999999d"] {
            assert!(Period::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_may_stand_in_any_zone() {
        let zulu = Timestamp::read("2030-01-01T00:00:00Z").unwrap();
        assert_eq!(zulu.seconds(), 1_893_456_000);
        assert_eq!(Timestamp::read("2030-01-01T01:00:00+01:00").unwrap(), zulu);
        assert!(Timestamp::read("2030-01-01").is_err());
    }
}
