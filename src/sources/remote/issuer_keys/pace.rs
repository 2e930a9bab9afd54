//! When an issuer is asked for its keys.

use std::time::Duration;

use http::{HeaderMap, header};

/// Between two fetches there is at least this much time, whatever asks for them.
pub(super) const SPACING: Duration = Duration::from_secs(30);

/// How long to wait after a fetch before the next. `age` is how long the issuer says that its
/// answer may be kept, `jitter` a number from 0 to 1: many gateways that start together do not ask
/// together for ever.
pub(super) fn after_success(
    refresh: Duration,
    age: Option<Duration>,
    spacing: Duration,
    jitter: f64,
) -> Duration {
    let longest = age.map_or(refresh, |age| age.min(refresh));
    longest.mul_f64(1.0 - jitter / 10.0).max(spacing)
}

/// The same after a fetch that failed.
pub(super) fn after_failure(spacing: Duration, jitter: f64) -> Duration {
    spacing.mul_f64(1.0 + jitter / 5.0)
}

/// How long an answer may be kept (RFC 9111, section 4.2.1). An issuer that forbids keeping has
/// said nothing of how often it wants to be asked.
pub(super) fn freshness(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    let words = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let mut age = None;
    for word in words {
        let word = word.trim().to_ascii_lowercase();
        if word == "no-cache" || word == "no-store" {
            return None;
        }
        if let Some(seconds) = word.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse::<u64>().ok();
        }
    }
    let spent = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
    let left = age?.saturating_sub(spent.unwrap_or(0));
    (left > 0).then(|| Duration::from_secs(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: Duration = Duration::from_secs(600);

    fn seconds(age: Option<u64>, jitter: f64) -> u64 {
        let age = age.map(Duration::from_secs);
        after_success(REFRESH, age, SPACING, jitter).as_secs()
    }

    #[test]
    fn the_shorter_of_the_issuers_and_our_own_word_counts_but_never_below_the_spacing() {
        assert_eq!(seconds(None, 0.0), 600);
        assert_eq!(seconds(Some(86_400), 0.0), 600);
        assert_eq!(seconds(Some(120), 0.0), 120);
        assert_eq!(seconds(Some(1), 0.0), 30);
        assert_eq!(seconds(None, 1.0), 540);
        assert_eq!(seconds(Some(31), 1.0), 30);
        assert_eq!(after_failure(SPACING, 0.0), SPACING);
        assert_eq!(after_failure(SPACING, 1.0), Duration::from_secs(36));
    }

    #[test]
    fn freshness_is_max_age_less_age() {
        let read = |lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            freshness(&headers).map(|age| age.as_secs())
        };
        assert_eq!(read(&[("cache-control", "public, Max-Age=300, must-revalidate")]), Some(300));
        assert_eq!(
            read(&[("cache-control", "public"), ("cache-control", "max-age=\"60\"")]),
            Some(60)
        );
        assert_eq!(read(&[("cache-control", "max-age=300"), ("age", "100")]), Some(200));
        for none in [
            "no-cache",
            "max-age=300, no-store",
            "max-age=0",
            "max-age=-1",
            "max-age=x",
            "s-maxage=9",
        ] {
            assert_eq!(read(&[("cache-control", none)]), None, "{none}");
        }
        assert_eq!(read(&[("cache-control", "max-age=300"), ("age", "900")]), None);
        assert_eq!(read(&[]), None);
    }
}
