//! Lists and digests as they stand in a column.

use sqlx::{Row as _, any::AnyRow};

use super::StoreFault;
use crate::model::Timestamp;

/// A list as JSON.
pub(super) fn written<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items = items.into_iter().map(|item| serde_json::Value::from(item.as_ref()));
    serde_json::Value::Array(items.collect()).to_string()
}

/// The list that a column holds.
pub(super) fn read<T>(
    text: &str,
    what: &'static str,
    item: impl Fn(String) -> Option<T>,
) -> Result<Vec<T>, StoreFault> {
    // The usual column, without a parser.
    if text == "[]" {
        return Ok(Vec::new());
    }
    let items: Option<Vec<String>> = serde_json::from_str(text).ok();
    let items: Option<Vec<T>> = items.and_then(|items| items.into_iter().map(item).collect());
    items.ok_or(StoreFault::Unreadable { what })
}

/// A digest in hexadecimal.
pub(super) fn hex(digest: &[u8; 32]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The digest that stands there in hexadecimal.
pub(super) fn digest(text: &str, what: &'static str) -> Result<[u8; 32], StoreFault> {
    let fault = || StoreFault::Unreadable { what };
    let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| fault())?;
    let value = |digit: u8| char::from(digit).to_digit(16);
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return Err(fault()) };
        let (high, low) = (value(*high).ok_or_else(fault)?, value(*low).ok_or_else(fault)?);
        *byte = u8::try_from(high * 16 + low).map_err(|_| fault())?;
    }
    Ok(out)
}

/// A time that may be absent.
pub(super) fn time(row: &AnyRow, column: usize) -> Result<Option<Timestamp>, StoreFault> {
    let seconds: Option<i64> = row.try_get(column)?;
    Ok(seconds.map(Timestamp::from_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_and_a_digest_come_back_as_they_went() {
        let list = written(["a\"b", "c"]);
        assert_eq!(read(&list, "list", Some).unwrap(), ["a\"b", "c"]);
        assert!(read("{}", "list", Some).is_err());
        let bytes: [u8; 32] = std::array::from_fn(|at| (at * 7) as u8);
        assert_eq!(digest(&hex(&bytes), "digest").unwrap(), bytes);
        assert!(digest("zz", "digest").is_err());
        assert!(digest(&"g".repeat(64), "digest").is_err());
    }
}
