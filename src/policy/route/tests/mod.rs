//! The table as a whole: what it finds, what it refuses, what it says of its routes.

mod ambiguity;
mod finding;
mod oracle;
mod overlaps;
mod spellings;
mod surveys;

use http::Method;

use super::*;

/// A route in few words: `GET,POST api.example.com /a/{x} /b`; `*` for any method or host.
pub(super) fn route(text: &str) -> Entry {
    let mut words = text.split(' ');
    let methods = match words.next().unwrap() {
        "*" => MethodSet::Any,
        names => MethodSet::named(names.split(',').map(|name| parse_method(name).unwrap())),
    };
    let hosts = match words.next().unwrap() {
        "*" => Vec::new(),
        names => names.split(',').map(|name| HostPattern::parse(name).unwrap()).collect(),
    };
    let paths = words.map(|path| PathPattern::parse(path).unwrap()).collect();
    let distinguishes = Distinguishes::NOTHING;
    Entry { hosts, paths, methods, distinguishes, guarded: Vec::new() }
}

/// The same route before an upstream that keeps differences apart.
pub(super) fn keeping(mut entry: Entry, differences: &[Difference]) -> Entry {
    entry.distinguishes = differences.iter().copied().collect();
    entry
}

/// The same route with a policy that uses these parameters.
pub(super) fn guarding(mut entry: Entry, names: &[&str]) -> Entry {
    entry.guarded = names.iter().map(|name| (*name).to_owned()).collect();
    entry
}

pub(super) fn table(routes: &[&str]) -> RouteTable {
    built(&routes.iter().map(|text| route(text)).collect::<Vec<_>>())
}

pub(super) fn built(entries: &[Entry]) -> RouteTable {
    RouteTable::build(entries).expect("no overlaps")
}

/// The route that a GET finds.
pub(super) fn get(table: &RouteTable, path: &str) -> Result<usize, RouteFault> {
    found(table, "any.example", Method::GET, path)
}

pub(super) fn found(
    table: &RouteTable,
    host: &str,
    method: Method,
    path: &str,
) -> Result<usize, RouteFault> {
    table.find(host, &method, path.as_bytes()).map(|found| found.route)
}

pub(super) fn other_route(reading: &str) -> RouteFault {
    Ambiguity::OtherRoute { reading: reading.to_owned() }.into()
}
