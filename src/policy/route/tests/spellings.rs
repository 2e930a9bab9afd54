//! More than 200 spellings of paths, each with what must become of it.

use super::*;

const SPELLINGS: &str = include_str!("spellings.txt");

/// The routes of `spellings.txt`; a name is the word before the route.
const ROUTES: [&str; 7] = [
    "root * * /",
    "public * * /public/**",
    "admin * * /admin/**",
    "users * * /users/{id}",
    "files * * /files/{rest*}",
    "login POST * /login",
    "objects * * /objects/{key}",
];

fn routes() -> RouteTable {
    let entries = ROUTES.map(|text| {
        let (name, text) = text.split_once(' ').unwrap();
        match name {
            "users" => guarding(route(text), &["id"]),
            "objects" => keeping(route(text), &[Difference::EncodedSlash]),
            _ => route(text),
        }
    });
    built(&entries)
}

fn outcome(table: &RouteTable, target: &str) -> &'static str {
    let found = Target::parse(target.as_bytes())
        .and_then(|target| table.find("any.example", &Method::GET, target.path));
    match found {
        Ok(found) => ROUTES[found.route].split_once(' ').unwrap().0,
        Err(RouteFault::AmbiguousPath(_)) => "ambiguous",
        Err(RouteFault::MethodNotAllowed { .. }) => "other-method",
        Err(RouteFault::NoRoute) => "no-route",
        Err(RouteFault::MalformedTarget) => "malformed",
        Err(RouteFault::AmbiguousMethod | RouteFault::MalformedHost) => "unexpected",
    }
}

#[test]
fn every_spelling_comes_to_what_its_line_says() {
    let table = routes();
    let mut expected = "";
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in SPELLINGS.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        if let Some(section) = line.strip_prefix("== ") {
            expected = section;
            continue;
        }
        for target in line.split(' ') {
            count += 1;
            let outcome = outcome(&table, target);
            if outcome != expected {
                wrong.push(format!("{target} is {outcome}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 200, "{count} spellings");
}
