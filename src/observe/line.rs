//! Times and durations as they stand in log lines, written straight into a buffer.

use std::time::Duration;

use time::OffsetDateTime;

use crate::model::{Timestamp, push_digits};

/// The last `WIDTH` digits of a number.
fn push_padded<const WIDTH: usize>(mut number: u32, line: &mut Vec<u8>) {
    let mut digits = [b'0'; WIDTH];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    line.extend_from_slice(&digits);
}

/// Milliseconds, with three digits behind the point.
pub(super) fn push_milliseconds(time: Duration, line: &mut Vec<u8>) {
    push_digits(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), line);
    line.push(b'.');
    push_padded::<3>(time.subsec_micros() % 1000, line);
}

/// In UTC, to the millisecond (RFC 3339); nothing for a time that has no such form.
pub(super) fn push_rfc3339(time: Timestamp, line: &mut Vec<u8>) {
    let micros = i128::from(time.micros());
    let Ok(date) = OffsetDateTime::from_unix_timestamp_nanos(micros * 1000) else { return };
    let (year, month, day) = date.to_calendar_date();
    let (hour, minute, second, micro) = date.to_hms_micro();
    let Ok(year) = u32::try_from(year) else { return };
    push_padded::<4>(year, line);
    line.push(b'-');
    push_padded::<2>(u8::from(month).into(), line);
    line.push(b'-');
    push_padded::<2>(day.into(), line);
    line.push(b'T');
    push_padded::<2>(hour.into(), line);
    line.push(b':');
    push_padded::<2>(minute.into(), line);
    line.push(b':');
    push_padded::<2>(second.into(), line);
    line.push(b'.');
    push_padded::<3>(micro / 1000, line);
    line.push(b'Z');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{format_description::well_known::Rfc3339, macros::format_description};

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_duration_is_told_to_the_microsecond() {
        let told = |micros| written(|line| push_milliseconds(Duration::from_micros(micros), line));
        assert_eq!(told(1234), "1.234");
        assert_eq!(told(7), "0.007");
        assert_eq!(told(61_000_050), "61000.050");
    }

    #[test]
    fn a_time_before_the_epoch_and_one_that_is_no_date_are_no_panic() {
        let told = |time| written(|line| push_rfc3339(time, line));
        assert_eq!(told(Timestamp::from_micros(-1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(told(Timestamp::MAX), "");
    }

    proptest! {
        #[test]
        fn a_time_is_read_back_to_the_millisecond(micros in 0..4_102_444_800_000_000_i64) {
            let line = written(|line| push_rfc3339(Timestamp::from_micros(micros), line));
            let read = OffsetDateTime::parse(&line, &Rfc3339).unwrap();
            prop_assert_eq!(read.unix_timestamp_nanos(), i128::from(micros / 1000) * 1_000_000);
            let form = format_description!(
                "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
            );
            prop_assert_eq!(read.format(form).unwrap(), line);
        }
    }
}
