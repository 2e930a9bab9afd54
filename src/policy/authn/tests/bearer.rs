//! Bearer tokens, as they come and as they are forged.

use super::*;

#[tokio::test]
async fn a_token_makes_a_principal_of_its_claims() {
    let claims = json!({"iss": CORP, "aud": ["x", "other"], "sub": "alice", "exp": NOW + 60,
        "roles": ["user", "guest"], "permissions": "write:items read:all", "plan": "gold"});
    let principal = Bench::usual().bearer(&signed(&claims)).run().await.unwrap().unwrap();
    assert_eq!(principal.issuer.as_str(), "corp");
    assert_eq!(principal.roles, names::<Role>(&["user", "guest"]));
    assert_eq!(principal.effective_roles, names::<Role>(&["guest", "user"]));
    assert_eq!(
        principal.permissions,
        names::<Permission>(&["read:all", "read:items", "write:items"])
    );
    assert_eq!(principal.plan.as_ref().unwrap().as_str(), "gold");
    assert_eq!(principal.expires, Some(Timestamp::from_seconds(NOW + 60)));
    assert_eq!(principal.claims.find("iss"), Some(&json!(CORP)));
}

#[tokio::test]
async fn claims_are_found_at_dotted_paths_and_in_every_form_that_says_something() {
    let terms = || IssuerTerms {
        claims: ClaimPaths {
            roles: "realm_access.roles".into(),
            subject: "user.id".into(),
            ..ClaimPaths::default()
        },
        ..issuer("corp", Some(CORP), SECRET)
    };
    for roles in [json!(["user"]), json!("user"), json!(" user "), json!(["user", "user"])] {
        let mut claims = changed("realm_access", json!({ "roles": roles }));
        claims["user"] = json!({"id": "u1"});
        let mut bench = Bench::new(vec![terms()], vec![]).bearer(&signed(&claims));
        let principal = bench.run().await.unwrap().unwrap();
        assert_eq!(&*principal.subject, "u1");
        assert!(principal.has_role(&"user".into()), "{roles}");
    }
    for (member, value) in [
        ("roles", json!(7)),
        ("roles", json!({"a": 1})),
        ("roles", json!(["a", 7])),
        ("roles", json!([null])),
        ("permissions", json!(true)),
        ("plan", json!(["pro"])),
    ] {
        let bench = Bench::usual().bearer(&signed(&changed(member, value.clone())));
        assert_eq!(bench.fault().await, TokenFault::ClaimType, "{member} {value}");
    }
    assert!(Bench::usual().bearer(&signed(&changed("roles", json!(null)))).who().await.is_some());
}

#[tokio::test]
async fn time_is_judged_anew_on_each_request_with_leeway_on_both_ends() {
    let mut claims = changed("exp", json!(NOW));
    claims["nbf"] = json!(NOW - 100);
    let mut bench = Bench::usual().bearer(&signed(&claims));
    for (second, expected) in [
        (NOW - 131, Some(TokenFault::NotYetValid)),
        (NOW - 130, None),
        (NOW + 29, None),
        (NOW + 30, Some(TokenFault::Expired)),
        (NOW - 1, None),
    ] {
        bench.now = Timestamp::from_seconds(second);
        let fault = bench.run().await.err().map(|denial| match denial {
            Denial::InvalidToken { fault, .. } => fault,
            other => panic!("{other:?}"),
        });
        assert_eq!(fault, expected, "{second}");
    }
    assert_eq!(bench.memory.signatures.recalls().hits, 4, "the signature is checked once");
}

#[tokio::test]
async fn a_token_whose_end_is_now_is_expired() {
    let strict = || IssuerTerms { leeway: Duration::ZERO, ..issuer("corp", Some(CORP), SECRET) };
    for (exp, expected) in [
        (json!(NOW), false),
        (json!(NOW + 1), true),
        (json!(NOW as f64 + 0.5), true),
        (json!(-1), false),
        (json!(0), false),
        (json!(NOW as f64 - 0.5), false),
        (json!(1e300), true),
        (json!(-1e300), false),
        (json!(u64::MAX), true),
    ] {
        let bench =
            Bench::new(vec![strict()], vec![]).bearer(&signed(&changed("exp", exp.clone())));
        let mut bench = bench;
        assert_eq!(bench.run().await.is_ok(), expected, "{exp}");
    }
}

#[tokio::test]
async fn a_date_that_is_no_number_is_refused() {
    for exp in [json!("1900000000"), json!(null), json!([1_900_000_000]), json!({}), json!(true)] {
        let bench = Bench::usual().bearer(&signed(&changed("exp", exp.clone())));
        assert_eq!(bench.fault().await, TokenFault::ClaimType, "{exp}");
    }
    let infinite = format!(r#"{{"iss":"{CORP}","aud":"orders-api","sub":"a","exp":1e400}}"#);
    let token = signed_text(r#"{"alg":"HS256"}"#, &infinite, SECRET);
    assert_eq!(Bench::usual().bearer(&token).fault().await, TokenFault::Malformed);
    for nbf in [json!("0"), json!(null)] {
        let bench = Bench::usual().bearer(&signed(&changed("nbf", nbf)));
        assert_eq!(bench.fault().await, TokenFault::ClaimType);
    }
}

#[tokio::test]
async fn claims_that_must_be_there_are() {
    for member in ["exp", "sub"] {
        assert_eq!(
            Bench::usual().bearer(&signed(&without(member))).fault().await,
            TokenFault::MissingClaim
        );
    }
    assert_eq!(
        Bench::usual().bearer(&signed(&changed("sub", json!("")))).fault().await,
        TokenFault::MissingClaim
    );
    assert_eq!(
        Bench::usual().bearer(&signed(&changed("sub", json!(7)))).fault().await,
        TokenFault::ClaimType
    );
    let strict =
        IssuerTerms { require: vec!["tenant.id".into()], ..issuer("corp", Some(CORP), SECRET) };
    let mut bench =
        Bench::new(vec![strict], vec![]).bearer(&signed(&changed("tenant", json!({"id": null}))));
    assert!(bench.run().await.is_err());
    bench.headers.clear();
    let mut bench = bench.bearer(&signed(&changed("tenant", json!({"id": 7}))));
    assert!(bench.run().await.is_ok());
}

#[tokio::test]
async fn the_audience_is_any_of_ours_as_text_or_list_of_texts() {
    for (aud, expected) in [
        (json!("orders-api"), None),
        (json!(["x", "orders-api"]), None),
        (json!("orders-api x"), Some(TokenFault::Audience)),
        (json!("Orders-API"), Some(TokenFault::Audience)),
        (json!([]), Some(TokenFault::Audience)),
        (json!(""), Some(TokenFault::Audience)),
        (json!(["orders-api", 7]), Some(TokenFault::ClaimType)),
        (json!({"orders-api": true}), Some(TokenFault::ClaimType)),
        (json!(null), Some(TokenFault::ClaimType)),
        (json!([["orders-api"]]), Some(TokenFault::ClaimType)),
    ] {
        let mut bench = Bench::usual().bearer(&signed(&changed("aud", aud.clone())));
        let fault = bench.run().await.err().map(|denial| denial.reason());
        assert_eq!(fault, expected.map(TokenFault::as_str), "{aud}");
    }
    assert_eq!(Bench::usual().bearer(&signed(&without("aud"))).fault().await, TokenFault::Audience);
}

#[tokio::test]
async fn the_issuer_is_exactly_the_one_that_is_configured() {
    for iss in ["https://id.example.com", "https://ID.example.com/", "https://evil.example/", ""] {
        let bench = Bench::usual().bearer(&signed(&changed("iss", json!(iss))));
        assert_eq!(bench.fault().await, TokenFault::Issuer, "{iss}");
    }
    for iss in
        [json!([CORP]), json!(["https://evil.example/", CORP]), json!(7), json!(null), json!({})]
    {
        let bench = Bench::usual().bearer(&signed(&changed("iss", iss.clone())));
        assert_eq!(bench.fault().await, TokenFault::ClaimType, "{iss}");
    }
    assert_eq!(Bench::usual().bearer(&signed(&without("iss"))).fault().await, TokenFault::Issuer);
}

#[tokio::test]
async fn an_issuer_without_a_name_takes_what_no_other_claims_listed_or_not() {
    let open = || issuer("open", None, OTHER_SECRET);
    let both = || vec![issuer("corp", Some(CORP), SECRET), open()];
    let by_open =
        |claims: &Value| signed_text(r#"{"alg":"HS256"}"#, &claims.to_string(), OTHER_SECRET);
    let stranger = by_open(&changed("iss", json!("https://else.example/")));
    assert_eq!(Bench::new(both(), vec![]).bearer(&stranger).who().await.unwrap(), "open alice");
    assert_eq!(
        Bench::new(both(), vec![]).bearer(&by_open(&without("iss"))).who().await.unwrap(),
        "open alice"
    );
    assert_eq!(
        Bench::new(both(), vec![]).bearer(&by_open(&claims())).fault().await,
        TokenFault::Signature
    );
    let mut bench = Bench::new(both(), vec![]).bearer(&by_open(&claims()));
    let only_open = JwtRule::of(vec![Arc::clone(&bench.policy.issuers[1])]);
    bench.methods = vec![Method::Jwt(only_open)];
    assert_eq!(bench.fault().await, TokenFault::Issuer, "the one that claims it is not listed");
}

#[tokio::test]
async fn what_one_issuer_vouched_for_is_no_fact_about_another() {
    // Two issuers whose secrets are the same, and a route that lists one of them.
    let twin = issuer("twin", Some("https://twin.example/"), SECRET);
    let mut bench = Bench::new(vec![issuer("corp", Some(CORP), SECRET), twin], vec![])
        .bearer(&signed(&claims()));
    assert!(bench.run().await.is_ok());
    bench.methods = vec![Method::Jwt(JwtRule::of(vec![Arc::clone(&bench.policy.issuers[1])]))];
    assert_eq!(bench.fault().await, TokenFault::Issuer);
}

#[tokio::test]
async fn a_reload_with_other_keys_forgets_what_the_old_ones_vouched_for() {
    let mut bench = Bench::usual().bearer(&signed(&claims()));
    assert!(bench.run().await.is_ok());
    let memory = std::mem::replace(&mut bench.memory, Memory::new(1));
    let mut after = Bench::new(vec![issuer("corp", Some(CORP), OTHER_SECRET)], vec![])
        .bearer(&signed(&claims()));
    after.memory = memory;
    assert_eq!(after.fault().await, TokenFault::Signature);
}

#[tokio::test]
async fn a_reload_with_other_terms_makes_another_principal_of_the_same_token() {
    let mut bench = Bench::usual().bearer(&signed(&changed("roles", json!(["user", "admin"]))));
    let first = bench.run().await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &bench.run().await.unwrap().unwrap()), "made once");
    let memory = std::mem::replace(&mut bench.memory, Memory::new(1));
    let narrower = IssuerTerms {
        grants: Some(Grants { roles: vec!["us*".into()], permissions: vec!["read:*".into()] }),
        ..issuer("corp", Some(CORP), SECRET)
    };
    let token = signed(&changed("roles", json!(["user", "admin"])));
    let mut after = Bench::new(vec![narrower], vec![]).bearer(&token);
    after.memory = memory;
    let second = after.run().await.unwrap().unwrap();
    assert_eq!(second.roles, names::<Role>(&["user"]));
    assert_eq!(after.memory.signatures.recalls().entries, 1);
}

#[tokio::test]
async fn an_issuer_asserts_no_more_than_its_grants() {
    let bounded = || IssuerTerms {
        grants: Some(Grants { roles: vec!["partner".into()], permissions: vec!["read:*".into()] }),
        ..issuer("corp", Some(CORP), SECRET)
    };
    let mut claims = changed("roles", json!(["partner", "admin", "partners"]));
    claims["permissions"] = json!(["read:a", "read", "write:a", "xread:a"]);
    let principal =
        Bench::new(vec![bounded()], vec![]).bearer(&signed(&claims)).run().await.unwrap().unwrap();
    assert_eq!(principal.roles, names::<Role>(&["partner"]));
    assert_eq!(principal.permissions, names::<Permission>(&["read:a"]));
}

#[tokio::test]
async fn only_the_types_of_the_configuration_are_accepted() {
    for (typ, expected) in [
        ("JWT", true),
        ("jwt", true),
        ("at+jwt", true),
        ("application/at+JWT", true),
        ("dpop+jwt", false),
        ("logout+jwt", false),
        ("portcullis-assertion+jwt", false),
        ("", false),
        ("secevent+jwt", false),
    ] {
        let header = format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#);
        let mut bench = Bench::usual().bearer(&signed_text(&header, &claims().to_string(), SECRET));
        assert_eq!(bench.run().await.is_ok(), expected, "{typ}");
    }
    let mut untyped =
        Bench::usual().bearer(&signed_text(r#"{"alg":"HS256"}"#, &claims().to_string(), SECRET));
    assert!(untyped.run().await.is_ok());
    let strict =
        IssuerTerms { token_types: vec!["at+jwt".into()], ..issuer("corp", Some(CORP), SECRET) };
    let mut bench = Bench::new(vec![strict], vec![]).bearer(&signed_text(
        r#"{"alg":"HS256"}"#,
        &claims().to_string(),
        SECRET,
    ));
    assert!(matches!(bench.run().await, Err(Denial::InvalidToken { fault: TokenFault::Type, .. })));
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    for (cnf, bound) in [
        (json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}), true),
        (json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}), true),
        (json!("a key"), true),
        (json!(null), false),
    ] {
        let mut bench = Bench::usual().bearer(&signed(&changed("cnf", cnf.clone())));
        let refused = bench.run().await;
        let told = matches!(refused, Err(Denial::InvalidToken { fault: TokenFault::Type, .. }));
        assert_eq!((told, refused.is_err()), (bound, bound), "{cnf}");
    }
}

#[tokio::test]
async fn a_claim_that_stands_twice_is_refused_whatever_the_signature_says() {
    let text = claims().to_string();
    let twice = text.replacen('{', r#"{"roles":["admin"],"#, 1);
    let token = signed_text(r#"{"alg":"HS256"}"#, &twice, SECRET);
    assert_eq!(Bench::usual().bearer(&token).fault().await, TokenFault::DuplicateClaim);
}

#[tokio::test]
async fn with_users_required_the_users_present_standing_counts() {
    let own = || IssuerTerms { users: UserRule::Require, ..issuer("token", Some(CORP), SECRET) };
    let of = |sub: &str| {
        let mut claims = changed("sub", json!(sub));
        claims["roles"] = json!(["admin"]);
        claims["permissions"] = json!(["everything"]);
        Bench::new(vec![own()], vec![]).bearer(&signed(&claims))
    };
    let principal = of("7").run().await.unwrap().unwrap();
    assert_eq!(principal.issuer.as_str(), "local");
    assert_eq!(principal.roles, names::<Role>(&["user"]));
    assert_eq!(principal.permissions, names::<Permission>(&["own", "read:items"]));
    assert_eq!(principal.plan.as_ref().unwrap().as_str(), "pro");
    assert_eq!(of("8").fault().await, TokenFault::DisabledUser);
    assert_eq!(of("9").fault().await, TokenFault::UnknownUser);
    assert_eq!(of("alice").fault().await, TokenFault::UnknownUser, "the name is not the subject");
}

#[tokio::test]
async fn a_narrowed_token_of_our_own_has_no_role_and_no_more_than_its_user_has_now() {
    let own = |name| IssuerTerms { users: UserRule::Require, ..issuer(name, Some(CORP), SECRET) };
    let mut claims = changed("sub", json!("7"));
    claims["scope"] = json!("read:items gone:since");
    let principal = Bench::new(vec![own("token")], vec![])
        .bearer(&signed(&claims))
        .run()
        .await
        .unwrap()
        .unwrap();
    assert!(principal.roles.is_empty() && principal.effective_roles.is_empty());
    assert_eq!(principal.permissions, names::<Permission>(&["read:items"]));
    // What another issuer means by `scope` is no business of the user's.
    let principal = Bench::new(vec![own("corp")], vec![])
        .bearer(&signed(&claims))
        .run()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(principal.roles, names::<Role>(&["user"]));
}
