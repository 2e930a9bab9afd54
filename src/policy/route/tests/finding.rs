//! Hosts, then the most specific path, then the method.

use super::*;

#[test]
fn the_most_specific_path_wins_whatever_the_order_in_the_file() {
    let routes = ["* * /**", "* * /a/{x}", "* * /a/b", "* * /a/{rest*}"];
    for turned in 0..routes.len() {
        let mut order = routes;
        order.rotate_left(turned);
        let table = table(&order);
        for (path, expected) in
            [("/", "/**"), ("/a/b", "/a/b"), ("/a/c", "/a/{x}"), ("/a/b/c", "/a/{rest*}")]
        {
            let found = table.find("h", &Method::GET, path.as_bytes()).unwrap();
            assert_eq!(found.pattern.as_str(), expected, "{path}");
        }
    }
}

#[test]
fn the_host_decides_before_the_path() {
    let table = table(&[
        "* api.example.com /a",
        "* *.example.com /a /b",
        "* *.api.example.com /a",
        "* * /a /b /c",
    ]);
    let find = |host: &str, path: &str| found(&table, host, Method::GET, path);
    for (host, path, route) in [
        ("api.example.com", "/a", 0),
        ("API.EXAMPLE.COM.:8443", "/a", 0),
        ("www.example.com", "/a", 1),
        ("a.b.example.com", "/a", 1),
        ("x.api.example.com", "/a", 2),
        ("x.y.api.example.com", "/a", 2),
        ("example.com", "/a", 3),
        ("evilexample.com", "/a", 3),
        ("", "/a", 3),
        ("[::1]:80", "/a", 3),
    ] {
        assert_eq!(find(host, path), Ok(route), "{host}");
    }
}

#[test]
fn a_host_without_a_pattern_for_the_path_falls_to_the_next() {
    let table = table(&["GET api.example.com /a", "* *.example.com /b", "* * /c /a"]);
    let find = |method, path: &str| found(&table, "api.example.com", method, path);
    assert_eq!(find(Method::GET, "/b"), Ok(1));
    assert_eq!(find(Method::GET, "/c"), Ok(2));
    assert_eq!(find(Method::GET, "/d"), Err(RouteFault::NoRoute));
    // The path decides alone: the narrower host has a pattern, and no route for the method.
    let allow = vec![Method::GET, Method::HEAD];
    assert_eq!(find(Method::POST, "/a"), Err(RouteFault::MethodNotAllowed { allow }));
}

#[test]
fn a_malformed_host_finds_no_route_that_takes_any_host() {
    let table = table(&["* * /**"]);
    for host in ["a b", "a..b", "a:x", "a/b", "a@b", "a,b"] {
        assert_eq!(found(&table, host, Method::GET, "/"), Err(RouteFault::MalformedHost), "{host}");
    }
}

#[test]
fn an_address_has_no_domains_above_it() {
    let table = table(&["* *.0.0.1x /a", "* [::1] /a", "* 10.0.0.1 /b"]);
    assert_eq!(found(&table, "[0:0::1]", Method::GET, "/a"), Ok(1));
    assert_eq!(found(&table, "[::ffff:10.0.0.1]:1", Method::GET, "/b"), Ok(2));
}

#[test]
fn the_path_decides_alone_and_405_names_all_its_methods() {
    let table = table(&["GET * /a", "POST,PURGE * /a", "* * /**"]);
    let find = |method| found(&table, "h", method, "/a");
    assert_eq!((find(Method::GET), find(Method::POST)), (Ok(0), Ok(1)));
    let purge = parse_method("PURGE").unwrap();
    let allow = vec![Method::GET, Method::HEAD, Method::POST, purge];
    assert_eq!(find(Method::DELETE), Err(RouteFault::MethodNotAllowed { allow }));
}

#[test]
fn head_is_governed_by_get_unless_it_is_named() {
    let table = table(&["GET * /a", "GET * /b", "HEAD,POST * /b", "POST * /c"]);
    assert_eq!(found(&table, "h", Method::HEAD, "/a"), Ok(0));
    assert_eq!(found(&table, "h", Method::HEAD, "/b"), Ok(2));
    assert!(matches!(
        found(&table, "h", Method::HEAD, "/c"),
        Err(RouteFault::MethodNotAllowed { .. })
    ));
}

#[test]
fn connect_and_trace_fall_under_no_route() {
    let table = table(&["* * /**", "TRACE,GET * /a"]);
    for method in [Method::CONNECT, Method::TRACE] {
        for path in ["/", "/a"] {
            let fault = found(&table, "h", method.clone(), path).unwrap_err();
            let RouteFault::MethodNotAllowed { allow } = fault else { panic!("{fault}") };
            assert!(allow.contains(&Method::GET) && !allow.contains(&method));
        }
    }
}

#[test]
fn methods_compare_with_case() {
    let table = table(&["GET * /a"]);
    let get = Method::from_bytes(b"get").unwrap();
    assert!(matches!(found(&table, "h", get, "/a"), Err(RouteFault::MethodNotAllowed { .. })));
}

#[test]
fn a_trailing_slash_changes_nothing() {
    let table = table(&["* * /a", "* * /u/{id}", "* * /f/{rest*}", "* * /"]);
    assert_eq!(
        (get(&table, "/a/"), get(&table, "/u/7/"), get(&table, "/f/x/")),
        (Ok(0), Ok(1), Ok(2))
    );
    assert_eq!(
        (get(&table, "/u/"), get(&table, "/f/")),
        (Err(RouteFault::NoRoute), Err(RouteFault::NoRoute))
    );
    let found = table.find("h", &Method::GET, b"/u/7/").unwrap();
    assert_eq!(found.params.get("id"), Some("7"));
}

#[test]
fn parameters_hold_what_segments_read_decoded_once() {
    let table = table(&["* * /{a}/x/{b}/{rest*}"]);
    let path = b"/J%C3%B6rg/x/100%25/p%20q/%41/";
    let found = table.find("h", &Method::GET, path).unwrap();
    let pairs: Vec<_> = found.params.iter().collect();
    assert_eq!(pairs, [("a", "Jörg"), ("b", "100%"), ("rest", "p q/A")]);
    assert_eq!(found.params.raw_remainder("rest"), Some("p%20q/%41/"));
    assert_eq!(found.params.raw_remainder("b"), None);
    assert_eq!(found.params.get("c"), None);
}

#[test]
fn a_remainder_is_known_as_it_came() {
    let table = table(&["* * /f/{rest*}", "* * /g/**"]);
    for (path, value, raw) in
        [("/f/a", "a", "a"), ("/f/a/", "a", "a/"), ("/f/a/b", "a/b", "a/b"), ("/f//a", "/a", "/a")]
    {
        let found = table.find("h", &Method::GET, path.as_bytes()).unwrap();
        assert_eq!(found.params.get("rest"), Some(value), "{path}");
        assert_eq!(found.params.raw_remainder("rest"), Some(raw), "{path}");
    }
    let found = table.find("h", &Method::GET, b"/g/a").unwrap();
    assert_eq!(found.params.iter().count(), 0);
}

#[test]
fn a_value_that_is_not_text_is_nothing_to_anybody() {
    let table = table(&["* * /{a}"]);
    let found = table.find("h", &Method::GET, b"/%ff").unwrap();
    assert_eq!((found.params.get("a"), found.params.iter().count()), (None, 0));
}

#[test]
fn a_target_that_is_no_path_has_no_route() {
    let table = table(&["* * /**"]);
    assert_eq!(get(&table, "*"), Err(RouteFault::NoRoute));
    for path in ["", "a", "http://h/a", "%2fa"] {
        assert_eq!(get(&table, path), Err(RouteFault::MalformedTarget), "{path}");
    }
    assert_eq!(
        table.find("h", &Method::GET, b"/\xff").unwrap_err(),
        RouteFault::AmbiguousPath(Ambiguity::NonAscii)
    );
}

#[test]
fn an_empty_table_has_no_route() {
    assert_eq!(get(&RouteTable::default(), "/"), Err(RouteFault::NoRoute));
    assert_eq!(get(&built(&[]), "/Admin//x;y"), Err(RouteFault::NoRoute));
}

#[test]
fn an_overriding_method_must_fall_under_the_same_route() {
    let table = table(&["GET,PUT * /a", "DELETE * /a", "* * /b"]);
    let judge =
        |path: &str, route, value| table.judge_overrides("h", path.as_bytes(), route, [value]);
    for value in ["GET", "PUT", "put", " Put ", "HEAD"] {
        assert_eq!(judge("/a", 0, value), Ok(()), "{value}");
    }
    for value in ["DELETE", "delete", "POST", "", " ", "PUT, GET", "TRACE", "CONNECT", "P\0T"] {
        assert_eq!(judge("/a", 0, value), Err(RouteFault::AmbiguousMethod), "{value:?}");
    }
    assert_eq!(judge("/b", 2, "WHATEVER"), Ok(()));
    assert_eq!(judge("/b", 2, "TRACE"), Err(RouteFault::AmbiguousMethod));
    let several = table.judge_overrides("h", b"/a", 0, ["PUT", "DELETE"]);
    assert_eq!(several, Err(RouteFault::AmbiguousMethod));
}
