//! Which tokens go to their issuer, and which to the provider that is asked.

use std::sync::OnceLock;

use super::{
    introspection::{IntrospectionTerms, ScopeRule},
    *,
};

/// A provider that nobody can reach: whatever goes to it is 503.
fn provider() -> Arc<IntrospectionTerms> {
    Arc::new(IntrospectionTerms {
        name: "partner".into(),
        url: "https://id.example.com/introspect".into(),
        client_id: "gw".into(),
        client_secret: Secret::new("secret"),
        cache: Duration::ZERO,
        timeout: Duration::from_secs(1),
        issuer: None,
        audiences: vec![],
        claims: ClaimPaths::default(),
        scope: ScopeRule::Fallback,
        grants: None,
        fingerprint: OnceLock::new(),
    })
}

fn asking(issuers: Vec<IssuerTerms>) -> Bench {
    let mut bench = Bench::new(issuers, vec![]);
    let issuers = bench.policy.issuers.clone();
    let mut rule = JwtRule::of(issuers);
    rule.ask(provider());
    bench.methods = vec![Method::Jwt(rule)];
    bench
}

fn corp() -> Vec<IssuerTerms> {
    vec![issuer("corp", Some(CORP), SECRET)]
}

async fn goes_to_the_provider(bench: Bench) -> bool {
    matches!(bench.refusal().await, Denial::Unavailable(_))
}

#[tokio::test]
async fn a_token_of_a_listed_issuer_is_no_matter_of_the_provider() {
    assert_eq!(asking(corp()).bearer(&signed(&claims())).who().await.unwrap(), "corp alice");
    let forged = signed_text(r#"{"alg":"HS256"}"#, &claims().to_string(), OTHER_SECRET);
    assert_eq!(asking(corp()).bearer(&forged).fault().await, TokenFault::Signature);
    let late = signed(&changed("exp", json!(NOW - 3600)));
    assert_eq!(asking(corp()).bearer(&late).fault().await, TokenFault::Expired);
}

#[tokio::test]
async fn whatever_no_listed_issuer_takes_goes_to_the_provider() {
    let stranger = signed(&changed("iss", json!("https://else.example/")));
    let twice = signed(&changed("iss", json!([CORP, "https://else.example/"])));
    let nameless = signed(&without("iss"));
    let critical =
        signed_text(r#"{"alg":"HS256","crit":["x"],"x":1}"#, &claims().to_string(), SECRET);
    let pieces = "a.b.c";
    let opaque = "2YotnFZFEjr1zCsicMWpAA";
    for token in [&*stranger, &twice, &nameless, &critical, pieces, opaque] {
        assert!(goes_to_the_provider(asking(corp()).bearer(token)).await, "{token}");
        assert!(goes_to_the_provider(asking(vec![]).bearer(token)).await, "{token}");
    }
}

#[tokio::test]
async fn an_issuer_without_a_name_takes_what_no_other_claims_before_the_provider() {
    let open = || vec![issuer("open", None, SECRET)];
    let stranger = signed(&changed("iss", json!("https://else.example/")));
    assert_eq!(asking(open()).bearer(&stranger).who().await.unwrap(), "open alice");
    assert!(goes_to_the_provider(asking(open()).bearer("2YotnFZFEjr1zCsicMWpAA")).await);
}

#[tokio::test]
async fn what_is_no_token_at_all_is_refused_without_a_question() {
    for bad in ["", "a b"] {
        let refusal = asking(corp()).bearer(bad).refusal().await;
        let Denial::InvalidToken { fault, kind, .. } = refusal else { panic!("{refusal:?}") };
        assert_eq!((fault, kind), (TokenFault::Malformed, CredentialKind::Introspection));
    }
    let long = "a".repeat(16 * 1024 + 1);
    assert_eq!(asking(corp()).bearer(&long).fault().await, TokenFault::TooLarge);
}

#[tokio::test]
async fn a_provider_is_asked_about_what_stands_in_authorization_alone() {
    let places = vec![TokenPlace::Cookie("session".into())];
    let elsewhere = IssuerTerms { take_from: places, ..issuer("corp", Some(CORP), SECRET) };
    let bench = asking(vec![elsewhere]).with("cookie", "session=2YotnFZFEjr1zCsicMWpAA");
    assert_eq!(bench.fault().await, TokenFault::Place);
    let bench = asking(corp()).with("cookie", "session=2YotnFZFEjr1zCsicMWpAA");
    assert_eq!(bench.who().await, None);
}

#[tokio::test]
async fn two_opaque_tokens_are_ambiguous() {
    let bench = asking(vec![]).bearer("one").bearer("two");
    assert!(matches!(bench.refusal().await, Denial::AmbiguousCredentials { .. }));
}
