//! What holds whatever a client sends.

use proptest::prelude::*;

use super::*;
use crate::policy::forward::told_by_route;

/// Names of the identity set and near it, spelled by any separator in any case.
fn header_name() -> impl Strategy<Value = String> {
    let stems = prop::sample::select(vec![
        "x-user-id",
        "x-user-roles",
        "x-user-permissions",
        "x-auth-method",
        "x-tenant",
        "x-remote-user",
        "remote-user",
        "x-forwarded-user",
        "x-forwarded-for",
        "connection",
        "x-real-ip",
        "authorization",
        "x-api-key",
        "x-version",
        "x-account",
        "accept",
    ]);
    let separators = prop::collection::vec(prop::sample::select(b"!#$%&'*+-.^_`|~".to_vec()), 3);
    (stems, separators, any::<u16>()).prop_map(|(stem, separators, cases)| {
        let mut separators = separators.into_iter().cycle();
        stem.chars()
            .enumerate()
            .map(|(at, c)| match c {
                '-' => separators.next().map_or('-', char::from),
                c if cases >> (at % 16) & 1 == 1 => c.to_ascii_uppercase(),
                c => c,
            })
            .collect()
    })
}

fn header_lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let value = prop_oneof![
        Just("spoofed".to_owned()),
        prop::collection::vec(header_name(), 0..4).prop_map(|names| names.join(", ")),
    ];
    prop::collection::vec((header_name(), value), 0..12)
}

/// A name as a WSGI server hands it to its application (PEP 3333), which is judged by: upper
/// case, everything but letters and digits an underscore.
fn environ_key(name: &HeaderName) -> String {
    let upper = name.as_str().to_uppercase();
    upper.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_client_sends_an_application_reads_only_what_the_gateway_set(
        lines in header_lines(),
        known in any::<bool>(),
        trusted in any::<bool>(),
    ) {
        let lines: Vec<_> = lines.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let received = headers(&lines);
        let alice = alice(json!({"tenant": "acme"}));
        let facts = RequestFacts { peer_trusted: trusted, ..facts(&received) };
        let scope = scope(known.then_some(&alice), &facts, &[] as &[(&str, &str); 0]);
        let terms = HeaderTerms {
            set: pairs(&[("X-Version", "2"), ("X-Account", "{claims.tenant}")]),
            ..HeaderTerms::default()
        };
        let told = told_by_route(&terms).cloned().collect();
        let identity = IdentityTerms::new(IdentityDefinition {
            headers: identity().headers().to_vec(),
            told_elsewhere: told,
            ..IdentityDefinition::default()
        });
        let plan = plan(&route(token_and_key()), &forwarding(terms), &identity, &scope, None, None);
        let headers = plan.apply(&received);
        let read = |key: &str| -> Vec<String> {
            let lines = headers.iter().filter(|(name, _)| environ_key(name) == key);
            lines.map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
        };
        let told = |value: &str| if known { vec![value.to_owned()] } else { vec![] };
        prop_assert_eq!(read("X_USER_ID"), told("alice"));
        prop_assert_eq!(read("X_USER_ROLES"), told("user"));
        prop_assert_eq!(read("X_USER_PERMISSIONS"), told("read:items"));
        prop_assert_eq!(read("X_AUTH_METHOD"), told("jwt"));
        prop_assert_eq!(read("X_TENANT"), told("acme"));
        prop_assert_eq!(read("X_ACCOUNT"), told("acme"));
        prop_assert_eq!(read("X_VERSION"), vec!["2".to_owned()]);
        prop_assert_eq!(read("X_REAL_IP"), vec!["192.0.2.1".to_owned()]);
        prop_assert_eq!(read("X_FORWARDED_FOR"), vec!["192.0.2.1".to_owned()]);
        for never in ["X_REMOTE_USER", "REMOTE_USER", "X_FORWARDED_USER", "AUTHORIZATION",
            "CONNECTION"]
        {
            prop_assert!(read(never).is_empty(), "{}", never);
        }
    }
}
