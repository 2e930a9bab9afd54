//! Whole exchanges over a socket: what the client gets, what the upstream sees, what stays of the
//! connection.

use super::harness::{Client, leading_to, run, upstream};

/// An upstream that answers each request with its head as the body.
async fn mirror() -> std::net::SocketAddr {
    upstream(|mut client: Client| async move {
        loop {
            let head = client.head().await;
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
            });
            if let Some(length) = length {
                client.until(|bytes| bytes.len() >= length).await;
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Frame-Options: SAMEORIGIN\r\n\r\n{head}",
                head.len()
            );
            client.send(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_request_goes_up_and_its_answer_comes_down() {
    let gateway = run(&leading_to(mirror().await)).await;
    let answer = gateway.ask("GET /app/a?b HTTP/1.1\r\nHost: h.example\r\n\r\n").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = String::from_utf8(answer.body.clone()).unwrap();
    assert!(seen.starts_with("GET /app/a?b HTTP/1.1\r\n"), "{seen}");
    assert!(seen.to_ascii_lowercase().contains("host: h.example\r\n"), "{seen}");
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("server"), None);
}

#[tokio::test]
async fn an_absolute_target_goes_up_as_a_path() {
    let gateway = run(&leading_to(mirror().await)).await;
    let answer =
        gateway.ask("GET http://h.example/app/a?b HTTP/1.1\r\nHost: h.example\r\n\r\n").await;
    let seen = String::from_utf8(answer.body).unwrap();
    assert!(seen.starts_with("GET /app/a?b HTTP/1.1\r\n"), "{seen}");
}

#[tokio::test]
async fn http_1_0_is_answered_and_goes_up_with_a_host() {
    let gateway = run(&leading_to(mirror().await)).await;
    let mut client = gateway.connect().await;
    client.send("GET /app/a HTTP/1.0\r\n\r\n").await;
    let answer = client.answer().await;
    let seen = String::from_utf8(answer.body.clone()).unwrap().to_ascii_lowercase();
    assert!(seen.contains("host: 127.0.0.1:"), "{seen}");
    assert!(client.closed().await.is_empty());
}

#[tokio::test]
async fn a_refusal_keeps_the_connection() {
    let gateway = run(&leading_to(mirror().await)).await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client.send("POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, &*answer.json()["code"].to_string()), (404, "\"no_route\""));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    }
    client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_a_body() {
    let gateway = run(&leading_to(mirror().await)).await;
    for framing in
        ["Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 90000000000"]
    {
        let answer =
            gateway.ask(&format!("POST /no HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n")).await;
        assert_eq!(answer.status, 404, "{framing}");
    }
}

#[tokio::test]
async fn ambiguous_framing_ends_the_connection() {
    let gateway = run(&leading_to(mirror().await)).await;
    for fields in [
        "Host: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Host: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n",
        "Host: h\r\nTransfer-Encoding: gzip, chunked\r\n",
        "X: no host\r\n",
        "Host: a b\r\n",
    ] {
        let mut client = gateway.connect().await;
        client
            .send(format!("POST /app/a HTTP/1.1\r\n{fields}\r\n0\r\n\r\nGET /app/b HTTP/1.1\r\nHost: h\r\n\r\n"))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 400, "{fields}");
        assert_eq!(answer.json()["code"], "bad_request", "{fields}");
        assert_eq!(answer.header("connection"), Some("close"), "{fields}");
        assert!(client.closed().await.is_empty(), "{fields}");
    }
}

#[tokio::test]
async fn a_bare_line_feed_is_refused() {
    let gateway = run(&leading_to(mirror().await)).await;
    let answer = gateway.ask("GET /app/a HTTP/1.1\nHost: h\n\n").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_turn() {
    let gateway = run(&leading_to(mirror().await)).await;
    let mut client = gateway.connect().await;
    let request = |name: &str| format!("GET /app/{name} HTTP/1.1\r\nHost: h\r\n\r\n");
    client.send([request("one"), request("two"), request("three")].concat()).await;
    for name in ["one", "two", "three"] {
        let seen = String::from_utf8(client.answer().await.body).unwrap();
        assert!(seen.starts_with(&format!("GET /app/{name} ")), "{seen}");
    }
}

#[tokio::test]
async fn an_upgrade_that_is_no_handshake_is_dropped() {
    let gateway = run(&leading_to(mirror().await)).await;
    for fields in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ] {
        let answer = gateway.ask(&format!("GET /app/a HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).await;
        let seen = String::from_utf8(answer.body).unwrap().to_ascii_lowercase();
        assert!(!seen.contains("upgrade:") && !seen.contains("http2-settings"), "{seen}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let gateway = run(&leading_to(mirror().await)).await;
    let long = "a".repeat(9 << 10);
    let answer = gateway.ask(&format!("GET /app/{long} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (414, Some("uri_too_long")));
    let many = "A: b\r\n".repeat(101);
    let answer = gateway.ask(&format!("GET /app/a HTTP/1.1\r\nHost: h\r\n{many}\r\n")).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (431, Some("headers_too_large")));
}

#[tokio::test]
async fn a_kept_connection_that_the_upstream_closed_is_replaced() {
    let once = upstream(|mut client: Client| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    let gateway = run(&leading_to(once)).await;
    for _ in 0..3 {
        assert_eq!(gateway.ask("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await.status, 200);
    }
}

#[tokio::test]
async fn head_and_bodiless_answers_keep_the_connection() {
    let bodiless = upstream(|mut client: Client| async move {
        for answer in ["200 OK\r\nContent-Length: 5", "204 No Content", "304 Not Modified"] {
            client.head().await;
            client.send(format!("HTTP/1.1 {answer}\r\n\r\n")).await;
        }
    })
    .await;
    let gateway = run(&leading_to(bodiless)).await;
    let mut client = gateway.connect().await;
    client.send("HEAD /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let head = client.head().await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 5\r\n"), "{head}");
    for status in ["204", "304"] {
        client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}

#[tokio::test]
async fn the_echo_answers_with_what_an_upstream_would_see() {
    let gateway = run("version: 1\n\
         server: { listen: 127.0.0.1:0 }\n\
         admin: { listen: 127.0.0.1:0 }\n\
         upstreams: { app: { builtin: echo } }\n\
         routes:\n  - { name: all, match: { path: /app/** }, upstream: app, auth: none }\n")
    .await;
    let mut client = gateway.connect().await;
    client
        .send("POST /app/a?b=c HTTP/1.1\r\nHost: h\r\nConnection: x-gone\r\nX-Gone: 1\r\nX-Kept: 2\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    let seen = client.answer().await.json();
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["path"], "/app/a");
    assert_eq!(seen["query"], "b=c");
    assert_eq!(seen["body"], "hi");
    assert_eq!(seen["client"], "127.0.0.1");
    assert_eq!(seen["headers"]["x-kept"], "2");
    assert_eq!(seen["headers"]["connection"], serde_json::Value::Null);
    client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.json()["body_bytes"], 0);
}

#[tokio::test]
async fn whoever_asks_for_leave_to_send_gets_it() {
    let gateway = run(&leading_to(mirror().await)).await;
    let mut client = gateway.connect().await;
    let echo = run("version: 1\n\
         server: { listen: 127.0.0.1:0 }\n\
         admin: { listen: 127.0.0.1:0 }\n\
         upstreams: { app: { builtin: echo } }\n\
         routes:\n  - { name: all, match: { path: /app/** }, upstream: app, auth: none }\n")
    .await;
    let request =
        "POST /app/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut at_echo = echo.connect().await;
    for _ in 0..2 {
        at_echo.send(request).await;
        assert!(at_echo.head().await.starts_with("HTTP/1.1 100"));
        at_echo.send("hi").await;
        assert_eq!(at_echo.answer().await.json()["body"], "hi");
    }
    client
        .send("POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_body_that_is_sent_again_counts_once() {
    let fickle = upstream(|mut client: Client| async move {
        client.head().await;
        client.until(|bytes| bytes.len() >= 600).await;
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        // The next request on this connection is read and never answered.
        client.head().await;
    })
    .await;
    let limit = ", auth: none, request: { body_limit: 1KiB } }";
    let gateway = run(&leading_to(fickle).replace(", auth: none }", limit)).await;
    let body = "a".repeat(600);
    for _ in 0..3 {
        let put = format!("PUT /app/a HTTP/1.1\r\nHost: h\r\nContent-Length: 600\r\n\r\n{body}");
        assert_eq!(gateway.ask(&put).await.status, 200);
    }
    let line = "portcullis_requests_total{method=\"PUT\",route=\"all\",status=\"200\"}";
    assert_eq!(gateway.metric(line), Some(3.0));
}

#[tokio::test]
async fn a_long_list_in_connection_removes_what_it_names_and_nothing_of_ours() {
    let gateway = run(&leading_to(mirror().await)).await;
    let names: Vec<_> = (0..40).map(|number| format!("X-{number}")).collect();
    let lines: String = names.iter().map(|name| format!("{name}: 1\r\n")).collect();
    let request = format!(
        "GET /app/a HTTP/1.1\r\nHost: h\r\nConnection: {}, x-real-ip, x-forwarded-for\r\n{lines}\r\n",
        names.join(", ")
    );
    let answer = gateway.ask(&request).await;
    let seen = String::from_utf8(answer.body).unwrap().to_ascii_lowercase();
    assert!(!seen.contains("\nx-1: ") && !seen.contains("connection:"), "{seen}");
    assert!(seen.contains("x-real-ip: 127.0.0.1\r\n"), "{seen}");
    assert!(seen.contains("x-forwarded-for: 127.0.0.1\r\n"), "{seen}");
}

#[tokio::test]
async fn a_malformed_chunk_is_a_bad_request() {
    let echo = "version: 1\n\
         server: { listen: 127.0.0.1:0 }\n\
         upstreams: { app: { builtin: echo } }\n\
         routes:\n  - { name: all, match: { path: /app/** }, upstream: app, auth: none }\n";
    for config in [echo.to_owned(), leading_to(mirror().await)] {
        let gateway = run(&config).await;
        for chunks in
            ["xyz\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n", "3\r\nabcd\r\n0\r\n\r\n"]
        {
            let request = "POST /app/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
            let answer = gateway.ask(&format!("{request}{chunks}")).await;
            assert_eq!(answer.status, 400, "{chunks:?}");
            assert_eq!(answer.header("connection"), Some("close"), "{chunks:?}");
        }
    }
}

#[tokio::test]
async fn what_an_upstream_says_of_its_connection_stays_there() {
    let chatty = upstream(|mut client: Client| async move {
        client.head().await;
        client
            .send(
                "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\n\
                 X-Hop: 1\r\nX-End: 1\r\nServer: app\r\nContent-Length: 0\r\n\r\n",
            )
            .await;
        client.closed().await;
    })
    .await;
    let gateway = run(&leading_to(chatty)).await;
    let answer = gateway.ask("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    for gone in ["x-hop", "keep-alive"] {
        assert_eq!(answer.header(gone), None, "{answer:?}");
    }
    assert_eq!(answer.header("x-end"), Some("1"));
    assert_eq!(answer.header("server"), Some("app"));
}
