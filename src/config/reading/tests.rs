mod variables;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::{
    diagnostic::to_text,
    document::MAX_DEPTH,
    load::{Loaded, load_text, load_with},
    shape,
    values::{Period, SecretSource},
};

fn environment(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("8080".to_owned()),
        "WORKERS" => Some(" 4 ".to_owned()),
        "YES" => Some("true".to_owned()),
        "TRAP" => Some("x\nadmin: { token: stolen }".to_owned()),
        "LIST" => Some("[a, b]".to_owned()),
        "SECRET" => Some("hunter2-hunter2-hunter2-hunter2-hunter2".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn load(text: &str) -> Loaded {
    load_text("gateway.yaml", text, &environment)
}

/// Every fault as `line:column code message | help`, without what is said of every such code.
fn faults(text: &str) -> Vec<String> {
    let line = |fault: &Diagnostic| {
        let span = fault.span.as_ref().map(|span| span.start());
        let place = span.map_or_else(String::new, |at| format!("{}:{} ", at.line, at.column));
        let help = fault.help.as_deref().filter(|help| codes::remedy(fault.code) != Some(*help));
        let help = help.map_or_else(String::new, |help| format!(" | {help}"));
        format!("{place}{} {}{help}", fault.code, fault.message)
    };
    load(text).diagnostics.iter().map(line).collect()
}

fn codes_of(text: &str) -> Vec<&'static str> {
    load(text).diagnostics.iter().map(|fault| fault.code).collect()
}

#[test]
fn ten_faults_in_ten_sections_are_ten_diagnostics() {
    let text = "\
server: { drain_delay: 5 }
admin: { listen: localhost:9090 }
log: { level: verbose }
upstreams: { app: ftp://app.internal }
authentication: { api_keys: { reject_status: 404 } }
users: [{ usrname: alice }]
roles: { admin: { permissions: ['a b'] } }
plans: { default: }
identity: { strip: 'X-Who' }
routes: [{ match: { path: /, methods: [get] }, timeouts: { response: 1 s } }]
";
    insta::assert_snapshot!(faults(text).join("\n"), @r#"
    1:24 invalid-value a duration needs a unit | write the unit too: `ms`, `s`, `m`, `h` or `d`
    2:18 invalid-value expected an address and a port such as `0.0.0.0:8080` or `[::]:8080`, found `localhost:9090` | write `127.0.0.1:9090`
    3:15 invalid-value expected `error`, `warn`, `info`, `debug` or `trace`, found `verbose`
    4:19 invalid-value an upstream is reached by `http` or `https`
    5:46 invalid-value expected `401` or `403`, found 404
    6:11 unknown-key unknown key `usrname` | did you mean `username`?
    7:33 invalid-value a permission is visible ASCII without spaces, `"` and `\`
    8:10 null-value `default` has no value | give it a value, or remove the line; `[]` and `{}` are values
    9:20 wrong-type expected a list, found `X-Who` | write a list: `[X-Who]`
    10:40 invalid-value methods are written in capitals | write `GET`
    10:70 invalid-value expected a duration such as `500ms`, `30s`, `10m`, `2h` or `14d`, found `1 s`
    "#);
}

#[test]
fn null_is_a_fault_everywhere() {
    for text in [
        "server:\n",
        "server: ~\n",
        "server: { listen: null }\n",
        "routes:\n  -\n",
        "routes: [{ match: { path: / }, allow: }]\n",
        "defaults: { cors: }\n",
        "defaults: { security_headers: { X-Frame-Options: } }\n",
        "roles: { user: }\n",
        "roles: { user: { permissions: [~] } }\n",
        "token: { secret: }\n",
        "identity: { headers: { X-A: Null } }\n",
        "users: NULL\n",
    ] {
        assert_eq!(codes_of(text), [codes::NULL_VALUE], "{text}");
    }
    assert!(codes_of("routes: []\nserver: {}\n").is_empty());
}

#[test]
fn an_unknown_key_is_a_fault_that_offers_the_nearest() {
    let text = "\
servers: {}
routes:
  - match: { path: / }
    ratelimit: false
    methods: [GET]
    banana: 1
log: { colour: true }
";
    insta::assert_snapshot!(faults(text).join("\n"), @r#"
    1:1 unknown-key unknown key `servers` | did you mean `server`?
    4:5 unknown-key unknown key `ratelimit` | did you mean `rate_limit`?
    5:5 unknown-key unknown key `methods` | `methods` stands under `match`
    6:5 unknown-key unknown key `banana`
    7:8 unknown-key unknown key `colour` | known here: `access`, `format`, `identity`, `level`
    "#);
}

#[test]
fn a_required_key_that_is_missing_is_named() {
    let text = "routes:\n  - name: a\n  - match: {}\nauthentication: { jwt: { corp: {} } }\n";
    insta::assert_snapshot!(faults(text).join("\n"), @r#"
    2:5 missing-key the key `match` is missing | `match` is a mapping
    3:5 missing-key the key `path` is missing | `path` is a path template such as `/users/{id}`, or a list
    4:26 missing-key the key `algorithms` is missing | `algorithms` is a list
    "#);
}

#[test]
fn a_value_of_another_type_says_what_is_wanted() {
    let text = "\
server: { workers: many, listen: [[]], trusted_proxies: 10.0.0.0/8 }
log: { access: 'yes', identity: on, format: 3 }
users: { alice: {} }
routes:
  - match: /users
    cors: true
    auth: nonee
    forward_credentials: \"true\"
    upstream: 7
    allow: { roles: admin, owner: [id] }
    rate_limit: 10/minute
    respond: { status: '200', body: 5 }
    redirect: { to: /x, status: 200 }
";
    insta::assert_snapshot!(faults(text).join("\n"), @r#"
    1:20 invalid-value expected `auto`, or a whole number, found `many`
    1:35 wrong-type expected an address and a port such as `0.0.0.0:8080` or `[::]:8080`, or a mapping, found a list
    1:57 wrong-type expected a list, found `10.0.0.0/8` | write a list: `[10.0.0.0/8]`
    2:16 wrong-type expected `true` or `false`, found `yes`
    2:33 wrong-type expected `true` or `false`, found `on`
    2:45 wrong-type expected `json` or `text`, found 3
    3:1 wrong-type expected a list, found a mapping | begin each item of a list with `-`
    5:12 wrong-type expected a mapping, found `/users` | write a mapping: `{ path: /users }`
    6:11 wrong-type expected `false`, or `upstream`, or a mapping, found true | `false` switches it off; to have it, remove the key or write its settings
    7:11 invalid-value expected a method: `jwt`, `jwt:NAME`, `jwt:token`, `api_key`, `basic`, `client_cert`, `introspection:NAME` or `forward_auth:NAME`, found `nonee` | did you mean `none`?
    8:26 wrong-type expected `true` or `false`, found `true` | write `true` without quotes
    9:15 wrong-type expected the name of an upstream, or a URL such as `http://127.0.0.1:9000`, found 7 | for text, put it in quotes: `"7"`
    10:21 wrong-type expected a list, found `admin` | write a list: `[admin]`
    10:28 wrong-type expected text, or a mapping, found a list
    11:17 wrong-type expected `false`, or a mapping, or a list, found `10/minute` | write a mapping: `{ limit: 10/minute }`
    12:24 wrong-type expected a whole number, found `200` | write the number without quotes
    12:37 wrong-type expected text, found 5 | for text, put it in quotes: `"5"`
    13:33 invalid-value expected `301`, `302`, `303`, `307` or `308`, found 200
    "#);
}

#[test]
fn false_switches_off_where_that_is_a_value() {
    let text = "\
defaults: { cors: false, rate_limit: false, security_headers: { X-Frame-Options: false } }
authentication: { failure_limit: false }
token: { login_limit: false }
routes: [{ match: { path: / }, security_headers: false, cors: false, rate_limit: false }]
";
    assert!(faults(text).is_empty(), "{:?}", faults(text));
    assert_eq!(codes_of("roles: false\n"), [codes::WRONG_TYPE]);
    assert_eq!(codes_of("token: false\n"), [codes::WRONG_TYPE]);
}

#[test]
fn what_a_later_version_brings_is_refused_by_name() {
    for text in ["tracing: { sample: 1 }", "shared_state: { url: redis://127.0.0.1:6379 }"] {
        let loaded = load(text);
        let codes: Vec<_> = loaded.diagnostics.iter().map(|fault| fault.code).collect();
        assert_eq!(codes, [codes::NOT_AVAILABLE], "{text}");
        assert!(loaded.diagnostics[0].message.ends_with("not available in this version"));
    }
}

#[test]
fn an_item_of_which_nothing_is_left_is_a_hole_and_the_others_keep_their_index() {
    let text = "\
routes:
  - match: { path: /a }
  - name: b
  - match: { path: /c }
    bogus: 1
    mode: 7
    request: { body_limit: 5 }
upstreams: { app: 'http://a', bad: 7 }
";
    let loaded = load(text);
    let indexes: Vec<_> = loaded.config.routes.iter().map(|(index, _)| index).collect();
    assert_eq!(indexes, [0, 2]);
    assert_eq!(loaded.config.routes.len(), 3);
    assert!(loaded.config.upstreams.has(&"bad".into()), "its name is known");
    assert!(loaded.config.upstreams.find(&"bad".into()).is_none());
    let faulty = &loaded.faulty;
    assert!(faulty.touches("routes[1]") && !faulty.touches("routes[0]"));
    // What could be read of an item stays, and it is known what could not.
    let route = |index| loaded.document.at(&format!("routes[{index}]"));
    assert!(faulty.lacks(route(2), "mode") && !faulty.lacks(route(2), "bogus"));
    assert!(faulty.lacks(route(2).key("request"), "body_limit"));
    assert!(faulty.lacks_within(route(2)) && !faulty.lacks_within(route(0)));
}

#[test]
fn a_mistyped_key_leaves_nothing_to_be_missed_in_its_place() {
    let loaded = load("routes:\n  - { match: { path: /a }, upstrem: app }\n");
    let route = loaded.document.at("routes[0]");
    assert!(loaded.faulty.lacks(route, "upstream") && !loaded.faulty.lacks(route, "respond"));
}

#[test]
fn a_faulty_section_leaves_the_others_standing() {
    let loaded = load("token: 5\nlog: { level: debug, format: yaml }\nserver: { workers: 2 }\n");
    assert_eq!(loaded.diagnostics.len(), 2);
    assert!(loaded.config.token.is_none() && loaded.faulty.touches("token"));
    assert_eq!(loaded.config.log.level, crate::config::log::LogLevel::Debug);
}

#[test]
fn faults_beyond_the_first_200_are_counted() {
    let text: String = (0..1000).map(|n| format!("k{n}: 1\n")).collect();
    let loaded = load(&text);
    assert_eq!(loaded.diagnostics.len(), 201);
    assert_eq!(loaded.diagnostics[0].code, codes::TOO_MANY_FAULTS);
    assert_eq!(loaded.diagnostics[0].message, "800 faults more are not shown");
}

#[test]
fn the_outermost_value_is_a_mapping() {
    assert_eq!(codes_of("- a\n"), [codes::WRONG_TYPE]);
    assert_eq!(codes_of("hello\n"), [codes::WRONG_TYPE]);
    assert_eq!(codes_of("~\n"), [codes::NULL_VALUE]);
    let deep = format!("users: {}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert_eq!(codes_of(&deep), [codes::TOO_DEEP]);
}

#[test]
fn text_with_the_look_of_a_number_stays_what_it_is() {
    let digest = "1".repeat(64);
    let text =
        format!("authentication: {{ api_keys: {{ keys: [{{ id: a, sha256: {digest} }}] }} }}");
    assert!(faults(&text).is_empty(), "{:?}", faults(&text));
    assert_eq!(
        faults("token: { issuer: 1.10 }"),
        ["1:18 wrong-type expected text, found 1.10 | for text, put it in quotes: `\"1.10\"`"]
    );
}

#[test]
fn faults_stand_in_the_order_of_the_file() {
    let places: Vec<_> = load("b: 1\na: 1\nlog: { z: 1 }\nlog: 2\n")
        .diagnostics
        .iter()
        .map(|fault| fault.span.as_ref().unwrap().range().start)
        .collect();
    assert!(places.is_sorted() && places.len() == 4, "{places:?}");
}

#[test]
fn every_key_of_this_version_is_taken() {
    let text = include_str!("tests/everything.yaml");
    let base = std::path::Path::new("");
    let loaded = load_with("x", text, &environment, base, &|_| Ok(b"x".to_vec()));
    assert!(loaded.diagnostics.is_empty(), "{}", to_text(&loaded.diagnostics, false));
    // Whatever the shape knows stands in that file, so that a type that refuses what its shape
    // lets through is found here.
    let mut used = BTreeMap::new();
    note_used(shape::root(), &[loaded.document.root()], &mut used);
    let unused = |(known, used): (&Vec<String>, &BTreeSet<String>)| {
        known.iter().filter(|key| !used.contains(*key)).cloned().collect::<Vec<_>>()
    };
    let unused: Vec<_> = used.iter().flat_map(unused).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// For each mapping of a shape, told by its keys, those that stand at any of the sites.
fn note_used(
    shape: &Shape,
    sites: &[Site<'_>],
    used: &mut BTreeMap<Vec<String>, BTreeSet<String>>,
) {
    for choice in shape.choices() {
        match choice {
            Shape::Object(object) => {
                used.entry(object.names.clone()).or_default();
                for (key, property) in &object.keys {
                    let inner: Vec<_> = sites.iter().filter_map(|site| site.find(key)).collect();
                    if !inner.is_empty() {
                        used.entry(object.names.clone()).or_default().insert(key.clone());
                    }
                    note_used(&property.shape, &inner, used);
                }
            }
            Shape::Map { value, .. } => {
                let inner: Vec<_> =
                    sites.iter().flat_map(Site::entries).map(|entry| entry.value).collect();
                note_used(value, &inner, used);
            }
            Shape::List { item, .. } => {
                let inner: Vec<_> = sites.iter().flat_map(Site::items).collect();
                note_used(item, &inner, used);
            }
            _ => {}
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic_and_every_place_is_in_the_text(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60),
    ) {
        let text = pieces.concat();
        let loaded = load(&text);
        for fault in &loaded.diagnostics {
            if let Some(span) = &fault.span {
                assert!(span.range().end <= text.len(), "{fault:?}");
                assert!(text.is_char_boundary(span.range().start), "{fault:?}");
            }
            assert!(codes::ALL.iter().any(|(code, _)| *code == fault.code));
            to_text(std::slice::from_ref(fault), true);
            fault.to_json();
        }
    }
}

const PIECES: &[&str] = &[
    "routes",
    "server",
    "token",
    "secret",
    "match",
    "path",
    "a",
    ":",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\"",
    "'",
    "&x ",
    "*x",
    "!t ",
    "~",
    "false",
    "7",
    "|\n",
    ">\n",
    "${A",
    "${SECRET}",
    ":-",
    "#",
    " #",
    "\t",
    "\r\n",
    "\u{e9}",
    "\u{1f511}",
    "\u{0}",
    "\u{feff}",
    "---\n",
    "<<",
    "? ",
    "upstreams: { app: http://u:p@h }\n",
    "users: [{ username: a }]\n",
];
