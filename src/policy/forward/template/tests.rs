//! Tests of what templates can say and what they are filled in with.

use super::*;
use crate::policy::scope::sample::{alice, facts, headers, scope};
use serde_json::{Value, json};

fn parse(source: &str) -> Template {
    Template::parse(source, &["user_id", "rest"]).unwrap()
}

fn fault(source: &str) -> (TemplateFaultKind, &str) {
    let fault = Template::parse(source, &["user_id"]).unwrap_err();
    (fault.kind, &source[fault.span])
}

fn render(source: &str, claims: Value) -> Option<String> {
    let (alice, headers) = (alice(claims), headers(&[]));
    let facts = facts(&headers);
    let params = [("user_id", "a b/ä")];
    let value = parse(source).header(&scope(Some(&alice), &facts, &params))?;
    Some(value.to_str().unwrap().to_owned())
}

#[test]
fn every_name_has_its_value() {
    for (source, value) in [
        ("{principal.subject}", "alice"),
        ("{principal.roles}", "user"),
        ("{principal.permissions}", "read:items"),
        ("{principal.method}", "jwt"),
        ("{principal.issuer}", "corp"),
        ("{principal.plan}", "pro"),
        ("{claims.org.name}", "acme"),
        ("{path.user_id}", "a%20b/%C3%A4"),
        ("{request.id}", "r-1"),
        ("{request.host}", "api.example.com"),
        ("{request.method}", "GET"),
        ("{request.path}", "/items/7"),
        ("{request.scheme}", "http"),
        ("{client.ip}", "192.0.2.1"),
        ("a {principal.subject}@{claims.org.name}, b", "a alice@acme, b"),
        ("{{x}} {principal.plan}", "{x} pro"),
    ] {
        let claims = json!({"org": {"name": "acme"}});
        assert_eq!(render(source, claims).as_deref(), Some(value), "{source}");
    }
}

#[test]
fn the_short_way_to_a_value_comes_to_the_same() {
    let headers = headers(&[]);
    let facts = facts(&headers);
    for text in ["plain", "a,b", "a b", "100%", "", "\u{e4}"] {
        let mut alice = alice(json!({}));
        alice.subject = text.into();
        alice.roles = [text.into()].into();
        let scope = scope(Some(&alice), &facts, &[] as &[(&str, &str); 0]);
        for name in ["principal.subject", "principal.roles"] {
            let short = parse(&format!("{{{name}}}")).header(&scope).unwrap();
            let long = parse(&format!("-{{{name}}}")).header(&scope).unwrap();
            assert_eq!(format!("-{}", short.to_str().unwrap()), long.to_str().unwrap());
        }
    }
}

#[test]
fn scalars_and_flat_lists_of_them_have_a_value() {
    for (claim, value) in [
        (json!("x"), Some("x")),
        (json!(""), Some("")),
        (json!(1.5), Some("1.5")),
        (json!(-3), Some("-3")),
        (json!(true), Some("true")),
        (json!(["a", 1, false]), Some("a,1,false")),
        (json!(["a,b", "c"]), Some("a%2Cb,c")),
        (json!("a,b"), Some("a,b")),
        (json!(null), None),
        (json!([]), None),
        (json!({}), None),
        (json!({"a": 1}), None),
        (json!([["a"]]), None),
        (json!(["a", null]), None),
    ] {
        let rendered = render("{claims.x}", json!({"x": claim}));
        assert_eq!(rendered.as_deref(), value, "{claim}");
    }
}

#[test]
fn one_absent_name_makes_the_whole_absent() {
    assert_eq!(render("{principal.subject}-{claims.gone}", json!({})), None);
    assert_eq!(render("{path.rest}", json!({})), None);
}

#[test]
fn without_a_principal_what_is_about_one_is_absent() {
    let headers = headers(&[]);
    let facts = facts(&headers);
    let nobody = scope(None, &facts, &[] as &[(&str, &str); 0]);
    for source in ["{principal.subject}", "{principal.roles}", "{claims.a}"] {
        assert!(parse(source).needs_principal());
        assert_eq!(parse(source).header(&nobody), None);
    }
    assert!(!parse("{client.ip}").needs_principal());
    assert!(parse("{client.ip}").header(&nobody).is_some());
}

#[test]
fn a_value_cannot_break_out_of_its_header_nor_be_read_as_a_template() {
    let value = render("{claims.x}", json!({"x": "a\r\nX-User-Id: root\0{client.ip}%41"}));
    assert_eq!(value.as_deref(), Some("a%0D%0AX-User-Id:%20root%00{client.ip}%2541"));
}

#[test]
fn a_constant_is_made_once() {
    assert!(parse("a b").is_constant() && parse("").is_constant());
    assert!(parse("a b").constant.is_some() && parse("{{").constant.is_some());
    assert!(!parse("{client.ip}").is_constant());
}

#[test]
fn a_template_tells_which_path_parameters_it_names() {
    let template = parse("/v2/{path.rest}/{path.user_id}{client.ip}");
    assert_eq!(template.params().collect::<Vec<_>>(), ["rest", "user_id"]);
}

#[test]
fn what_is_no_template_is_refused_where_it_is_wrong() {
    assert_eq!(fault("a{b"), (TemplateFaultKind::Unclosed, "{"));
    assert_eq!(fault("a}b"), (TemplateFaultKind::Unopened, "}"));
    assert_eq!(fault("a\r\nb"), (TemplateFaultKind::Control, "\r"));
    assert_eq!(
        fault("{{principal.subject}}"),
        (TemplateFaultKind::DoubleBraces("principal.subject".into()), "{{principal.subject}}")
    );
    for (source, name) in [
        ("x{principal.name}", "principal.name"),
        ("{}", ""),
        ("{claims}", "claims"),
        ("{claims.}", "claims."),
        ("{path.user}", "path.user"),
        ("{ client.ip }", " client.ip "),
        ("{env.HOME}", "env.HOME"),
        ("{principal.claims.x}", "principal.claims.x"),
    ] {
        let (kind, text) = fault(source);
        let TemplateFaultKind::UnknownName { name: written, known } = kind else {
            panic!("{source}: {kind:?}")
        };
        assert_eq!((written.as_str(), text), (name, name));
        assert!(known.contains(&"path.user_id".to_owned()));
    }
}
