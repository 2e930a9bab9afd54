use super::*;

fn parse(text: &str) -> Result<Quotas, QuotaFault> {
    text.parse()
}

fn unescape(text: &str) -> String {
    let mut parts = text.split("\\u{");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('}').unwrap();
        plain.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        plain.push_str(rest);
    }
    plain
}

#[test]
fn every_text_means_what_it_means_to_the_limits_library() {
    let mut rows = 0;
    let lines = include_str!("corpus.txt").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let (expected, text) = line.split_once('\t').unwrap();
        let text = unescape(text.strip_prefix('[').unwrap().strip_suffix(']').unwrap());
        let found = match parse(&text) {
            Ok(quotas) => {
                let each = quotas.as_slice().iter();
                let each = each.map(|quota| format!("{}x{}", quota.amount(), quota.seconds()));
                each.collect::<Vec<_>>().join(" ")
            }
            Err(_) => "-".to_owned(),
        };
        assert_eq!(found, expected, "{text:?}");
        rows += 1;
    }
    assert!(rows > 2000);
}

#[test]
fn a_quota_is_told_to_clients_in_words() {
    for (text, words, slug) in [
        ("10/minute", "10 per 1 minute", "10-per-minute"),
        ("5/10 SECONDS", "5 per 10 second", "5-per-10-seconds"),
        ("1 per 2days", "1 per 2 day", "1-per-2-days"),
    ] {
        let quota = parse(text).unwrap().as_slice()[0];
        assert_eq!(quota.to_string(), words);
        assert_eq!(quota.slug(), slug);
    }
}

#[test]
fn a_wrong_unit_is_answered_with_the_right_one() {
    for (text, unit) in [
        ("10/min", "minute"),
        ("10/sec", "second"),
        ("10/m", "minute"),
        ("10/hr", "hour"),
        ("10/week", "7 days"),
        ("10/mintue", "minute"),
        ("10/montsh", "month"),
    ] {
        let fault = parse(text).unwrap_err().to_string();
        assert!(fault.contains(&format!("did you mean `{unit}`?")), "{fault}");
    }
    let fault = parse("10/fortnight").unwrap_err().to_string();
    assert!(fault.contains("units are second,"), "{fault}");
}

#[test]
fn what_cannot_be_counted_is_a_fault() {
    assert!(parse("4294967295/second").is_ok());
    assert!(matches!(parse("4294967296/second"), Err(QuotaFault::Amount(_))));
    assert!(parse("1/100 years").is_ok());
    assert!(matches!(parse("1/101 years"), Err(QuotaFault::Window(_))));
    assert!(matches!(parse("1/99999999999999999999 seconds"), Err(QuotaFault::Window(_))));
    assert!(Quota::new(1, 0, Unit::Day).is_none());
}

#[test]
fn ten_times_a_quota_has_the_same_window() {
    let ten = parse("5/minute; 1/day").unwrap().times(10);
    assert_eq!(ten, parse("50/minute; 10/day").unwrap());
    assert_eq!(parse("4294967295/day").unwrap().times(10), parse("4294967295/day").unwrap());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = parse(&text);
    }

    #[test]
    fn what_clients_are_told_can_be_written(amount: u32, multiple in 1..100u32, unit in 0..6usize) {
        let quota = Quota::new(amount, multiple, Unit::ALL[unit]).unwrap();
        proptest::prop_assert_eq!(parse(&quota.to_string()).unwrap(), quota.into());
    }
}
