//! `${NAME}` in values, and what of them and of secrets is never shown.

use super::*;

#[test]
fn variables_are_read_as_the_type_that_the_key_wants() {
    let text = "\
server:
  listen: 127.0.0.1:${PORT}
  workers: ${WORKERS}
  drain_delay: ${DELAY:-5s}
log: { access: '${NO:-false}', level: '${LEVEL:-warn}' }
defaults: { cors: '${CORS:-false}' }
routes: [{ match: { path: / }, forward_credentials: '${YES}', name: '$${PORT}' }]
";
    let loaded = load(text);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let config = &loaded.config;
    let listen = config.server.listen.as_ref().unwrap();
    assert_eq!(listen.as_slice()[0].address().0.port(), 8080);
    assert_eq!(config.server.drain_delay, Period::seconds(5));
    assert!(!config.log.access);
    let (_, route) = config.routes.iter().next().unwrap();
    assert_eq!(route.forward_credentials, Some(true));
    assert_eq!(route.name.as_ref().unwrap().as_str(), "${PORT}");
}

#[test]
fn a_variable_cannot_inject_structure() {
    let loaded = load("users: [{ username: a, roles: ['${LIST}'] }]\nlog: { level: '${TRAP}' }\n");
    let (_, user) = loaded.config.users.iter().next().unwrap();
    assert_eq!(user.roles[0].as_str(), "[a, b]");
    assert_eq!(loaded.diagnostics.len(), 1);
    assert!(loaded.config.admin.token.is_none());
    assert_eq!(codes_of("users: ${LIST}\n"), [codes::WRONG_TYPE]);
}

#[test]
fn templates_and_expressions_and_keys_keep_their_braces() {
    let text = "\
identity: { headers: { X-A: '{principal.subject}${PORT}' } }
routes:
  - match: { path: '/${PORT}' }
    allow: { when: \"claims.a == '${PORT}'\" }
plans: { '${PORT}': 1/s }
";
    let loaded = load(text);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let headers = loaded.config.identity.headers.as_ref().unwrap();
    assert_eq!(headers.iter().next().unwrap().1.as_str(), "{principal.subject}${PORT}");
    let (_, route) = loaded.config.routes.iter().next().unwrap();
    assert_eq!(route.matches.path.as_slice()[0].as_str(), "/${PORT}");
    assert_eq!(loaded.config.plans.names().next().unwrap().as_str(), "${PORT}");
}

#[test]
fn a_variable_that_is_not_there_is_pointed_at() {
    let text = "token:\n  issuer: a${NOWHERE}\n  audience: ${EMPTY}\n  secret: ${\n";
    insta::assert_snapshot!(faults(text).join("\n"), @r#"
    2:12 unset-variable the environment variable `NOWHERE` is not set | set it, or give a default: `${NOWHERE:-default}`
    3:13 invalid-value the text is empty, over 2048 bytes, or has control characters
    4:11 invalid-variable `${…}` is not `${NAME}` or `${NAME:-default}` | write `$${` for a literal `${`
    "#);
}

#[test]
fn what_a_variable_holds_is_never_shown() {
    for text in [
        "server: { listen: '${SECRET}' }",
        "routes: [{ match: { path: / }, auth: '${SECRET}' }]",
        "log: { level: '${SECRET}' }",
        "server: { workers: '${SECRET}' }",
        "users: [{ username: a, password: '${SECRET}' }]",
        "authentication: { jwt: { a: { algorithms: ['${SECRET}'] } } }",
    ] {
        let loaded = load(text);
        assert_eq!(loaded.diagnostics.len(), 1, "{text}");
        let fault = &loaded.diagnostics[0];
        let shown = format!("{}{}", fault.to_json(), to_text(std::slice::from_ref(fault), false));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("${SECRET}"), "{shown}");
    }
}

#[test]
fn what_is_expected_in_the_place_of_a_variable_is_said_whole() {
    let environment = |name: &str| match name {
        "LOG_LEVEL" => Some("warning".to_owned()),
        "FORMAT" => Some("json-lines".to_owned()),
        _ => None,
    };
    let text = "log: { level: '${LOG_LEVEL}', format: '${FORMAT}' }\n";
    let told = load_text("gateway.yaml", text, &environment).diagnostics;
    let messages: Vec<_> = told.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "expected `error`, `warn`, `info`, `debug` or `trace`, but `${LOG_LEVEL}` expands to something else",
            "expected `json` or `text`, but `${FORMAT}` expands to something else",
        ]
    );
}

#[test]
fn a_line_with_a_secret_on_it_is_shown_without_it() {
    for text in [
        "token: { secret: hunter2, pth: /x }",
        "token: { secret: [hunter2, { base64: hunter2hunter2= }], pth: /x }",
        "token: { secret: { base64: '#hunter2' }, pth: /x }",
        "token: { secert: hunter2 }",
        "admin: { token: hunter2, listen: here }",
        "users: [{ username: a, password: hunter2, id: 7 }]",
        "token: { secret: { fiel: hunter2, base46: [hunter2] } }",
        "upstreams: { app: 'http://user:hunter2@app' }",
        "routes: [{ match: { path: / }, request: { headers: { set: { Authorization: hunter2, 'a b': c } } } }]",
        "token: { secret: \"hunter2\n  more\", pth: /x",
        "token: { secret: a, secret: hunter2 }",
        "admin: { token: hunter2hunter2hunter2 }\nadmin: { token: hunter2hunter2hunter2 }",
        "token: hunter2",
        "token: [hunter2]",
        "users: [hunter2]",
        "authentication: { jwt: { a: hunter2 } }",
        "authentication: { api_keys: { keys: [hunter2] } }",
        "authentication: { api_keys: { keys: { id: a, sha256: hunter2 } } }",
        "authentication: { api_keys: { keys: [{ id: a, sha256: hunter2 }] } }",
        "authentication: { api_keys: { keys: [{ id: a, sha256: [hunter2] }] } }",
        "authentication: { api_keys: { keys: [{ id: a, key: hunter2 }] } }",
        "{ store: 'postgres://gateway:hunter2@db/portcullis', stroe: 1 }",
        "store: postgres:/gateway:hunter2@db/portcullis",
        "stroe: postgres://gateway:hunter2@db/portcullis",
        "shared_state: { url: redis://:hunter2@cache }",
    ] {
        let loaded = load(text);
        assert!(loaded.is_faulty(), "{text}");
        for fault in &loaded.diagnostics {
            let shown = to_text(std::slice::from_ref(fault), false);
            let json = fault.to_json().to_string();
            assert!(!shown.contains("hunter2") && !json.contains("hunter2"), "{shown}{json}");
        }
    }
}

#[test]
fn an_empty_secret_is_a_fault_but_for_the_admin_token() {
    assert_eq!(codes_of("token: { secret: '' }"), [codes::EMPTY_SECRET]);
    assert_eq!(codes_of("token: { secret: '${EMPTY}' }"), [codes::EMPTY_SECRET]);
    assert_eq!(codes_of("token: { secret: { base64: '' } }"), [codes::EMPTY_SECRET]);
    let loaded = load("admin: { token: '${EMPTY}' }");
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let token = loaded.config.admin.token.unwrap();
    assert!(matches!(token, SecretSource::Text(text) if text.0.is_empty()));
}

#[test]
fn a_secret_in_clear_is_warned_of() {
    assert_eq!(codes_of("token: { secret: hunter2 }"), [codes::SECRET_IN_CLEAR]);
    assert_eq!(codes_of("store: postgres://gw:hunter2@db/gw"), [codes::SECRET_IN_CLEAR]);
    assert!(codes_of("store: postgres://gw@db/gw").is_empty());
    assert!(codes_of("store: postgres://gw:${SECRET}@db/gw").is_empty());
    assert!(codes_of("store: sqlite:portcullis.db").is_empty());
    assert!(codes_of("token: { secret: '${SECRET}' }").is_empty());
    assert!(codes_of("users: [{ username: a, password: $2b$12$x }]").is_empty());
}
