//! Bodies and streams that pass through piece by piece.

use super::harness::{Client, leading_to, run, soon, upstream};

/// A complete WebSocket handshake.
pub const HANDSHAKE: &str = "GET /app/ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn a_response_is_passed_on_as_it_comes() {
    let (more, next) = tokio::sync::mpsc::channel::<()>(1);
    let next = std::sync::Arc::new(tokio::sync::Mutex::new(next));
    let events = upstream(move |mut client: Client| {
        let next = next.clone();
        async move {
            client.head().await;
            client
                .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
                .await;
            next.lock().await.recv().await;
            client.send("data: 2\n\n").await;
        }
    })
    .await;
    let gateway = run(&leading_to(events)).await;
    let mut client = gateway.connect().await;
    client.send("GET /app/events HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let has = |text: &'static str| {
        move |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    client.until(has("data: 1\n\n")).await;
    more.send(()).await.unwrap();
    client.until(has("data: 2\n\n")).await;
}

#[tokio::test]
async fn a_chunked_body_is_passed_on_as_it_comes() {
    let (seen, mut pieces) = tokio::sync::mpsc::channel(8);
    let sink = upstream(move |mut client: Client| {
        let seen = seen.clone();
        async move {
            client.head().await;
            let first = client.until(|bytes| bytes.ends_with(b"one\r\n")).await;
            seen.send(first).await.unwrap();
            client.until(|bytes| bytes.ends_with(b"0\r\n\r\n")).await;
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let gateway = run(&leading_to(sink)).await;
    let mut client = gateway.connect().await;
    client
        .send("POST /app/up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    assert!(soon(pieces.recv()).await.is_some());
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_chunked_body_over_its_limit_is_cut_with_413() {
    let sink = upstream(|mut client: Client| async move {
        client.head().await;
        client.closed().await;
    })
    .await;
    let config =
        leading_to(sink).replace(", auth: none }", ", auth: none, request: { body_limit: 1KiB } }");
    let gateway = run(&config).await;
    let piece = "a".repeat(600);
    let mut client = gateway.connect().await;
    client.send("POST /app/up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send(format!("258\r\n{piece}\r\n258\r\n{piece}\r\n")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (413, Some("body_too_large")));
    assert_eq!(answer.header("connection"), Some("close"));
    let told = format!("POST /app/up HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 2 << 10);
    assert_eq!(gateway.ask(&told).await.status, 413);
}

#[tokio::test]
async fn a_web_socket_passes_bytes_both_ways() {
    let peer = upstream(|mut client: Client| async move {
        let head = client.head().await.to_ascii_lowercase();
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"));
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
            .await;
        let said = client.until(|bytes| bytes.len() >= 4).await;
        client.send(said).await;
    })
    .await;
    let gateway = run(&leading_to(peer)).await;
    let mut client = gateway.connect().await;
    client.send(HANDSHAKE).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    assert_eq!(client.until(|bytes| bytes.len() >= 5).await, b"hello");
    client.send("ping").await;
    assert_eq!(client.until(|bytes| bytes.len() >= 4).await, b"ping");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_web_socket_stands_however_soon_it_is_answered() {
    let hasty = upstream(|mut client: Client| async move {
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        client.head().await;
        let said = client.until(|bytes| bytes.len() >= 4).await;
        client.send(said).await;
        client.closed().await;
    })
    .await;
    let gateway = run(&leading_to(hasty)).await;
    // That the answer is there before the gateway looks for it is a matter of chance each time.
    for _ in 0..30 {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let mut client = gateway.connect().await;
            clients.spawn(async move {
                client.send(HANDSHAKE).await;
                assert!(client.head().await.starts_with("HTTP/1.1 101"));
                client.send("ping").await;
                assert_eq!(client.until(|bytes| bytes.len() >= 4).await, b"ping");
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    }
}

#[tokio::test]
async fn bytes_behind_a_handshake_wait_for_the_101() {
    let (seen, mut heads) = tokio::sync::mpsc::channel(1);
    let refuser = upstream(move |mut client: Client| {
        let seen = seen.clone();
        async move {
            client.head().await;
            client.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
            seen.send(client.closed().await).await.unwrap();
        }
    })
    .await;
    let gateway = run(&leading_to(refuser)).await;
    let mut client = gateway.connect().await;
    client.send(format!("{HANDSHAKE}GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 403);
    drop(client);
    let behind = soon(heads.recv()).await.unwrap();
    assert!(behind.is_empty(), "{:?}", String::from_utf8_lossy(&behind));
}

#[tokio::test]
async fn a_large_body_comes_back_as_it_went() {
    let mirror = upstream(|mut client: Client| async move {
        client.head().await;
        let body = client.until(|bytes| bytes.len() >= 8 << 20).await;
        client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await;
        client.send(body).await;
    })
    .await;
    let gateway = run(&leading_to(mirror)).await;
    let body: Vec<u8> =
        (0..8_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut client = gateway.connect().await;
    client
        .send(format!("POST /app/up HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()))
        .await;
    client.send(&body).await;
    let answer = client.answer().await;
    assert!(answer.body == body);
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_its_refusal() {
    let gateway = run(&leading_to("127.0.0.1:1".parse().unwrap())).await;
    let body = vec![b'a'; 16 << 20];
    for (path, status) in [("/no", 404), ("/app/up", 413)] {
        let mut client = gateway.connect().await;
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
        client.send(head).await;
        client.send(&body).await;
        assert_eq!(client.answer().await.status, status);
    }
}
