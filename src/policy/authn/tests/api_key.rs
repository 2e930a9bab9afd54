//! API keys.

use super::*;

#[tokio::test]
async fn a_key_is_judged_by_its_state_and_its_networks() {
    let fault = |key: ApiKey| async move {
        let bench =
            Bench::new(vec![], vec![(Digest::of(KEY.as_bytes()), key)]).with("x-api-key", KEY);
        match bench.refusal().await {
            Denial::InvalidApiKey { fault, .. } => fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fault(ApiKey { disabled: true, ..robot() }).await, ApiKeyFault::Disabled);
    let expires = Some(Timestamp::from_seconds(NOW));
    assert_eq!(fault(ApiKey { expires, ..robot() }).await, ApiKeyFault::Expired);
    let networks = ["198.51.100.0/24".parse().unwrap()].into();
    assert_eq!(fault(ApiKey { networks, ..robot() }).await, ApiKeyFault::Network);
    let networks = ["198.51.100.0/24".parse().unwrap(), "192.0.2.0/24".parse().unwrap()].into();
    let expires = Some(Timestamp::from_seconds(NOW + 1));
    let good = ApiKey { networks, expires, ..robot() };
    let mut bench =
        Bench::new(vec![], vec![(Digest::of(KEY.as_bytes()), good)]).with("x-api-key", KEY);
    let principal = bench.run().await.unwrap().unwrap();
    assert_eq!(principal.permissions, names::<Permission>(&["deploy", "read:items"]));
    assert_eq!(principal.api_key.as_deref(), Some("ci"));
}

#[tokio::test]
async fn an_unknown_key_and_a_beginning_of_a_known_one_are_refused() {
    for key in ["unknown", "key-of-the-robo", "key-of-the-robot2", "KEY-OF-THE-ROBOT"] {
        let denial = Bench::usual().with("x-api-key", key).refusal().await;
        assert!(
            matches!(denial, Denial::InvalidApiKey { fault: ApiKeyFault::Unknown, .. }),
            "{key}"
        );
    }
}
