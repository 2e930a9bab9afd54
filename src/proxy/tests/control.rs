//! The admin listener, and reloads.

use std::time::Duration;

use super::harness::{Client, Running, leading_to, run, soon, upstream};

async fn saying(word: &'static str) -> std::net::SocketAddr {
    upstream(move |mut client: Client| async move {
        loop {
            client.head().await;
            client
                .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{word}", word.len()))
                .await;
        }
    })
    .await
}

fn plain(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

async fn says(gateway: &Running) -> String {
    let answer = gateway.ask("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    String::from_utf8(answer.body).unwrap()
}

#[tokio::test]
async fn health_and_metrics_are_for_everybody() {
    let gateway = run(&leading_to(saying("one").await)).await;
    assert_eq!(says(&gateway).await, "one");
    let answer =
        gateway.ask_admin(&plain("GET", "/healthz").replace("localhost", "gw.example")).await;
    assert_eq!(answer.status, 200);
    let answer = gateway.ask_admin(&plain("GET", "/readyz")).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("ok")));
    let metrics = gateway.ask_admin(&plain("GET", "/metrics")).await;
    let text = String::from_utf8(metrics.body.clone()).unwrap();
    let line = "portcullis_requests_total{method=\"GET\",route=\"all\",status=\"200\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("portcullis_requests_in_flight 0"), "{text}");
    assert!(text.contains("process_resident_memory_bytes"), "{text}");
}

#[tokio::test]
async fn the_api_answers_to_its_own_name_and_methods_only() {
    let gateway = run(&leading_to(saying("one").await)).await;
    let status = gateway.ask_admin(&plain("GET", "/api/v1/status")).await;
    assert_eq!((status.status, &status.json()["generation"]), (200, &1.into()));
    for (request, code, word) in [
        (plain("GET", "/api/v1/status").replace("localhost", "evil.example"), 421, "misdirected"),
        (
            plain("GET", "/api/v1/status")
                .replace("localhost\r\n", "localhost\r\nOrigin: http://evil.example\r\n"),
            403,
            "cross_site",
        ),
        (plain("GET", "/api/v1/reload"), 405, "method_not_allowed"),
        (plain("GET", "/api/v1/status/"), 404, "no_route"),
        (plain("GET", "/api/v1/users"), 404, "no_store"),
        (plain("GET", "/api/v1/users/7/x"), 404, "no_route"),
        (plain("GET", "/"), 404, "no_route"),
    ] {
        let answer = gateway.ask_admin(&request).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (code, Some(word)),
            "{request}"
        );
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let answer = gateway.ask_admin(&plain("GET", "/api/v1/reload")).await;
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn a_reload_takes_effect_and_a_bad_file_does_not() {
    let gateway = run(&leading_to(saying("one").await)).await;
    let mut kept = gateway.connect().await;
    kept.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(kept.answer().await.body, b"one");
    std::fs::write(&gateway.file, leading_to(saying("two").await)).unwrap();
    let answer = gateway.ask_admin(&plain("POST", "/api/v1/reload")).await;
    assert_eq!((answer.status, &answer.json()["generation"]), (200, &2.into()));
    kept.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(kept.answer().await.body, b"two");

    std::fs::write(&gateway.file, "version: 1\nrouts: []\n").unwrap();
    let answer = gateway.ask_admin(&plain("POST", "/api/v1/reload")).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (422, Some("invalid_config")));
    assert!(!answer.json()["faults"].as_array().unwrap().is_empty());
    assert_eq!(says(&gateway).await, "two");
    assert_eq!(gateway.metric("portcullis_config_last_reload_successful "), Some(0.0));
    let status = gateway.ask_admin(&plain("GET", "/api/v1/status")).await.json();
    assert_eq!(status["generation"], 2);
    assert!(status["refused_reload"]["faults"].as_u64() >= Some(1));
}

#[tokio::test]
async fn a_changed_file_is_noticed() {
    let gateway = run(&leading_to(saying("one").await)).await;
    assert_eq!(says(&gateway).await, "one");
    std::fs::write(&gateway.file, leading_to(saying("two").await)).unwrap();
    soon(async {
        while says(&gateway).await != "two" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_swapped_symlink_is_noticed() {
    let gateway = run(&leading_to(saying("one").await)).await;
    let folder = gateway.file.parent().unwrap();
    let next = folder.join("next.yaml");
    std::fs::write(&next, leading_to(saying("two").await)).unwrap();
    std::os::unix::fs::symlink(&next, folder.join("link")).unwrap();
    std::fs::rename(folder.join("link"), &gateway.file).unwrap();
    soon(async {
        while says(&gateway).await != "two" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // What the link leads to is watched as well.
    std::fs::write(&next, leading_to(saying("three").await)).unwrap();
    soon(async {
        while says(&gateway).await != "three" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn keys_that_need_a_restart_are_named() {
    let address = saying("one").await;
    let gateway = run(&leading_to(address)).await;
    let changed = leading_to(address).replace(
        "server: { listen: 127.0.0.1:0 }",
        "server: { listen: 127.0.0.1:1, workers: 3, http2: false }",
    );
    std::fs::write(&gateway.file, changed).unwrap();
    let answer = gateway.ask_admin(&plain("POST", "/api/v1/reload")).await.json();
    assert_eq!(
        answer["restart_needed"],
        serde_json::json!(["server.listen", "server.http2", "server.workers"])
    );
    assert_eq!(says(&gateway).await, "one");
}
