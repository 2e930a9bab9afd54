//! One parameter taken out of a query string, the others left byte for byte.

use crate::policy::authn::parameters;

/// The query without every parameter of this name, however the name is encoded; nothing if there
/// is none. Other parameters keep their bytes and their order.
pub fn without(query: &str, name: &str) -> Option<String> {
    // The same reading by which the credential was found.
    let named = |pair: &&str| parameters(pair).any(|one| one.is_named(name));
    if !query.split('&').any(|pair| named(&pair)) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !named(pair)).collect();
    Some(kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_goes_and_the_others_keep_their_bytes_and_order() {
        for (query, rest) in [
            ("api_key=k", ""),
            ("api_key", ""),
            ("a=1&api_key=k&b=%20+", "a=1&b=%20+"),
            ("api_key=k&a", "a"),
            ("a&&api_key=k&&b=", "a&&&b="),
            ("api%5fkey=k&a=1", "a=1"),
            ("%61pi_key=k&api_key=l&a=1", "a=1"),
        ] {
            assert_eq!(without(query, "api_key").as_deref(), Some(rest), "{query}");
        }
    }

    #[test]
    fn a_query_without_the_parameter_is_left_alone() {
        for query in ["", "a=api_key", "xapi_key=k", "api_key2=k", "API_KEY=k", "a=1&b=2"] {
            assert_eq!(without(query, "api_key"), None, "{query}");
        }
    }
}
