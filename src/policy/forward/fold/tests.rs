//! Tests of which spellings of which names no client may send.

use super::*;

fn name(text: &str) -> HeaderName {
    HeaderName::from_bytes(text.as_bytes()).unwrap()
}

fn template(text: &str) -> Template {
    Template::parse::<&str>(text, &[]).unwrap()
}

fn terms() -> IdentityTerms {
    IdentityTerms::new(IdentityDefinition {
        assertion: None,
        headers: vec![(name("X-Who"), template("{principal.subject}"))],
        accept: vec![name("X-Remote-Addr"), name("X-Forwarded-User"), name("X-Who")],
        strip: vec![name("X-Secret-Sauce")],
        told_elsewhere: vec![name("X_Tenant")],
    })
}

fn fate(text: &str) -> Option<Strip> {
    terms().strip(&name(text), &HeaderTerms::default(), false)
}

/// The separators that a header name may hold (RFC 9110, section 5.6.2).
const TOKEN_SEPARATORS: &str = "!#$%&'*+-.^_`|~";

/// Every spelling of a name by one other separator, in three letter cases.
fn spellings(text: &str) -> Vec<HeaderName> {
    let mut spellings = Vec::new();
    for separator in (0x21..=0x7e_u8).map(char::from).filter(|c| !c.is_ascii_alphanumeric()) {
        for cased in [text.to_lowercase(), text.to_uppercase(), mixed(text)] {
            let spelled = cased.replace('-', &separator.to_string());
            let parsed = HeaderName::from_bytes(spelled.as_bytes());
            assert_eq!(
                parsed.is_ok(),
                TOKEN_SEPARATORS.contains(separator) || !text.contains('-'),
                "{spelled}"
            );
            spellings.extend(parsed);
        }
    }
    spellings
}

fn mixed(text: &str) -> String {
    let flip = |(at, c): (usize, char)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c };
    text.chars().enumerate().map(flip).collect()
}

/// The identity set, written out independently of the tables that are tested.
const IDENTITY_SAMPLES: &str = "x-user x-user-id x-user-roles x-user-email x-username x-userinfo \
    x-auth-user x-auth-method x-auth-request-email x-authenticated-userid \
    x-forwarded-user x-forwarded-email x-forwarded-groups x-forwarded-preferred-username \
    x-forwarded-access-token x-consumer-id x-consumer-custom-id x-credential-identifier \
    x-anonymous-consumer x-remote-user x-remote-group remote-user remote-groups x-identity-assertion \
    x-id-token x-client-cert x-client-cert-dn x-forwarded-client-cert x-ssl-client-cert \
    x-ssl-client-s-dn ssl-client-verify x-pomerium-jwt-assertion x-pomerium-claim-email \
    x-goog-iap-jwt-assertion x-goog-authenticated-user-email x-amzn-oidc-data \
    x-amzn-oidc-identity cf-access-jwt-assertion cf-access-authenticated-user-email \
    x-ms-client-principal x-ms-client-principal-id";

#[test]
fn no_spelling_of_an_identity_name_passes() {
    let terms = IdentityTerms::default();
    for sample in IDENTITY_SAMPLES.split_whitespace() {
        for spelling in spellings(sample) {
            for trusted in [false, true] {
                let fate = terms.strip(&spelling, &HeaderTerms::default(), trusted);
                assert_eq!(fate, Some(Strip::Identity), "{spelling}");
            }
        }
    }
}

#[test]
fn no_spelling_of_a_name_that_the_gateway_sets_passes_not_even_an_accepted_one() {
    for owned in ["x-who", "x-secret-sauce", "x-tenant"] {
        for spelling in spellings(owned) {
            assert_eq!(fate(spelling.as_str()), Some(Strip::Identity), "{spelling}");
        }
    }
}

#[test]
fn an_accepted_name_passes_in_its_own_spelling_only() {
    assert_eq!(fate("X-Remote-Addr"), None);
    assert_eq!(fate("X_Remote_Addr"), Some(Strip::Identity));
    assert_eq!(fate("X-Remote-User"), Some(Strip::Identity));
    // Although it begins like the forwarding set.
    assert_eq!(fate("X-Forwarded-User"), None);
    assert_eq!(fate("X-Forwarded_User"), Some(Strip::Identity));
}

#[test]
fn the_forwarding_set_is_taken_from_a_trusted_proxy_in_its_exact_spelling() {
    let terms = terms();
    for sample in "x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port \
        x-forwarded-prefix x-forwarded-uri x-forwarded-method forwarded x-real-ip x-original-url \
        x-original-forwarded-for x-rewrite-url proxy"
        .split_whitespace()
    {
        for spelling in spellings(sample) {
            let route = HeaderTerms::default();
            let exact = spelling.as_str() == sample;
            assert_eq!(terms.strip(&spelling, &route, false), Some(Strip::Forwarding));
            let trusted = terms.strip(&spelling, &route, true);
            assert_eq!(trusted, (!exact).then_some(Strip::Forwarding), "{spelling}");
        }
    }
}

#[test]
fn another_spelling_of_a_name_that_matters_is_removed() {
    for sample in ["content-length", "transfer-encoding", "x-request-id"] {
        for spelling in spellings(sample) {
            let alias = spelling.as_str() != sample;
            assert_eq!(fate(spelling.as_str()), alias.then_some(Strip::Alias), "{spelling}");
        }
    }
    for exact in ["authorization", "Cookie", "HOST", "Connection"] {
        assert_eq!(fate(exact), None, "{exact}");
    }
}

#[test]
fn another_spelling_of_what_the_route_sets_is_removed_on_that_route() {
    let route = HeaderTerms {
        set: vec![(name("X-Api-Version"), template("2")), (name("odd_name"), template("2"))],
        add: vec![(name("X-More"), template("1"))],
        remove: vec![],
        read: vec![],
    };
    let fate = |text: &str| terms().strip(&name(text), &route, false);
    assert_eq!(fate("x_api_version"), Some(Strip::Alias));
    assert_eq!(fate("x.api-version"), Some(Strip::Alias));
    assert_eq!(fate("X-API-Version"), None);
    assert_eq!(fate("odd-name"), Some(Strip::Alias));
    assert_eq!(fate("odd_name"), None);
    assert_eq!(fate("x_more"), None);
    assert_eq!(super::super::fold::tests::fate("x_api_version"), None);
}

#[test]
fn another_spelling_of_what_the_routes_rules_read_is_removed_on_that_route() {
    let route = HeaderTerms { read: vec![name("X-Tenant")], ..HeaderTerms::default() };
    let fate = |text: &str| IdentityTerms::default().strip(&name(text), &route, false);
    assert_eq!(fate("x_tenant"), Some(Strip::Alias));
    assert_eq!(fate("x.tenant"), Some(Strip::Alias));
    assert_eq!(fate("X-Tenant"), None);
}

#[test]
fn ordinary_headers_pass() {
    for text in "accept accept-encoding user-agent content-type content-length referer origin \
        cache-control if-none-match range x-user-agent x-auth-token x-auth-key x-requested-with \
        x-csrf-token x-api-key x-tenant-id x-users x-authority x-remote forward remote x-forwarded \
        proxy-status sec-websocket-key traceparent x_custom_header x-http-method idempotency-key"
        .split_whitespace()
    {
        assert_eq!(fate(text), None, "{text}");
    }
}

#[test]
fn a_long_name_is_folded_whole() {
    let long = format!("X-User-{}", "a".repeat(500));
    assert_eq!(fate(&long), Some(Strip::Identity));
    let owned = "a".repeat(300) + "_b";
    let terms = IdentityTerms::new(IdentityDefinition {
        strip: vec![name(&owned)],
        ..IdentityDefinition::default()
    });
    let alias = "A".repeat(300) + ".B";
    let fate = terms.strip(&name(&alias), &HeaderTerms::default(), false);
    assert_eq!(fate, Some(Strip::Identity));
}

#[test]
fn a_route_tells_what_it_sets_and_adds_of_its_principal() {
    let route = HeaderTerms {
        set: vec![(name("a"), template("{claims.t}")), (name("b"), template("{client.ip}"))],
        add: vec![(name("c"), template("x {principal.plan}")), (name("d"), template("x"))],
        remove: vec![name("e")],
        read: vec![],
    };
    assert_eq!(told_by_route(&route).collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn a_client_cannot_nominate_what_frames_the_message() {
    for text in ["Content-Length", "transfer_encoding", "HOST"] {
        assert!(!may_be_nominated(text.as_bytes()), "{text}");
    }
    for text in ["x-foo", "keep-alive", ""] {
        assert!(may_be_nominated(text.as_bytes()), "{text}");
    }
}
