//! Tests of what conditions can say, and of what they cannot be made to cost.

use http::HeaderMap;
use serde_json::{Value as Json, json};

use super::*;
use crate::policy::{
    RequestFacts,
    scope::sample::{alice, facts, headers, scope},
};

const PARAMS: [&str; 2] = ["user_id", "tenant"];

fn compile(source: &str) -> Condition {
    Condition::compile(source, &PARAMS).unwrap_or_else(|fault| panic!("{source}: {fault}"))
}

fn fault(source: &str) -> ConditionFaultKind {
    match Condition::compile(source, &PARAMS) {
        Ok(_) => panic!("{source} compiled"),
        Err(fault) => fault.kind,
    }
}

/// 2026-03-02T08:30:00Z, a Monday.
const NOW: Timestamp = Timestamp::from_seconds(1_772_440_200);

fn evaluate(source: &str, claims: Json) -> Result<bool, Unevaluable> {
    let received = headers(&[
        ("User-Agent", "probe/1.0"),
        ("X-Tag", "a"),
        ("X-Tag", "b"),
        ("X-Bytes", "\u{e4}"),
    ]);
    let facts =
        RequestFacts { query: Some("page=2&q=a+b%21&twice=1&twice=2&%71x"), ..facts(&received) };
    evaluate_on(source, claims, &facts)
}

fn evaluate_on(source: &str, claims: Json, facts: &RequestFacts<'_>) -> Result<bool, Unevaluable> {
    let alice = alice(claims);
    let params = [("user_id", "alice"), ("tenant", "acme")];
    compile(source).holds(&scope(Some(&alice), facts, &params), NOW)
}

#[test]
fn every_member_has_its_value() {
    for source in [
        "principal.subject == 'alice' && principal.issuer == 'corp' && principal.method == 'jwt'",
        "principal.plan == 'pro' && has(principal.plan)",
        // In effect, with what is included.
        "principal.roles == ['reader', 'user']",
        "'read:items' in principal.permissions && size(principal.permissions) == 1",
        "claims.tenant == path.tenant && path.user_id == principal.subject",
        "claims.org.units[1] == 'b' && claims['org']['units'].size() == 2",
        "claims['https://example.com/age'] > 17 && claims.level == 1.5",
        "has(claims.org.units) && !has(claims.org.nothing) && has(claims.tenant)",
        "'tenant' in claims && size(claims) == 6",
        "claims.groups.exists(g, g == 'ops') && claims.groups.all(g, g.startsWith('o'))",
        "claims.groups.map(g, g + '!') == ['ops!', 'on-call!']",
        "claims.groups.filter(g, g.endsWith('s')).size() == 1",
        "headers['user-agent'].startsWith('probe/') && headers['x-tag'] == 'a, b'",
        "has(headers.host) == false && 'user-agent' in headers",
        "headers['x-bytes'] == '\u{e4}'",
        "query.page == '2' && query.q == 'a b!' && query.qx == '' && !has(query.gone)",
        "request.method == 'GET' && request.path == '/items/7' && request.scheme == 'http'",
        "request.host == 'api.example.com' && request.id == 'r-1' && client.ip == '192.0.2.1'",
        "now > timestamp('2026-01-01T00:00:00Z') && now.getHours() == 8 && now.getDayOfWeek() == 1",
        "now.getHours('Europe/Berlin') == 9",
        "now - timestamp(claims.auth_time) < duration('1h')",
        "principal.subject.matches('^a[a-z]+$') && matches(client.ip, '^192[.]')",
        "claims.nothing == null || true",
        // The variable of a loop hides the name.
        "claims.groups.exists(path, path == 'ops')",
    ] {
        let claims = json!({
            "tenant": "acme", "org": {"units": ["a", "b"]}, "groups": ["ops", "on-call"],
            "https://example.com/age": 18, "level": 1.5, "auth_time": NOW.seconds() - 60,
        });
        assert_eq!(evaluate(source, claims), Ok(true), "{source}");
    }
}

#[test]
fn what_is_not_there_or_of_another_type_has_no_value() {
    for source in [
        "claims.gone == 'x'",
        "claims.gone != 'x'",
        "claims.tenant.name == 'x'",
        "has(claims.gone.more)",
        "headers['x-gone'] == ''",
        "query.gone == ''",
        "claims.tenant + 1 == 2",
        "claims.tenant > 1",
        "!claims.tenant",
        "claims.tenant.exists(c, c == 'a')",
        "claims.tenant",
        "1 / (size(claims) - 1) == 1",
    ] {
        let outcome = evaluate(source, json!({"tenant": "acme"}));
        assert!(outcome.is_err(), "{source}: {outcome:?}");
    }
    assert_eq!(evaluate("claims.tenant", json!({"tenant": "x"})), Err(Unevaluable::NotBoolean));
}

#[test]
fn an_error_says_what_was_missing_and_no_value() {
    let text = |source| evaluate(source, json!({"secret": "hunter2"})).unwrap_err().to_string();
    assert_eq!(text("claims.org.name == 'x'"), "`claims.org.name` has no value");
    assert_eq!(text("headers['x-gone'] == 'x'"), "`headers[\"x-gone\"]` has no value");
    assert!(!text("claims.secret + 1 == 2").contains("hunter2"));
    assert!(!text("claims.secret.x == 2").contains("hunter2"));
}

#[test]
fn a_query_parameter_that_comes_twice_spoils_the_evaluation() {
    for source in [
        "query.twice == '1'",
        "query.twice != '1' || true",
        "has(query.twice) || true",
        "size(query) > 0 || true",
        "query.page == '2' && !(query.twice == '3')",
    ] {
        assert_eq!(evaluate(source, json!({})), Err(Unevaluable::Duplicate), "{source}");
    }
    assert_eq!(evaluate("query.page == '2'", json!({})), Ok(true));
}

#[test]
fn a_query_parameter_that_an_application_may_take_for_another_spoils_the_evaluation() {
    let received = HeaderMap::new();
    let evaluate = |query| {
        let facts = RequestFacts { query: Some(query), ..facts(&received) };
        evaluate_on("!has(query.tenant) || query.tenant == 'mine'", json!({}), &facts)
    };
    for query in [
        "tenant=mine&x=1;tenant=other",
        "tenant=mine&Tenant=other",
        "tenant=mine&+tenant=other",
        "tenant=mine&tenant%00=other",
        "tenant=mine&tenant[0]=other",
        "Tenant=other",
    ] {
        assert_eq!(evaluate(query), Err(Unevaluable::Duplicate), "{query}");
    }
    assert_eq!(evaluate("tenant=mine&tenants=other&x=tenant"), Ok(true));
    assert_eq!(evaluate("tenants=other"), Ok(true));
}

#[test]
fn a_list_of_more_than_256_items_spoils_the_evaluation() {
    let items = |n: usize| (0..n).collect::<Vec<_>>();
    let claims = json!({"ok": items(256), "long": items(257), "deep": {"long": items(257)}});
    for source in [
        "claims.long.exists(x, x == 1)",
        "1 in claims.long",
        "claims.long == [1]",
        "claims.long != [1]",
        "claims.long != [1] || true",
        "claims.deep != {}",
        "claims != {}",
        "size(claims.deep.long) > 0",
    ] {
        assert_eq!(evaluate(source, claims.clone()), Err(Unevaluable::TooLong), "{source}");
    }
    assert_eq!(evaluate("claims.ok.exists(x, x == 255)", claims), Ok(true));
}

#[test]
fn a_map_of_more_than_256_members_spoils_the_evaluation() {
    let query = (0..257).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
    let received = HeaderMap::new();
    let facts = RequestFacts { query: Some(&query), ..facts(&received) };
    let outcome = evaluate_on("size(query) > 0", json!({}), &facts);
    assert_eq!(outcome, Err(Unevaluable::TooLong));
    assert_eq!(evaluate_on("query.p7 == '1'", json!({}), &facts), Ok(true));
}

#[test]
fn a_condition_tells_whether_it_needs_the_principal_and_which_parameters_it_reads() {
    assert!(compile("claims.a == 1").needs_principal());
    assert!(compile("has(principal.plan)").needs_principal());
    assert!(!compile("client.ip == '::1' && path.tenant == 'a'").needs_principal());
    let condition = compile("path.user_id == 'a' || [path.tenant].exists(x, x == path['user_id'])");
    assert_eq!(condition.params().collect::<Vec<_>>(), ["user_id", "tenant"]);
    // Not one that only looks like a parameter.
    assert_eq!(compile("claims.a.exists(path, path.b == 1)").params().count(), 0);
}

#[test]
fn an_unknown_name_is_refused_with_those_that_there_are() {
    for (source, written, near) in [
        ("claim.tenant == 'x'", "claim", "claims"),
        ("principal.subjet == 'x'", "principal.subjet", "principal.subject"),
        ("principal.claims.x == 1", "principal.claims.x", "principal.roles"),
        ("request.url == 'x'", "request.url", "request.path"),
        ("path.user == 'x'", "path.user", "path.user_id"),
        ("client.port == 1", "client.port", "client.ip"),
        ("has(principal.role)", "principal.role", "principal.roles"),
        ("[1].exists(x, y == 1)", "y", "now"),
        ("optional.of(1).hasValue()", "", ""),
        ("headers.a.b == 'x'", "headers.a.b", ""),
    ] {
        match fault(source) {
            ConditionFaultKind::UnknownName { name, known } => {
                assert_eq!(name, written, "{source}");
                assert!(near.is_empty() || known.contains(&near.to_owned()), "{source}: {known:?}");
            }
            ConditionFaultKind::UnknownFunction { .. } if written.is_empty() => {}
            other => panic!("{source}: {other:?}"),
        }
    }
}

#[test]
fn a_name_that_stands_for_several_values_is_refused() {
    for source in ["principal == 'x'", "path == {}", "request['meth' + 'od'] == 'x'", "client != 1"]
    {
        assert!(matches!(fault(source), ConditionFaultKind::NoValue { .. }), "{source}");
    }
    assert_eq!(
        fault("headers['X-Tag'] == 'a'"),
        ConditionFaultKind::UpperCaseHeader("x-tag".into())
    );
}

#[test]
fn an_unknown_function_is_refused() {
    for source in [
        "claims.a.contain('x')",
        "env('HOME') == 'x'",
        "claims.a.lowerAscii() == 'x'",
        "claims.a.exists(x)",
        "type(claims.a) == 1",
        "dyn(1) == 1",
        "bytes('a') == b'a'",
        "matches(claims.a)",
        "claims.a.matches('a', 'b')",
    ] {
        let kind = fault(source);
        assert!(matches!(kind, ConditionFaultKind::UnknownFunction { .. }), "{source}: {kind:?}");
    }
}

#[test]
fn a_pattern_is_a_literal_that_compiles() {
    assert_eq!(fault("claims.a.matches(claims.b)"), ConditionFaultKind::PatternNotLiteral);
    assert_eq!(fault("claims.a.matches('a' + 'b')"), ConditionFaultKind::PatternNotLiteral);
    assert_eq!(fault("matches('x', query.p)"), ConditionFaultKind::PatternNotLiteral);
    for pattern in ["(", "a{2,1}", "[z-a]", "(?=x)", "((a{100}){100}){100}"] {
        let kind = fault(&format!("claims.a.matches('{pattern}')"));
        assert!(matches!(kind, ConditionFaultKind::PatternMalformed { .. }), "{pattern}: {kind:?}");
    }
}

#[test]
fn what_is_not_the_language_is_refused_where_it_is_wrong() {
    for source in [
        "",
        "claims.a ==",
        "a b",
        "&& true",
        "'open",
        "claims.?a == 1",
        "Foo{a: 1} == 1",
        "claims.a == 1;",
        "\u{0}",
    ] {
        let fault = Condition::compile(source, &PARAMS).unwrap_err();
        assert!(matches!(fault.kind, ConditionFaultKind::Syntax(_)), "{source}: {fault:?}");
        assert!(fault.span.end <= source.len());
    }
    let fault = Condition::compile("true && claim.a == 'ä'", &PARAMS).unwrap_err();
    assert_eq!(&"true && claim.a == 'ä'"[fault.span], "claim");
}

#[test]
fn the_source_has_at_most_4096_bytes() {
    let source = format!("'{}' == ''", "a".repeat(4096 - 8));
    assert_eq!(source.len(), 4096);
    assert!(Condition::compile(&source, &PARAMS).is_ok());
    assert!(matches!(fault(&format!("{source} ")), ConditionFaultKind::TooLarge { bytes: 4097 }));
}

#[test]
fn loops_are_nested_twice_at_most() {
    compile("claims.a.exists(x, claims.b.exists(y, x == y))");
    compile("claims.a.filter(x, x != 1).map(x, x + 1).exists(x, x == 1)");
    let three = "claims.a.all(x, claims.b.all(y, claims.c.all(z, x == y)))";
    assert_eq!(fault(three), ConditionFaultKind::Loops);
}

#[test]
fn what_could_cost_too_much_is_refused_at_load() {
    for (source, kind) in [
        // A search in a list is a loop too.
        ("claims.a.exists(x, claims.b.exists(y, y in claims.c))", ConditionFaultKind::Costly),
        // 256 × 256 × everything.
        ("size(claims.a.map(x, claims.b.map(y, claims.c))) > 0", ConditionFaultKind::Large),
        // Longer by joining.
        ("(claims.a + claims.b).exists(x, x == 1)", ConditionFaultKind::LongList),
    ] {
        assert_eq!(fault(source), kind, "{source}");
    }
    let joined = vec!["claims.a"; 250].join("+");
    assert!(matches!(
        fault(&format!("size(claims.b.map(x, {joined})) > 0")),
        ConditionFaultKind::Large | ConditionFaultKind::Costly | ConditionFaultKind::Deep
    ));
    let long = vec!["1"; 300].join(",");
    assert_eq!(fault(&format!("[{long}].exists(x, x == 1)")), ConditionFaultKind::LongList);
    // What people write stays within it.
    compile("claims.orgs.exists(o, o.id == path.tenant && o.roles.exists(r, r in ['a', 'b']))");
    compile("size(claims.orgs.map(o, o.teams.map(t, t.name))) > 0");
    compile("claims.groups.map(g, 'prefix:' + g).exists(g, g == 'prefix:' + path.tenant)");
    compile("claims.a.exists(x, claims.b.exists(y, x.id == y.id && x.kind == y.kind))");
}

#[test]
fn no_source_overflows_a_stack() {
    let chain = |unit: &str| unit.repeat(4000 / unit.len());
    for source in [
        format!("{}1==1", chain("1+")),
        format!("{}true", chain("true||")),
        format!("{}true", chain("!")),
        format!("{}1==1", chain("-")),
        format!("claims.a{}", chain(".b")),
        format!("claims.a{}", chain("[0]")),
        format!("{}true", chain("true?true:")),
        format!("{}1{}", "[".repeat(2000), "]".repeat(2000)),
        format!("{}1{}", "(".repeat(2000), ")".repeat(2000)),
        format!("claims.a{}", chain(".size()")),
        format!("claims.a{}", chain(".map(x,x)")),
        "(".repeat(4000),
    ] {
        let start: String = source.chars().take(12).collect();
        // Refused or accepted, but alive; what is accepted can be evaluated.
        if let Ok(condition) = Condition::compile(&source, &PARAMS) {
            let received = HeaderMap::new();
            let alice = alice(json!({}));
            let params = [("user_id", "alice")];
            let outcome = condition.holds(&scope(Some(&alice), &facts(&received), &params), NOW);
            drop(outcome);
        } else {
            assert!(!start.is_empty());
        }
    }
}

#[test]
fn the_deepest_expression_evaluates_on_an_ordinary_stack() {
    let sum = vec!["1"; 24].join("+");
    assert_eq!(evaluate(&format!("{sum} == 24"), json!({})), Ok(true));
    assert_eq!(fault(&format!("{sum}+1 == 25")), ConditionFaultKind::Deep);
}

#[test]
fn a_hundred_alternatives_are_no_depth() {
    let source = vec!["claims.a == 'x'"; 100].join(" || ");
    assert_eq!(evaluate(&source, json!({"a": "y"})), Ok(false));
}

#[test]
fn the_dearest_condition_that_is_accepted_ends_soon() {
    let list: Vec<String> = (0..256).map(|n| format!("item-{n}")).collect();
    let source = "claims.a.all(x, claims.b.all(y, x != y + 'z'))";
    let start = std::time::Instant::now();
    assert_eq!(evaluate(source, json!({"a": list, "b": list})), Ok(true));
    // A bound for a debug build on a busy machine, not a measurement.
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_header_that_is_no_text_has_no_value() {
    let mut received = HeaderMap::new();
    received.insert("x-a", http::HeaderValue::from_bytes(b"\xff").unwrap());
    let facts = facts(&received);
    assert!(evaluate_on("headers['x-a'] != 'y'", json!({}), &facts).is_err());
    assert_eq!(evaluate_on("'x-a' in headers", json!({}), &facts), Ok(false));
}

#[test]
fn what_can_never_be_true_or_false_is_no_condition() {
    for source in [
        "1 + 1",
        "'yes'",
        "null",
        "[true]",
        "{'a': true}",
        "size(claims.a)",
        "principal.subject",
        "query.confirmed",
        "headers[\"x-tag\"]",
        "now",
        "-claims.a",
        "claims.a ? 'yes' : 'no'",
        "claims.a ? true : 1",
        "claims.a + claims.b",
    ] {
        assert_eq!(fault(source), ConditionFaultKind::NotBoolean, "{source}");
    }
    for source in [
        "true",
        "claims.verified",
        "!claims.verified",
        "claims.flags[0]",
        "claims.a ? claims.b : claims.c == 1",
        "has(claims.a)",
        "claims.a.exists_one(x, x == 1)",
        "'a' in claims.list",
        "claims.a.matches('^a')",
        "principal.subject.startsWith('u')",
    ] {
        assert!(Condition::compile::<&str>(source, &[]).is_ok(), "{source}");
    }
}
