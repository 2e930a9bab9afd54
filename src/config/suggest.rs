//! Did you mean …?

use std::borrow::Cow;

/// The known word that a mistyped one is nearest to, if any is near: at most a third of its
/// letters differ.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = Cow<'a, str>>) -> Option<Cow<'a, str>> {
    // Bounded work: the distance is quadratic in the length of the words.
    if word.is_empty() || word.len() > 64 {
        return None;
    }
    let folded = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = folded(word);
    known
        .filter(|candidate| candidate.len() <= 64)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &folded(&candidate)), candidate))
        .filter(|(distance, candidate)| distance * 3 <= word.len().max(candidate.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(word: &str) -> Option<String> {
        let known = ["rate_limit", "response", "request", "roles"];
        nearest(word, known.into_iter().map(Cow::Borrowed)).map(Cow::into_owned)
    }

    #[test]
    fn a_near_miss_finds_its_word() {
        assert_eq!(near("ratelimit").as_deref(), Some("rate_limit"));
        assert_eq!(near("rate-limit").as_deref(), Some("rate_limit"));
        assert_eq!(near("rolse").as_deref(), Some("roles"));
        assert_eq!(near("Respones").as_deref(), Some("response"));
    }

    #[test]
    fn a_word_far_from_all_finds_none() {
        assert_eq!(near("banana"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"r".repeat(10_000)), None);
    }
}
