//! Waits that end.

use std::time::Instant;

use super::harness::{Client, leading_to, run, upstream};

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_504() {
    let silent = upstream(|mut client: Client| async move {
        client.closed().await;
    })
    .await;
    let config =
        leading_to(silent).replace("auth: none", "auth: none, timeouts: { response: 100ms }");
    let gateway = run(&config).await;
    let mut client = gateway.connect().await;
    client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (504, Some("upstream_timeout")));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    let line = format!(
        "portcullis_upstream_requests_total{{status=\"timeout\",target=\"{silent}\",upstream=\"app\"}}"
    );
    assert_eq!(gateway.metric(&line), Some(1.0));
}

#[tokio::test]
async fn the_time_of_the_head_does_not_bound_the_body() {
    let slow = upstream(|mut client: Client| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na").await;
        for piece in ["b", "c"] {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            client.send(piece).await;
        }
    })
    .await;
    let config = leading_to(slow)
        .replace("auth: none", "auth: none, timeouts: { response: 100ms, idle: 5s }");
    let answer = run(&config).await.ask("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(answer.body, b"abc");
}

#[tokio::test]
async fn an_upstream_that_goes_silent_is_cut() {
    let silent = upstream(|mut client: Client| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na").await;
        client.closed().await;
    })
    .await;
    let config = leading_to(silent).replace("auth: none", "auth: none, timeouts: { idle: 100ms }");
    let gateway = run(&config).await;
    let mut client = gateway.connect().await;
    client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(client.closed().await.ends_with(b"\r\n\r\na"));
}

#[tokio::test]
async fn nobody_at_home_is_502() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let gateway = run(&leading_to(nobody)).await;
    let answer = gateway.ask("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (502, Some("upstream_error")));
}

#[tokio::test]
async fn an_upstream_that_talks_nonsense_is_502() {
    for nonsense in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "",
    ] {
        let upstream = upstream(move |mut client: Client| async move {
            client.head().await;
            client.send(nonsense).await;
        })
        .await;
        let answer =
            run(&leading_to(upstream)).await.ask("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(answer.status, 502, "{nonsense:?}");
    }
}

const SHORT: &str = "limits: { header_timeout: 300ms, idle_timeout: 600ms }";

fn short(address: std::net::SocketAddr) -> String {
    leading_to(address)
        .replace("listen: 127.0.0.1:0 }\nadmin", &format!("listen: 127.0.0.1:0, {SHORT} }}\nadmin"))
}

#[tokio::test]
async fn a_header_that_drips_is_cut_off_in_all() {
    let gateway = run(&short("127.0.0.1:1".parse().unwrap())).await;
    let mut client = gateway.connect().await;
    let began = Instant::now();
    let drip = async {
        for byte in b"GET /app/a HTTP/1.1\r\nHost: h\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaa".iter() {
            if tokio::io::AsyncWriteExt::write_all(&mut client.stream, &[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    drip.await;
    assert!(client.closed().await.is_empty());
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn a_connection_may_rest_between_requests_but_not_for_ever() {
    let gateway = run(&short("127.0.0.1:1".parse().unwrap())).await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        // Longer than a header may take.
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        client.send("GET /no HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.answer().await.status, 404);
    }
    assert!(client.closed().await.is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let waiting = upstream(|mut client: Client| async move {
        client.closed().await;
    })
    .await;
    let gateway = run(&short(waiting)).await;
    let answer =
        gateway.ask("POST /app/a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (408, Some("request_timeout")));
}

#[tokio::test]
async fn a_silent_web_socket_outlives_the_times_of_ordinary_answers() {
    let peer = upstream(|mut client: Client| async move {
        client.head().await;
        client
            .send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            )
            .await;
        let said = client.until(|bytes| bytes.len() >= 4).await;
        client.send(said).await;
    })
    .await;
    let times = "auth: none, timeouts: { response: 100ms, idle: 100ms }";
    let gateway = run(&short(peer).replace("auth: none", times)).await;
    let mut client = gateway.connect().await;
    client.send(super::streams::HANDSHAKE).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    client.send("ping").await;
    assert_eq!(client.until(|bytes| bytes.len() >= 4).await, b"ping");
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_upstream() {
    let (gone, mut closed) = tokio::sync::mpsc::channel(1);
    let silent = upstream(move |mut client: Client| {
        let gone = gone.clone();
        async move {
            client.head().await;
            client.closed().await;
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let gateway = run(&leading_to(silent)).await;
    let mut client = gateway.connect().await;
    client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    while gateway.gateway.metrics().in_flight.get() == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    super::harness::soon(closed.recv()).await.unwrap();
    let line = "portcullis_requests_total{method=\"GET\",route=\"all\",status=\"499\"}";
    super::harness::soon(async {
        while gateway.metric(line) != Some(1.0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
