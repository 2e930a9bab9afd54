//! Routes that could both win.

use super::*;

fn overlaps(entries: &[Entry]) -> Vec<(usize, usize, String)> {
    let found = RouteTable::build(entries).err().unwrap_or_default();
    found.iter().map(|overlap| (overlap.first, overlap.second, overlap.to_string())).collect()
}

fn of(routes: &[&str]) -> Vec<(usize, usize, String)> {
    overlaps(&routes.iter().map(|text| route(text)).collect::<Vec<_>>())
}

#[test]
fn two_routes_for_one_request_are_named_with_where_they_meet() {
    assert_eq!(
        of(&["GET,POST * /u/{id}", "* * /x", "POST,DELETE * /u/{name}"]),
        [(0, 2, "`/u/{id}` and `/u/{name}` match the same paths, for POST".to_owned())]
    );
    assert_eq!(
        of(&["* a.example,*.b.example /x", "* *.b.example /x"]),
        [(
            0,
            1,
            "`/x` and `/x` match the same paths, for every method on `*.b.example`".to_owned()
        )]
    );
    assert_eq!(of(&["* * /f/{rest*}", "GET * /f/**"]).len(), 1);
    assert_eq!(of(&["PURGE * /a", "PURGE * /a"]).len(), 1);
}

#[test]
fn every_pair_is_reported_once() {
    let found =
        of(&["* a.example,b.example /x /y", "* * /z", "GET * /z", "* b.example,a.example /y /x"]);
    assert_eq!(
        found.iter().map(|(first, second, _)| (*first, *second)).collect::<Vec<_>>(),
        [(1, 2), (0, 3)]
    );
}

#[test]
fn routes_that_no_request_confuses_are_no_overlap() {
    let distinct: [&[&str]; 7] = [
        &["GET * /a", "POST * /a"],
        &["GET * /a", "HEAD * /a"],
        &["* a.example /a", "* *.example /a", "* * /a"],
        &["* * /a", "* * /a/**", "* * /a/{x}", "* * /a/b", "* * /**", "* * /"],
        &["GET * /f/{rest*}", "POST * /f/**"],
        &["* * /a/{x}/c", "* * /{y}/b/c"],
        &["* * /a /a"],
    ];
    for routes in distinct {
        assert_eq!(of(routes), [], "{routes:?}");
    }
}

#[test]
fn a_route_that_lists_a_path_twice_under_other_names_is_reported() {
    let found = of(&["* * /u/{a} /u/{b}"]);
    assert_eq!(
        found.iter().map(|(first, second, _)| (*first, *second)).collect::<Vec<_>>(),
        [(0, 0)]
    );
}

#[test]
fn templates_that_differ_only_in_case_overlap_unless_both_upstreams_distinguish_it() {
    let [upper, lower] = ["GET * /Users/{id}", "POST * /users/{id}"].map(route);
    let kept = |entry: &Entry| keeping(entry.clone(), &[Difference::Case]);
    let text = "`/Users/{id}` and `/users/{id}` differ in letter case only".to_owned();
    let expected = [(0, 1, text)];
    assert_eq!(overlaps(&[upper.clone(), lower.clone()]), expected);
    assert_eq!(overlaps(&[kept(&upper), lower.clone()]), expected);
    assert_eq!(overlaps(&[upper.clone(), kept(&lower)]), expected);
    assert_eq!(overlaps(&[kept(&upper), kept(&lower)]), []);
    let table = built(&[kept(&upper), kept(&lower)]);
    assert_eq!(get(&table, "/Users/7"), Ok(0));
    assert_eq!(found(&table, "h", Method::POST, "/users/7"), Ok(1));
    assert!(matches!(get(&table, "/users/7"), Err(RouteFault::MethodNotAllowed { .. })));
    assert_eq!(get(&table, "/USERS/7"), Err(RouteFault::NoRoute));
}

#[test]
fn one_route_may_list_both_spellings() {
    let table = table(&["* * /Users /users", "* a.example /USERS"]);
    assert_eq!(
        (get(&table, "/users"), get(&table, "/Users"), get(&table, "/USERS")),
        (Ok(0), Ok(0), Err(other_route("/users")))
    );
}

#[test]
fn many_routes_of_one_pattern_are_reported_in_linear_number() {
    let routes: Vec<Entry> = (0..200).map(|_| route("* * /a")).collect();
    assert_eq!(overlaps(&routes).len(), 199);
}
