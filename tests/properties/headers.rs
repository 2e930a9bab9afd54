//! What an app is told of the principal.

use proptest::{collection::vec, prelude::*, sample::select};

use portcullis::policy::Verdict;

use super::{
    cases,
    gate::{Ask, Gate, NOW},
    world::{key, sha256},
};

/// Names of the identity set and forwarding headers, in their canonical form.
const TRUSTED: [&str; 7] = [
    "x-user-id",
    "x-user-roles",
    "x-user-permissions",
    "x-auth-method",
    "x-tenant",
    "x-forwarded-for",
    "x-real-ip",
];

/// What may stand between the words of a header's name (RFC 9110, section 5.6.2).
const SEPARATORS: &[u8] = b"!#$%&'*+-.^_`|~";

fn yaml() -> String {
    format!(
        "upstreams: {{ app: {{ builtin: echo }} }}
authentication: {{ api_keys: {{ header: X-API-Key, keys: [{{ id: k0, sha256: {}, subject: p0, roles: [a, b], permissions: [read] }}] }} }}
identity:
  headers: {{ X-User-Id: '{{principal.subject}}', X-User-Roles: '{{principal.roles}}', X-User-Permissions: '{{principal.permissions}}', X-Auth-Method: '{{principal.method}}', X-Tenant: '{{claims.tenant}}' }}
routes:
  - {{ name: known, match: {{ path: /known }}, upstream: app, auth: [api_key] }}
  - {{ name: maybe, match: {{ path: /maybe }}, upstream: app, auth: {{ optional: [api_key] }} }}
  - {{ name: public, match: {{ path: /public }}, upstream: app, auth: none }}
",
        sha256(&key(0)),
    )
}

/// What an app may take a name for: letters and digits count, the rest is one separator (PEP 3333 and others).
fn taken_for(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect()
}

fn spelled() -> impl Strategy<Value = String> {
    let separators = vec(select(SEPARATORS), 3);
    (select(&TRUSTED[..]), separators, any::<u32>()).prop_map(|(name, separators, upper)| {
        let mut separators = separators.into_iter();
        let spell = |(at, c): (usize, char)| match c {
            '-' => char::from(separators.next().unwrap()),
            c if upper >> at & 1 == 1 => c.to_ascii_uppercase(),
            c => c,
        };
        name.chars().enumerate().map(spell).collect()
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn an_app_hears_of_a_principal_from_the_gateway_alone(
        path in select(vec!["/known", "/maybe", "/public"]),
        with_key in any::<bool>(),
        lines in vec((spelled(), select(vec!["spoofed", "p0", "admin", ""])), 0..10),
        nominated in vec(spelled(), 0..3),
    ) {
        let mut ask = Ask::get(path);
        for (name, value) in &lines {
            ask = ask.header(name, value);
        }
        if !nominated.is_empty() {
            ask = ask.header("connection", &nominated.join(", "));
        }
        if with_key {
            ask = ask.header("x-api-key", &key(0));
        }
        let gate = Gate::of(&yaml());
        let decision = gate.live(&ask, NOW);
        let Verdict::Forward(permit) = &decision.verdict else {
            prop_assert!(path == "/known" && !with_key, "{:?}", decision.verdict);
            return Ok(());
        };
        let known = with_key && path != "/public";
        let sent = permit.plan().apply(&ask.headers);
        let expected = |name: &str| match name {
            "x-user-id" => known.then_some("p0"),
            "x-user-roles" => known.then_some("a,b"),
            "x-user-permissions" => known.then_some("read"),
            "x-auth-method" => known.then_some("api_key"),
            "x-forwarded-for" | "x-real-ip" => Some("192.0.2.1"),
            // No claim, no header.
            _ => None,
        };
        for (name, value) in &sent {
            let taken = taken_for(name.as_str());
            if TRUSTED.contains(&taken.as_str()) {
                prop_assert_eq!(name.as_str(), taken.as_str(), "an alias went upstream");
                prop_assert_eq!(Some(value.to_str().unwrap()), expected(&taken), "{}", name);
            }
        }
        for name in TRUSTED {
            let count = sent.get_all(name).iter().count();
            prop_assert_eq!(count, usize::from(expected(name).is_some()), "{}", name);
        }
        prop_assert!(path == "/public" || !sent.contains_key("x-api-key"), "the key went upstream");
    }
}
