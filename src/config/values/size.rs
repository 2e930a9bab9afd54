//! Amounts of bytes.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{ValueFault, Written, written};

/// An amount of bytes: `512B`, `64KiB`, `10MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    /// Units of 1024 bytes.
    pub const fn kib(number: u64) -> Self {
        Self(number << 10)
    }

    /// Units of 1024 × 1024 bytes.
    pub const fn mib(number: u64) -> Self {
        Self(number << 20)
    }
}

impl Written for Size {
    const FORMAT: &'static str = "byte-size";
    const EXPECTS: &'static str = "a size such as `512B`, `64KiB` or `10MiB`";
    const PATTERN: Option<&'static str> = Some("^[0-9]+(B|KiB|MiB|GiB)$");

    fn read(text: &str) -> Result<Self, ValueFault> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, written) = text.split_at(digits);
        if number.is_empty() {
            return Err(ValueFault::malformed());
        }
        let Some((_, unit)) = UNITS.into_iter().find(|(name, _)| *name == written) else {
            return Err(ValueFault::because("a size needs a unit of `B`, `KiB`, `MiB` or `GiB`")
                .help("units are powers of 1024: `64KiB` is 65536 bytes"));
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .filter(|bytes| *bytes <= 1 << 40)
            .map(Self)
            .ok_or_else(|| ValueFault::because("a size is at most 1024GiB"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.into_iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        let (name, unit) = unit.unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

written!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_counts_in_powers_of_1024() {
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("10MiB", 10_485_760), ("0B", 0)] {
            assert_eq!(Size::read(text).unwrap(), Size(bytes));
            assert_eq!(Size(bytes).to_string(), text);
        }
        for text in ["", "10", "10KB", "10 KiB", "-1B", "KiB", "99999999999GiB"] {
            assert!(Size::read(text).is_err(), "{text}");
        }
    }
}
