//! The table against a judge that knows none of its parts: it tries every route in turn, and
//! finds the readings of a path by searching all orders of steps over lists of segments.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A route as text, for the oracle and for the table.
#[derive(Clone, Debug)]
struct Plan {
    host: &'static str,
    paths: Vec<String>,
    methods: &'static str,
    keeps: Vec<&'static str>,
    guarded: Vec<&'static str>,
}

impl Plan {
    fn entry(&self) -> Entry {
        let text = format!("{} {} {}", self.methods, self.host, self.paths.join(" "));
        let differences: Vec<_> =
            self.keeps.iter().map(|name| Difference::parse(name).unwrap()).collect();
        guarding(keeping(route(&text), &differences), &self.guarded)
    }

    fn takes(&self, method: &str) -> bool {
        self.methods == "*" || self.methods.split(',').any(|name| name == method)
    }
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Ambiguous,
    NoRoute,
    OtherMethod,
    Route(usize),
}

// ── the oracle ──────────────────────────────────────────────────────────────────────────────

type Path = Vec<Vec<u8>>;
type Values = Vec<(String, String)>;

/// What one reading finds: the routes that matter and, for a route, its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    routes: BTreeSet<usize>,
    params: Option<Values>,
}

fn judged(plans: &[Plan], host: &str, method: &str, path: &str) -> Option<Verdict> {
    let raw: Path = path[1..].split('/').map(|segment| segment.as_bytes().to_vec()).collect();
    let invalid = raw.iter().any(|segment| unescape(segment, true).is_none());
    if invalid {
        return Some(Verdict::Ambiguous);
    }
    let everything = states(&raw, &[]);
    let poisoned = |segment: &Vec<u8>| {
        segment == b"." || segment == b".." || segment.iter().any(u8::is_ascii_control)
    };
    if everything.iter().any(|(_, segments)| segments.iter().any(poisoned)) {
        return Some(Verdict::Ambiguous);
    }
    if everything.len() > 40 {
        return None; // near the bound on readings, which is counted in another way
    }
    let received: Path = raw.iter().map(|segment| unescape(segment, true).unwrap()).collect();
    let (finding, literals) = find(plans, host, method, &received, false);
    let encoded = |depth: &usize| {
        let text = String::from_utf8(raw[*depth].clone()).unwrap();
        let mut escapes =
            text.split('%').skip(1).map(|rest| u8::from_str_radix(&rest[..2], 16).unwrap());
        escapes.any(|byte| byte.is_ascii_graphic())
    };
    if literals.iter().any(encoded) {
        return Some(Verdict::Ambiguous);
    }
    if finding.params.is_some() {
        let route = *finding.routes.first().unwrap();
        let plan = &plans[route];
        let same = readings(&raw, &plan.keeps).into_iter().all(|(reading, folded)| {
            let other = find(plans, host, method, &reading, folded).0;
            let value = |finding: &Finding, name: &str| {
                let params = finding.params.clone().unwrap();
                params
                    .into_iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.to_lowercase())
            };
            other.params.is_some()
                && other.routes == finding.routes
                && plan.guarded.iter().all(|name| value(&other, name) == value(&finding, name))
        });
        return Some(if same { Verdict::Route(route) } else { Verdict::Ambiguous });
    }
    let refused = if finding.routes.is_empty() { Verdict::NoRoute } else { Verdict::OtherMethod };
    for upstream in plans {
        for (reading, folded) in readings(&raw, &upstream.keeps) {
            let other = find(plans, host, method, &reading, folded).0;
            let mut led = finding.routes.union(&other.routes).map(|route| &plans[*route]);
            if other.routes != finding.routes
                && led.any(|plan| same_set(&plan.keeps, &upstream.keeps))
            {
                return Some(Verdict::Ambiguous);
            }
        }
    }
    Some(refused)
}

fn same_set(one: &[&str], other: &[&str]) -> bool {
    BTreeSet::from_iter(one) == BTreeSet::from_iter(other)
}

/// The readings that count, each with case and, unless it is kept apart, without.
fn readings(raw: &Path, keeps: &[&str]) -> Vec<(Path, bool)> {
    let decoded = states(raw, keeps).into_iter().filter(|(level, _)| *level > 0);
    let paths: BTreeSet<Path> = decoded.map(|(_, segments)| segments).collect();
    let modes: &[bool] = if keeps.contains(&"case") { &[false] } else { &[false, true] };
    paths
        .into_iter()
        .flat_map(|path| modes.iter().map(move |folded| (path.clone(), *folded)))
        .collect()
}

/// All that steps in any order make of a path, with how often each was decoded.
fn states(raw: &Path, keeps: &[&str]) -> BTreeSet<(u8, Path)> {
    let keeps = |name| keeps.contains(&name);
    let mut seen = BTreeSet::new();
    let mut todo = vec![(0_u8, raw.clone())];
    while let Some((level, path)) = todo.pop() {
        if !seen.insert((level, path.clone())) {
            continue;
        }
        assert!(seen.len() < 20_000, "the oracle is lost");
        if level == 0 || level == 1 && !keeps("double_encoding") {
            let decoded = path.iter().map(|segment| unescape(segment, false).unwrap()).collect();
            todo.push((level + 1, decoded));
        }
        if !keeps("encoded_slash") {
            todo.push((level, divide(&path, b'\\')));
            todo.push((level, divide(&path, b'/')));
        }
        if !keeps("parameters") {
            let bare = |segment: &Vec<u8>| match segment.iter().position(|byte| *byte == b';') {
                Some(at) => segment[..at].to_vec(),
                None => segment.clone(),
            };
            todo.push((level, path.iter().map(bare).collect()));
        }
        if !keeps("empty_segments") {
            let last = path.len() - 1;
            let full = |(at, segment): &(usize, &Vec<u8>)| *at == last || !segment.is_empty();
            let merged = path.iter().enumerate().filter(full).map(|(_, segment)| segment.clone());
            todo.push((level, merged.collect()));
            if level == 0 && path.len() > 1 && path[0].is_empty() {
                let below: Path = path[2..].to_vec();
                todo.push((level, if below.is_empty() { vec![Vec::new()] } else { below }));
            }
        }
        if path.len() > 1 && path[path.len() - 1].is_empty() {
            todo.push((level, path[..path.len() - 1].to_vec()));
        }
    }
    seen
}

fn divide(path: &Path, slash: u8) -> Path {
    path.iter()
        .flat_map(|segment| segment.split(|byte| *byte == slash))
        .map(<[u8]>::to_vec)
        .collect()
}

fn unescape(segment: &[u8], strict: bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < segment.len() {
        let digits = segment.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        let value = digits
            .filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match value {
            Some(value) if segment[at] == b'%' => {
                out.push(value);
                at += 3;
            }
            _ if strict && segment[at] == b'%' => return None,
            _ => {
                out.push(segment[at]);
                at += 1;
            }
        }
    }
    Some(out)
}

/// The routes that win for these segments, and the segments that literals matched.
fn find(
    plans: &[Plan],
    host: &str,
    method: &str,
    path: &Path,
    folded: bool,
) -> (Finding, Vec<usize>) {
    let mut segments: Vec<String> =
        path.iter().map(|segment| String::from_utf8_lossy(segment).into_owned()).collect();
    if segments.last().is_some_and(String::is_empty) {
        segments.pop();
    }
    let mut matches = Vec::new();
    for (route, plan) in plans.iter().enumerate() {
        let Some(rank) = host_rank(plan.host, host) else { continue };
        for template in &plan.paths {
            if let Some((kinds, params)) = matching(template, &segments, folded) {
                matches.push((rank, kinds, route, params));
            }
        }
    }
    let Some(best) = matches.iter().map(|(rank, kinds, ..)| (*rank, kinds.clone())).min() else {
        return (Finding { routes: BTreeSet::new(), params: None }, Vec::new());
    };
    matches.retain(|(rank, kinds, ..)| (*rank, kinds) == (best.0, &best.1));
    let literals = (0..best.1.len()).filter(|depth| best.1[*depth] == 'a').collect();
    let taking = |method: &str| matches.iter().find(|(_, _, route, _)| plans[*route].takes(method));
    let winner = taking(method).or_else(|| taking(if method == "HEAD" { "GET" } else { method }));
    let finding = match winner {
        Some((_, _, route, params)) => {
            Finding { routes: BTreeSet::from([*route]), params: Some(params.clone()) }
        }
        None => Finding {
            routes: matches.iter().map(|(_, _, route, _)| *route).collect(),
            params: None,
        },
    };
    (finding, literals)
}

/// How narrow the host pattern is that matches; smaller is narrower.
fn host_rank(pattern: &str, host: &str) -> Option<i32> {
    match pattern.strip_prefix('*') {
        None => (pattern == host).then_some(-1000),
        Some("") => Some(0),
        Some(domain) => (host.ends_with(domain) && host.len() > domain.len())
            .then(|| -i32::try_from(domain.len()).unwrap()),
    }
}

/// The kinds of a template's segments (`a` literal, `b` parameter, `c` remainder, in the order of
/// precedence) and the values of its parameters, if it matches.
fn matching(template: &str, segments: &[String], folded: bool) -> Option<(Vec<char>, Values)> {
    let fold = |text: &str| if folded { text.to_lowercase() } else { text.to_owned() };
    let mut left = segments;
    let (mut kinds, mut params) = (Vec::new(), Vec::new());
    for part in template.split('/').skip(1).filter(|part| !part.is_empty()) {
        if part == "**" {
            kinds.push('c');
            return Some((kinds, params));
        }
        if let Some(name) = part.strip_suffix("*}") {
            kinds.push('c');
            params.push((name[1..].to_owned(), left.join("/")));
            return left.iter().any(|segment| !segment.is_empty()).then_some((kinds, params));
        }
        let (first, rest) = left.split_first()?;
        match part.strip_prefix('{') {
            Some(name) if !first.is_empty() => {
                kinds.push('b');
                params.push((name.trim_end_matches('}').to_owned(), first.clone()));
            }
            None if fold(part) == fold(first) => kinds.push('a'),
            _ => return None,
        }
        left = rest;
    }
    left.is_empty().then_some((kinds, params))
}

fn confusable(plans: &[Plan]) -> bool {
    let shape = |template: &str, folded: bool| -> String {
        let part = |part: &str| match part {
            "**" => "*".to_owned(),
            _ if part.ends_with("*}") => "*".to_owned(),
            _ if part.starts_with('{') => "{}".to_owned(),
            _ if folded => part.to_lowercase(),
            _ => part.to_owned(),
        };
        template.split('/').map(part).collect::<Vec<_>>().join("/")
    };
    for (one, left) in plans.iter().enumerate() {
        for (other, right) in plans.iter().enumerate().skip(one) {
            for (i, a) in left.paths.iter().enumerate() {
                for (j, b) in right.paths.iter().enumerate() {
                    if left.host != right.host || one == other && i >= j {
                        continue;
                    }
                    let common = ["GET", "HEAD", "POST", "PUT"]
                        .iter()
                        .any(|m| left.takes(m) && right.takes(m));
                    let exact = shape(a, false) == shape(b, false);
                    if exact && (if one == other { a != b } else { common }) {
                        return true;
                    }
                    let cased = left.keeps.contains(&"case") && right.keeps.contains(&"case");
                    if one != other && !exact && shape(a, true) == shape(b, true) && !cased {
                        return true;
                    }
                }
            }
        }
    }
    false
}

// ── what it is asked ────────────────────────────────────────────────────────────────────────

const KEEPS: [&str; 5] =
    ["case", "double_encoding", "empty_segments", "encoded_slash", "parameters"];

fn template() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "a", "b", "B", "Ab", "é", "{x}", "{y}"]);
    let tail = prop::sample::select(vec!["", "", "", "/**", "/{rest*}"]);
    (prop::collection::vec(part, 0..4), tail)
        .prop_map(|(parts, tail)| {
            let path: String =
                parts.iter().map(|part| format!("/{part}")).collect::<String>() + tail;
            if path.is_empty() { "/".to_owned() } else { path }
        })
        .prop_filter("two parameters of one name", |path| PathPattern::parse(path).is_ok())
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        prop::sample::select(vec!["*", "*", "*", "h.t", "*.t"]),
        prop::collection::vec(template(), 1..3),
        prop::sample::select(vec!["*", "GET", "POST", "GET,POST", "HEAD,PUT"]),
        prop_oneof![
            3 => Just(Vec::new()),
            1 => prop::sample::subsequence(KEEPS.to_vec(), 0..=5),
        ],
        prop_oneof![
            2 => Just(Vec::new()),
            1 => prop::sample::subsequence(vec!["x", "y", "rest"], 1..=3),
        ],
    )
        .prop_map(|(host, paths, methods, keeps, guarded)| Plan {
            host,
            paths,
            methods,
            keeps,
            guarded,
        })
}

fn path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", "a", "a", "b", "a", "b", "B", "A", "Ab", "/a", "/b", "/a/b", "%c3%a9",
        "%C3%89", "%61", "%42", "%20", "%2f", "%2F", "%252f", "%5c", "\\", "%255c", ";", ";b",
        "%3b", "%253B", "%25", "%2561", "%2541", ".", "%2e", "%252e", "..", "//",
    ]);
    prop::collection::vec(piece, 0..7).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(400), failure_persistence: None, ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_table_agrees_with_an_oracle_that_tries_every_route(
        plans in prop::collection::vec(plan(), 1..7),
        paths in prop::collection::vec(path(), 1..12),
        host in prop::sample::select(vec!["h.t", "g.t", "g.h.t", "z"]),
        method in prop::sample::select(vec!["GET", "HEAD", "POST", "PUT"]),
    ) {
        // Leave out what cannot stand together, so that most cases come to a table.
        let mut kept: Vec<Plan> = Vec::new();
        for plan in plans {
            kept.push(plan);
            if confusable(&kept) {
                kept.pop();
            }
        }
        let entries: Vec<Entry> = kept.iter().map(Plan::entry).collect();
        let table = RouteTable::build(&entries).map_err(|overlaps| TestCaseError::fail(format!("{overlaps:?}")))?;
        for path in &paths {
            let Some(expected) = judged(&kept, host, method, path) else { continue };
            let found = found(&table, host, parse_method(method).unwrap(), path);
            let verdict = match &found {
                Ok(route) => Verdict::Route(*route),
                Err(RouteFault::AmbiguousPath(_)) => Verdict::Ambiguous,
                Err(RouteFault::NoRoute) => Verdict::NoRoute,
                Err(RouteFault::MethodNotAllowed { .. }) => Verdict::OtherMethod,
                Err(other) => panic!("{other}"),
            };
            prop_assert_eq!(&verdict, &expected, "{} {} {}: {:?}", method, host, path, found);
        }
    }

    #[test]
    fn routes_overlap_where_the_oracle_finds_two_that_could_win(
        plans in prop::collection::vec(plan(), 1..5),
    ) {
        let entries: Vec<Entry> = plans.iter().map(Plan::entry).collect();
        prop_assert_eq!(RouteTable::build(&entries).is_err(), confusable(&plans));
    }

    #[test]
    fn no_text_is_more_than_a_pattern_or_a_path(text in "\\PC{0,20}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = PathPattern::parse(&text);
        let _ = HostPattern::parse(&text);
        let _ = Host::parse(&text);
        let _ = Target::parse(&bytes).map(|target| table(&["* * /**", "* * /A/{b}"]).find("h", &Method::GET, target.path).is_ok());
        let _ = overrides_in_query(&bytes).count();
    }
}

#[test]
fn the_oracle_itself_knows_an_attack_when_it_sees_one() {
    let plan = |path: &str| Plan {
        host: "*",
        paths: vec![path.to_owned()],
        methods: "*",
        keeps: Vec::new(),
        guarded: Vec::new(),
    };
    let plans = [plan("/**"), plan("/a/b")];
    for (path, verdict) in [
        ("/a/b", Verdict::Route(1)),
        ("/b", Verdict::Route(0)),
        ("/a%2fb", Verdict::Ambiguous),
        ("/A/b", Verdict::Ambiguous),
        ("/a/%62", Verdict::Ambiguous),
        ("/x/../a/b", Verdict::Ambiguous),
        ("/a/%253b/b", Verdict::Ambiguous),
    ] {
        assert_eq!(judged(&plans, "h", "GET", path), Some(verdict), "{path}");
    }
}
