//! Logins that last: the token endpoint with a store, and what its tokens are worth later.

use super::*;

/// A desk with a store of its own.
pub(super) struct Refreshing {
    pub desk: Desk,
    pub records: Arc<Records>,
    _folder: tempfile::TempDir,
}

impl Refreshing {
    pub async fn new(begun: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = StoreLocation::Sqlite(folder.path().join("store.db"));
        let records = Arc::new(Records::new(location, Duration::from_secs(60)));
        if begun {
            records.begin().await.unwrap();
        }
        let mut desk = Desk::new();
        let issuing = desk.policy.issuing.take().map(Arc::into_inner).unwrap().unwrap();
        let terms = IssuingTerms { refresh_ttl: Some(Duration::from_secs(3600)), ..issuing };
        desk.policy.issuing = Some(terms.into());
        desk.memory.records = Some(Arc::clone(&records));
        Self { desk, records, _folder: folder }
    }

    pub async fn ask(&self, form: &str, seconds: i64) -> (u16, Value) {
        self.ask_to(form, seconds, false).await
    }

    pub async fn ask_to(&self, form: &str, seconds: i64, revoke: bool) -> (u16, Value) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(FORM));
        let body = Body::Whole(form.as_bytes());
        let client = "192.0.2.1".parse().unwrap();
        let request = TokenRequest { headers: &headers, body, client, request_id: "r1" };
        let Desk { policy, memory } = &self.desk;
        let sources = &Live::new(policy, memory);
        let now = Timestamp::from_seconds(NOW + seconds);
        let desk = endpoint::Desk { request, policy, sources, records: Some(&self.records), now };
        let answer = if revoke { desk.revoke().await } else { desk.issue().await };
        let body = serde_json::from_slice(&answer.reply.body).unwrap_or_default();
        (answer.reply.status.as_u16(), body)
    }

    pub async fn refresh(&self, token: &Value, seconds: i64) -> (u16, Value) {
        let form = format!("grant_type=refresh_token&refresh_token={}", token.as_str().unwrap());
        self.ask(&form, seconds).await
    }
}

async fn judged(policy: &Policy, memory: &Memory, token: &str, from: &str) -> Result<(), Refused> {
    let rule = JwtRule::of(policy.issuers.clone());
    let (client, now) = (from.parse().unwrap(), Timestamp::from_seconds(NOW));
    let sources = Live::new(policy, memory);
    let from = TokenOrigin { client: Some(client), place: None };
    judge_token(policy, &rule, token.as_bytes(), from, &sources, now).await.map(drop)
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_refused_and_no_other() {
    let world = Refreshing::new(true).await;
    let Desk { policy, memory } = &world.desk;
    let (_, body) = world.ask(LOGIN, 0).await;
    let (_, other) = world.ask(LOGIN, 0).await;
    let [token, other] = [&body, &other].map(|body| body["access_token"].as_str().unwrap());
    assert_eq!(judged(policy, memory, token, "192.0.2.1").await, Ok(()));
    assert_eq!(world.ask_to(&format!("token={token}"), 0, true).await.0, 200);
    let revoked = Err(Refused::Fault(TokenFault::Revoked));
    assert_eq!(judged(policy, memory, token, "192.0.2.1").await, revoked);
    assert_eq!(judged(policy, memory, other, "192.0.2.1").await, Ok(()));
    // Its login goes on.
    assert_eq!(world.refresh(&body["refresh_token"], 1).await.0, 200);
}

#[tokio::test]
async fn a_token_of_a_user_of_the_file_ends_with_his_password() {
    let mut world = Refreshing::new(true).await;
    let (_, body) = world.ask(LOGIN, 0).await;
    let token = body["access_token"].as_str().unwrap();
    let Desk { policy, memory } = &mut world.desk;
    assert_eq!(judged(policy, memory, token, "192.0.2.1").await, Ok(()));
    let changed = User { password: Some(Secret::new("$2b$04$another")), ..user("7", "alice") };
    policy.accounts = Accounts::new(vec![changed], vec![]).into();
    let revoked = Err(Refused::Fault(TokenFault::Revoked));
    assert_eq!(judged(policy, memory, token, "192.0.2.1").await, revoked);
}

#[tokio::test]
async fn a_token_of_a_key_is_worth_what_the_key_is() {
    let mut policy = policy(secret_key());
    let own = Arc::into_inner(policy.issuers.remove(0)).unwrap();
    policy.issuers.push(Arc::new(IssuerTerms { users: UserRule::Require, ..own }));
    let key = ApiKey {
        id: "ci".into(),
        subject: "robot".into(),
        roles: [].into(),
        permissions: [].into(),
        plan: None,
        networks: ["192.0.2.0/24".parse().unwrap()].into(),
        expires: Some(Timestamp::from_seconds(NOW + 60)),
        disabled: false,
    };
    let now = Timestamp::from_seconds(NOW);
    let terms = policy.issuing.clone().unwrap();
    let holder = grant::Holder::key(&key);
    let minted =
        signer::mint_for(&terms, &holder, &policy.roles, grant::Narrowing::Nothing, now).unwrap();
    assert_eq!(minted.granted.expires_in, 60, "it never outlives the key");
    let memory = Memory::new(1024);
    let fault = || Err(Refused::Fault(TokenFault::Client));
    for (key, from, expected) in [
        (key.clone(), "192.0.2.7", Ok(())),
        (key.clone(), "198.51.100.7", fault()),
        (ApiKey { disabled: true, ..key.clone() }, "192.0.2.7", fault()),
        (ApiKey { expires: Some(now), ..key.clone() }, "192.0.2.7", fault()),
        (ApiKey { subject: "other".into(), ..key.clone() }, "192.0.2.7", fault()),
        (ApiKey { id: "other".into(), ..key }, "192.0.2.7", fault()),
    ] {
        policy.accounts = Accounts::new(vec![], vec![(Digest::of(b"k"), key)]).into();
        assert_eq!(judged(&policy, &memory, &minted.token, from).await, expected);
    }
}

#[tokio::test]
async fn the_time_to_refresh_counts_from_the_login() {
    let world = Refreshing::new(true).await;
    let (_, mut body) = world.ask(LOGIN, 0).await;
    for seconds in [1800, 3000, 3599] {
        let (status, next) = world.refresh(&body["refresh_token"], seconds).await;
        assert_eq!(status, 200, "{seconds}");
        assert_ne!(next["refresh_token"], body["refresh_token"]);
        body = next;
    }
    let (status, over) = world.refresh(&body["refresh_token"], 3600).await;
    assert_eq!((status, &over["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn without_the_store_nobody_logs_in_or_refreshes() {
    let world = Refreshing::new(false).await;
    let token = json!(format!("prt_{}", "a".repeat(43)));
    for (status, body) in [world.ask(LOGIN, 0).await, world.refresh(&token, 0).await] {
        assert_eq!((status, &body["code"]), (503, &json!("unavailable")));
        assert!(body.get("access_token").is_none());
    }
}

#[tokio::test]
async fn a_scope_that_is_refused_opens_no_login() {
    let world = Refreshing::new(true).await;
    let (status, body) = world.ask(&format!("{LOGIN}&scope=delete:users"), 0).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_scope")));
    let (_, body) = world.ask(LOGIN, 0).await;
    let first = Digest::of(body["refresh_token"].as_str().unwrap().as_bytes());
    let family = world.records.store().unwrap().family_of(first.bytes()).await.unwrap().unwrap();
    assert_eq!((&*family.subject, family.scope), ("7", None));
    let claims = claims_of(body["access_token"].as_str().unwrap(), &world.desk.policy);
    assert_eq!(claims["sid"], json!(family.id));
}
