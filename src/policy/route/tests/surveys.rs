//! What `check` learns of the table.

use super::*;

#[test]
fn a_pattern_that_shadows_a_route_of_every_method_is_named_with_it() {
    let table = table(&[
        "* * /**",
        "GET * /a/{x}",
        "POST * /a/{x}",
        "* * /b",
        "GET a.example /c",
        "* *.example /{y}",
    ]);
    let shadows = table.shadows();
    let named: Vec<_> =
        shadows.iter().map(|shadow| (shadow.narrow, shadow.wide, shadow.path.as_str())).collect();
    assert_eq!(named, [(1, 0, "/a/{x}"), (4, 5, "/c")]);
    assert_eq!(shadows[1].host, Some(HostPattern::Exact("a.example".into())));
}

#[test]
fn a_route_beneath_another_is_covered_by_the_nearest() {
    let table = table(&[
        "* * /admin/**",
        "GET * /admin/status",
        "* * /**",
        "GET * /admin",
        "POST * /public",
    ]);
    let pairs = |relevant: fn(usize, usize) -> bool| {
        table.covered(relevant).iter().map(|pair| (pair.inner, pair.outer)).collect::<Vec<_>>()
    };
    assert_eq!(pairs(|_, _| true), [(0, 2), (1, 0), (3, 0), (4, 2)]);
    assert_eq!(pairs(|_, outer| outer == 2), [(0, 2), (1, 2), (3, 2), (4, 2)]);
}

#[test]
fn a_named_remainder_does_not_cover_the_bare_path() {
    let pairs = |routes: &[&str]| table(routes).covered(|_, _| true).len();
    assert_eq!(pairs(&["* * /f/{rest*}", "* * /f"]), 0);
    assert_eq!(pairs(&["* * /f/{rest*}", "* * /f/a"]), 1);
    assert_eq!(pairs(&["* * /f/**", "* * /f"]), 1);
    assert_eq!(pairs(&["* * /{x}/b", "* * /a/{y}"]), 0);
    assert_eq!(pairs(&["* * /a/{rest*}", "* * /**"]), 1);
    assert_eq!(pairs(&["* * /{all*}", "* * /a/**"]), 1);
    assert_eq!(pairs(&["* * /{x}/**", "* * /{rest*}"]), 1);
}

#[test]
fn a_route_that_no_request_reaches_is_named() {
    let table = built(&[
        route("TRACE,CONNECT * /a"),
        route("* * /b;v=1"),
        route("* * /c;v=1 /c"),
        keeping(route("* * /d;v=1"), &[Difference::Parameters]),
        route("* * /e"),
    ]);
    assert_eq!(table.unreachable(), [0, 1]);
    assert!(get(&table, "/b;v=1").is_err());
    assert_eq!(get(&table, "/d;v=1"), Ok(3));
}
