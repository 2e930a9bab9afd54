//! httpbin, endpoint by endpoint: what it answers directly and what it answers through the gateway must be the same.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Answer, App, Call, Gateway};

const YAML: &str = "
upstreams: { bin: '@APP@' }
routes: [{ name: bin, match: { path: '/**' }, upstream: bin, auth: none, security_headers: false }]
";

/// Headers of an answer that belong to the connection or to the gateway.
const OWN: &[&str] =
    &["connection", "date", "keep-alive", "server", "transfer-encoding", "x-request-id", "vary"];
/// Header names that the gateway adds to what an application receives, as httpbin spells them.
const ADDED: &[&str] = &[
    "Connection",
    "Forwarded",
    "Host",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Real-Ip",
    "X-Request-Id",
];

fn comparable(answer: &Answer, unstable: &[&str]) -> (u16, BTreeMap<String, Vec<String>>, Value) {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &answer.headers {
        if !OWN.contains(&name.as_str())
            && name != "content-length"
            && !unstable.contains(&name.as_str())
        {
            headers.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
        }
    }
    let body = if headers.contains_key("content-encoding") {
        // Compressed, and the names that the gateway adds are in it; `proxying` holds that such bytes pass unchanged.
        Value::Bool(!answer.body.is_empty())
    } else {
        seen(&answer.body)
    };
    (answer.status, headers, body)
}

/// A body to compare: one JSON value or several, without the headers that the gateway adds, or the bytes as they are.
fn seen(body: &[u8]) -> Value {
    let values: Result<Vec<Value>, _> =
        serde_json::Deserializer::from_slice(body).into_iter().collect();
    let Ok(mut values) = values else {
        return Value::String(body.iter().map(|byte| char::from(*byte)).collect());
    };
    for value in &mut values {
        if let Some(headers) = value.get_mut("headers").and_then(Value::as_object_mut) {
            headers.retain(|name, _| !ADDED.contains(&name.as_str()));
        }
    }
    Value::Array(values)
}

/// What is added to a request before it is sent.
type Finish<'a> = &'a dyn Fn(Call) -> Call;

#[test]
fn every_endpoint_answers_through_the_gateway_as_it_does_directly() {
    let app = App::shared("bin", &[]);
    let gateway = Gateway::with(YAML).put("APP", &app.url()).start();
    let plain = |call: Call| call;
    let json = |call: Call| {
        call.header("content-type", "application/json").body(r#"{"a":[1,2,{"b":null}]}"#)
    };
    let form = |call: Call| call.form(&[("a", "b c"), ("d", "é&=")]);
    let bytes = |call: Call| {
        call.header("content-type", "application/octet-stream").body(vec![0, 159, 146, 150])
    };
    let multipart = |call: Call| {
        call.header("content-type", "multipart/form-data; boundary=b")
            .body("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nhello\r\n--b--\r\n")
    };
    let get = [
        "/get?a=b&a=c&d=%20%2F",
        "/headers",
        "/ip",
        "/user-agent",
        "/anything/x%20y/z?q=1",
        "/encoding/utf8",
        "/html",
        "/json",
        "/xml",
        "/robots.txt",
        "/deny",
        "/forms/post",
        "/gzip",
        "/deflate",
        "/brotli",
        "/base64/aGVsbG8%3D",
        "/bytes/1024?seed=7",
        "/stream-bytes/2048?seed=7&chunk_size=100",
        "/stream/5",
        "/range/256",
        "/links/3/1",
        "/image/png",
        "/image/jpeg",
        "/image/svg",
        "/image/webp",
        "/cache",
        "/cache/60",
        "/etag/abc",
        "/response-headers?X-One=1&X-One=2",
        "/cookies",
        "/cookies/set?a=b&c=d",
        "/cookies/delete?a=",
        "/redirect-to?url=/get&status_code=307",
        "/redirect/1",
        "/relative-redirect/2",
        "/drip?numbytes=5&duration=0&delay=0",
        "/delay/0",
        "/status/200",
        "/status/204",
        "/status/304",
        "/status/400",
        "/status/401",
        "/status/404",
        "/status/418",
        "/status/500",
        "/status/503",
        "/basic-auth/user/passwd",
        "/hidden-basic-auth/user/passwd",
        "/bearer",
    ];
    let mut calls: Vec<(&str, &str, Finish)> = Vec::new();
    calls.extend(get.iter().map(|target| ("GET", *target, &plain as Finish)));
    for (method, target) in
        [("POST", "/post"), ("PUT", "/put"), ("PATCH", "/patch"), ("DELETE", "/delete")]
    {
        calls.push((method, target, &json));
        calls.push((method, target, &form));
        calls.push((method, target, &bytes));
    }
    calls.push(("POST", "/post", &multipart));
    calls.push(("OPTIONS", "/get", &plain));
    calls.push(("HEAD", "/get", &plain));
    for (method, target, finish) in calls {
        // Both sides are asked as one host, so that the addresses in answers agree.
        let named = |call: Call| finish(call).header("host", "app.example");
        // This one makes up its validators afresh each time.
        let unstable: &[&str] = if target == "/cache" { &["etag", "last-modified"] } else { &[] };
        let direct = comparable(&named(app.call(method, target)).send(), unstable);
        let proxied = comparable(&named(gateway.call(method, target)).send(), unstable);
        assert_eq!(proxied, direct, "{method} {target}");
    }
}

#[test]
fn credentials_of_the_applications_own_pass_where_the_gateway_asks_for_none() {
    let app = App::shared("bin", &[]);
    let gateway = Gateway::with(YAML).put("APP", &app.url()).start();
    let answer = gateway.get("/bearer").bearer("of-the-application").send();
    assert_eq!(answer.ok().json()["token"], "of-the-application");
    let answer = gateway.get("/cookies").header("cookie", "a=b; c=d").send();
    assert_eq!(answer.ok().json()["cookies"], serde_json::json!({"a": "b", "c": "d"}));
}
