//! What a request could be read as, and which of these readings count.

use super::*;

fn differs(name: &str, reading: &str) -> RouteFault {
    Ambiguity::ParameterDiffers { name: name.to_owned(), reading: reading.to_owned() }.into()
}

#[test]
fn a_path_whose_readings_find_one_route_is_let_through() {
    let table = table(&["* * /app/**", "* * /other"]);
    for path in
        ["/app/a%2fb", "/app/A", "/app/a;v=1/b", "/app//a", "/app/a\\b", "/app/%2561", "/app/a//"]
    {
        assert_eq!(get(&table, path), Ok(0), "{path}");
    }
}

#[test]
fn a_path_that_reads_as_another_route_is_refused_and_says_so() {
    let table = table(&["* * /{page}", "* * /admin", "* * /**"]);
    for (path, reading) in [
        ("/Admin", "/admin"),
        ("/admin;x", "/admin"),
        ("/admin%3bx", "/admin"),
        ("/%2561dmin", "/admin"),
        ("//admin", "/admin"),
        ("/admin//", "/admin/"),
        ("/x%2fy", "/x/y"),
        ("/x\\y", "/x/y"),
        ("/%c5%bfx%2fy", "/\\xc5\\xbfx/y"),
    ] {
        assert_eq!(get(&table, path), Err(other_route(reading)), "{path}");
    }
}

#[test]
fn a_reading_without_a_route_is_another_route_too() {
    let table = table(&["* * /u/{id}", "POST * /l/{x}"]);
    assert_eq!(get(&table, "/u/a%2fb"), Err(other_route("/u/a/b")));
    assert_eq!(get(&table, "/U/a"), Err(other_route("/u/a")));
    assert_eq!(get(&table, "//x/u/7"), Err(other_route("/u/7")));
    assert_eq!(get(&table, "/L/a"), Err(other_route("/l/a")));
    // No reading has a route, or all meet at the same pattern.
    assert_eq!(get(&table, "/X//y"), Err(RouteFault::NoRoute));
    assert_eq!(
        get(&table, "/l/A"),
        Err(RouteFault::MethodNotAllowed { allow: vec![Method::POST] })
    );
}

#[test]
fn one_route_may_have_several_of_the_patterns_that_readings_find() {
    let table = table(&["* * /{page} /admin /x/{y}"]);
    for path in ["/Admin", "/admin;x", "/x%2fy"] {
        assert_eq!(get(&table, path), Ok(0), "{path}");
    }
}

#[test]
fn steps_are_combined() {
    let table = table(&["* * /**", "* * /admin/x"]);
    for path in [
        "/ADMIN%2FX",
        "//Admin;a/;b/x",
        "/admin%5cx;y",
        "/%2541dmin%252fx",
        "/admin/%253bq/x//",
        "/;/admin\\x",
        "/adm%2569n;a%2fb/x",
        "//host/admin/x",
        "/\\host\\admin/x",
    ] {
        let fault = get(&table, path).unwrap_err();
        let other = matches!(fault, RouteFault::AmbiguousPath(Ambiguity::OtherRoute { .. }));
        assert!(other, "{path}: {fault}");
    }
}

#[test]
fn templates_with_case_are_read_without_it() {
    let table = table(&["* * /Users/{Id}", "* * /{x}/me"]);
    assert_eq!(get(&table, "/Users/7"), Ok(0));
    assert_eq!(get(&table, "/users/me"), Err(other_route("/users/me")));
    assert_eq!(get(&table, "/users/7"), Err(other_route("/users/7")));
    assert_eq!(get(&table, "/other/me"), Ok(1));
}

#[test]
fn letters_that_fold_to_ascii_are_letters() {
    let table = table(&["* * /{x}", "* * /keys"]);
    assert_eq!(get(&table, "/%e2%84%aaeys"), Err(other_route("/keys")));
    assert_eq!(get(&table, "/key%c5%bf"), Err(other_route("/keys")));
}

#[test]
fn an_encoded_visible_character_in_a_literal_segment_is_refused() {
    let mut spaced = route("* *");
    spaced.paths.push(PathPattern::parse("/my files/ä").unwrap());
    let table =
        built(&[route("* * /admin/{x}"), spaced, route("POST * /post"), route("* * /f/**")]);
    for path in ["/%61dmin/x", "/admi%6E/x", "/my%20f%69les/%c3%a4", "/%70ost", "/%66/x"] {
        assert_eq!(get(&table, path), Err(Ambiguity::EncodedLiteral.into()), "{path}");
    }
    assert_eq!(get(&table, "/admin/%61"), Ok(0));
    assert_eq!(get(&table, "/my%20files/%c3%a4"), Ok(1));
    assert_eq!(get(&table, "/f/%61"), Ok(3));
}

#[test]
fn a_parameter_that_policy_uses_is_the_same_in_every_reading() {
    let table = built(&[
        guarding(route("* * /u/{id}"), &["id"]),
        guarding(route("* * /f/{rest*}"), &["rest"]),
        route("* * /w/{id}"),
    ]);
    assert_eq!(get(&table, "/u/Bob"), Ok(0));
    assert_eq!(get(&table, "/u/%42ob"), Ok(0));
    assert_eq!(get(&table, "/u/bob;v=1"), Err(differs("id", "/u/bob")));
    assert_eq!(get(&table, "/u/%2562ob"), Err(differs("id", "/u/bob")));
    assert_eq!(get(&table, "/w/bob;v=1"), Ok(2));
    assert_eq!(get(&table, "/f/a//b"), Err(differs("rest", "/f/a/b")));
    assert_eq!(get(&table, "/f/a/"), Ok(1));
    assert_eq!(get(&table, "/f/a%2fB"), Ok(1));
    assert_eq!(
        get(&table, "/u/%ff"),
        Err(Ambiguity::ParameterNotText { name: "id".into() }.into())
    );
    assert_eq!(get(&table, "/w/%ff"), Ok(2));
}

#[test]
fn a_guarded_parameter_that_another_pattern_of_the_route_lacks_is_refused() {
    let table = built(&[guarding(route("* * /u/{id} /u"), &["id"])]);
    assert_eq!(get(&table, "/u"), Ok(0));
    assert_eq!(get(&table, "/u/7"), Ok(0));
    assert_eq!(get(&table, "/u/;7"), Err(differs("id", "/u/")));
}

#[test]
fn a_guarded_parameter_moves_with_no_reading() {
    let table = built(&[guarding(route("* * /t/{tenant}/** /{tenant}/**"), &["tenant"])]);
    assert_eq!(get(&table, "/t%2facme/x"), Err(differs("tenant", "/t/acme/x")));
}

#[test]
fn what_an_upstream_keeps_apart_is_no_reading_of_its_requests() {
    use Difference as D;
    for (difference, path) in [
        (D::Case, "/Admin"),
        (D::DoubleEncoding, "/%2561dmin"),
        (D::EmptySegments, "//admin"),
        (D::EncodedSlash, "/x%2fy"),
        (D::EncodedSlash, "/x%5cy"),
        (D::EncodedSlash, "/x\\y"),
        (D::Parameters, "/admin;x"),
    ] {
        let routes = |kept: &[D]| {
            built(&[
                keeping(route("* * /{page} /**"), kept),
                route("* * /admin"),
                route("* * /x/y /x"),
            ])
        };
        assert!(get(&routes(&[]), path).is_err(), "{path}");
        assert_eq!(get(&routes(&[difference]), path), Ok(0), "{path}");
        let others: Vec<D> = D::ALL.into_iter().filter(|other| *other != difference).collect();
        assert!(get(&routes(&others), path).is_err(), "{path}");
    }
}

#[test]
fn what_another_upstream_keeps_apart_does_not_count() {
    // The bytes go to the first upstream, which may well read them as the second one's path.
    let kept = keeping(route("* * /admin"), &Difference::ALL);
    let table = built(&[route("* * /{page}"), kept]);
    for path in ["/Admin", "/admin;x", "/%2561dmin", "/admin//"] {
        assert_eq!(
            get(&table, path),
            Err(other_route(if path.ends_with('/') { "/admin/" } else { "/admin" })),
            "{path}"
        );
    }
}

#[test]
fn a_path_of_no_route_is_not_read_as_one_that_its_upstream_keeps_apart() {
    let table = built(&[
        keeping(route("* * /objects/{key}"), &[Difference::EncodedSlash, Difference::Case]),
        route("* * /users/{id}"),
    ]);
    assert_eq!(get(&table, "/objects%2fa"), Err(RouteFault::NoRoute));
    assert_eq!(get(&table, "/Objects/a"), Err(RouteFault::NoRoute));
    assert_eq!(get(&table, "/users%2fa"), Err(other_route("/users/a")));
    assert_eq!(get(&table, "//objects/a"), Err(other_route("/objects/a")));
}

#[test]
fn what_is_always_refused_is_refused_whatever_the_upstream_keeps_apart() {
    let table = built(&[keeping(route("* * /**"), &Difference::ALL)]);
    for path in ["/..;x", "/a%2f..", "/%252e%252e", "/a%2500", "/a\\..", "/..%3bx"] {
        assert!(get(&table, path).is_err(), "{path}");
    }
    assert_eq!(get(&table, "//A;x%2f%5c\\%2541//"), Ok(0));
}

#[test]
fn too_many_readings_are_refused() {
    let table = table(&["* * /**"]);
    let path = format!("/a{}", "/".repeat(70));
    assert_eq!(get(&table, &path), Err(Ambiguity::TooManyReadings.into()));
    assert_eq!(get(&built(&[]), &path), Err(RouteFault::NoRoute));
}

#[test]
fn the_host_of_a_reading_is_the_host_of_the_request() {
    let table = table(&["* a.example /{x}", "* * /admin", "* b.example /{x}"]);
    // On `a.example` nothing shadows the parameter; the fall to any host is not reached.
    assert_eq!(found(&table, "a.example", Method::GET, "/Admin"), Ok(0));
    assert_eq!(found(&table, "c.example", Method::GET, "/Admin"), Err(other_route("/admin")));
    // A reading that the narrow host has no pattern for falls to the next one.
    assert_eq!(found(&table, "a.example", Method::GET, "//admin"), Err(other_route("/admin")));
}
