//! The harness itself: a test that proves nothing reached an upstream is worth what the upstream's ears are worth.

use std::io::Write;

use serde_json::json;

use crate::harness::{After, App, Call, Raw, Recorder, Socket, ask};

#[test]
fn the_recorder_keeps_every_byte() {
    let upstream = Recorder::start();
    let head = "POST /a%2Fb?c=d HTTP/1.1\r\nHOST: x\r\nx-Odd:  y \r\nContent-Length: 5\r\n\r\n";
    let answer = Raw::connect(upstream.address()).send(head).send("hello").answer();
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    let received = upstream.last();
    assert_eq!(received.head, head.as_bytes());
    assert_eq!(received.body, b"hello");
    assert_eq!(received.target(), "/a%2Fb?c=d");
    assert_eq!(received.lines()[1], ("x-Odd", "y"));
    assert_eq!(received.header("host"), Some("x"));
}

#[test]
fn the_recorder_keeps_chunks_as_they_came() {
    let upstream = Recorder::start();
    let body = "3;x=y\r\nabc\r\n0\r\nTrailer: z\r\n\r\n";
    let mut raw = Raw::connect(upstream.address());
    raw.send("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").send(body);
    assert_eq!(raw.answer().status, 200);
    assert_eq!(upstream.last().body, body.as_bytes());
}

#[test]
fn the_recorder_counts_who_connects_and_says_nothing() {
    let upstream = Recorder::start();
    assert_eq!(upstream.contacts(), 0);
    let mut silent = Raw::connect(upstream.address());
    let mut other = Raw::connect(upstream.address());
    assert_eq!(other.send("GET / HTTP/1.1\r\n\r\n").answer().status, 200);
    assert_eq!((upstream.contacts(), upstream.received().len()), (2, 1));
    silent.finish().closed();
}

#[test]
fn a_script_may_answer_by_halves_and_close() {
    let upstream = Recorder::scripted(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
        After::Close
    });
    let mut raw = Raw::connect(upstream.address());
    assert_eq!(raw.send("GET / HTTP/1.1\r\n\r\n").head().header("content-length"), Some("9"));
    assert_eq!(raw.rest(), b"half");
}

#[test]
fn the_raw_client_reads_answers_of_every_framing() {
    let upstream = Recorder::scripted(|request, stream| {
        let answer = match request.target() {
            "/chunked" => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
            }
            "/empty" => "HTTP/1.1 204 No Content\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\n\r\nabc",
        };
        stream.write_all(answer.as_bytes()).unwrap();
        if request.target() == "/end" { After::Close } else { After::KeepOpen }
    });
    let mut raw = Raw::connect(upstream.address());
    raw.send("GET /chunked HTTP/1.1\r\n\r\nGET /empty HTTP/1.1\r\n\r\nGET /end HTTP/1.1\r\n\r\n");
    assert_eq!(raw.answer().text(), "abc");
    assert_eq!(raw.answer().status, 204);
    assert_eq!(raw.answer().text(), "abc");
}

#[test]
fn the_proper_client_keeps_repeated_headers_apart() {
    let upstream = Recorder::answering(
        "HTTP/1.1 403 Forbidden\r\nVary: a\r\nVary: b\r\nX: y\r\nContent-Length: 2\r\n\r\nno",
    );
    let answer = Call::new("DELETE", upstream.address(), "/x?y=z")
        .header("accept", "a/b")
        .header("x-key", "1")
        .header("x-key", "2")
        .send();
    assert_eq!((answer.status, answer.text()), (403, "no"));
    assert_eq!(answer.lines("vary"), ["a", "b"]);
    assert_eq!((answer.header("vary"), answer.header("x")), (None, Some("y")));
    let received = upstream.last();
    assert_eq!(received.target(), "/x?y=z");
    assert_eq!(received.all("x-key"), ["1", "2"]);
}

#[test]
fn a_wsgi_application_sees_header_names_folded() {
    let app = App::start("environ", &[]);
    let answer = app.get("/a?b=c").header("x-user", "1").header("x_user", "2").send();
    let seen = answer.ok().json();
    assert_eq!(seen["PATH_INFO"], "/a");
    assert!(seen["HTTP_X_USER"].as_str().unwrap().contains('2'), "{seen}");
}

#[test]
fn the_published_httpbin_answers() {
    let app = App::shared("bin", &[]);
    assert_eq!(app.get("/get?a=b").send().ok().json()["args"]["a"], "b");
    assert_eq!(app.get("/status/418").send().status, 418);
}

#[test]
fn an_application_that_cannot_start_is_told_of_with_its_words() {
    let fault = std::panic::catch_unwind(|| App::start("paths", &["unheard-of"]));
    let words = *fault.err().unwrap().downcast::<String>().unwrap();
    assert!(words.contains("unheard-of"), "{words}");
}

#[test]
fn every_oracle_runs_its_secret_handler_when_nobody_stands_before_it() {
    for name in ["nginx", "nginx-nocase", "werkzeug", "starlette", "node", "lenient"] {
        let app = App::shared("paths", &[name]);
        let ran = |target: &str| app.get(target).send().header("x-handler").map(str::to_owned);
        for target in ["/admin", "/admin/panel", "/%61dmin/panel"] {
            assert_eq!(ran(target).as_deref(), Some("secret"), "{name} {target}");
        }
        assert_eq!(ran("/public/x").as_deref(), Some("public"), "{name}");
        assert_eq!(ran("/other").as_deref(), Some("none"), "{name}");
    }
}

#[test]
fn a_socket_client_of_another_make_is_echoed() {
    let app = App::start("streams", &[]);
    let mut socket = Socket::connect(app.address(), "/echo", &["X-Odd: yes"]);
    assert_eq!(socket.says(), "open");
    assert_eq!(socket.ask("hello"), "hello");
    assert_eq!(socket.ask("bytes 70000"), "bytes 70000");
    assert!(socket.ask("headers").contains("\"x-odd\": \"yes\""));
    assert_eq!(socket.close(), "closed 1000");
    assert_eq!(Socket::connect(app.address(), "/nowhere", &[]).says(), "refused 403");
}

#[test]
fn the_event_stream_waits_for_each_event_to_be_asked_for() {
    let app = App::start("streams", &[]);
    let mut raw = Raw::connect(app.address());
    raw.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(raw.head().status, 200);
    assert_eq!(raw.chunk(), b": open\n\n");
    app.call("POST", "/events/next").body(r#"{"events":[1,null]}"#).send().ok();
    assert_eq!(raw.chunk(), b"data: 1\n\n");
    assert_eq!(raw.chunk(), b"");
}

#[test]
fn tokens_are_minted_and_read_by_another_hand() {
    let key = "k".repeat(32);
    let minted = ask("tokens", &json!({"claims": {"sub": "a", "aud": "b"}, "key": key}));
    let question =
        json!({"token": minted["token"], "key": key, "algorithms": ["HS256"], "audience": "b"});
    assert_eq!(ask("tokens", &question)["claims"]["sub"], "a");
    let question =
        json!({"token": minted["token"], "key": key, "algorithms": ["HS256"], "audience": "c"});
    assert_eq!(ask("tokens", &question)["error"], "InvalidAudienceError");
}

#[test]
fn the_guarded_twin_guards_itself_and_the_naked_one_does_not() {
    let (guarded, naked) = (App::shared("guarded", &[]), App::shared("naked", &[]));
    assert_eq!(guarded.get("/users/me").send().json()["detail"], "Not authenticated");
    let form = [("username", "alice"), ("password", "wonderland")];
    let token = guarded.call("POST", "/auth/token").form(&form).send().ok().json();
    let token = token["access_token"].as_str().unwrap();
    assert_eq!(guarded.get("/users/me").bearer(token).send().ok().json()["id"], "alice");
    assert_eq!(naked.get("/users/me").header("x-user-id", "x").send().ok().json()["id"], "x");
}
