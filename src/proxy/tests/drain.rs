//! The end of serving.

use super::harness::{Client, leading_to, run, soon, upstream};
use crate::{gateway::health::Phase, proxy::serve::Drained};

/// An upstream that tells of each request and answers when it is told to.
async fn held()
-> (std::net::SocketAddr, tokio::sync::mpsc::Receiver<()>, std::sync::Arc<tokio::sync::Semaphore>) {
    let (arrived, arrivals) = tokio::sync::mpsc::channel(8);
    let leave = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = leave.clone();
    let address = upstream(move |mut client: Client| {
        let (arrived, held) = (arrived.clone(), held.clone());
        async move {
            client.head().await;
            arrived.send(()).await.unwrap();
            held.acquire().await.unwrap().forget();
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            client.closed().await;
        }
    })
    .await;
    (address, arrivals, leave)
}

#[tokio::test]
async fn a_running_request_is_answered_and_ends_the_drain() {
    let (address, mut arrivals, leave) = held().await;
    let gateway = run(&leading_to(address)).await;
    let mut idle = gateway.connect().await;
    idle.send("GET /no HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(idle.answer().await.status, 404);
    let mut client = gateway.connect().await;
    client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    soon(arrivals.recv()).await.unwrap();
    assert_eq!(gateway.gateway.metrics().in_flight.get(), 1);
    gateway.stop().await;
    // The idle connection is closed, and nobody new is let in.
    assert!(idle.closed().await.is_empty());
    assert_eq!(gateway.gateway.readiness().phase(), Phase::Draining);
    soon(async {
        while tokio::net::TcpStream::connect(gateway.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    leave.add_permits(1);
    assert_eq!(client.answer().await.body, b"ok");
    assert_eq!(gateway.drained().await, Drained::Clean);
}

#[tokio::test]
async fn nothing_in_flight_is_no_drain_at_all() {
    let gateway = run(&leading_to("127.0.0.1:1".parse().unwrap())).await;
    let mut idle = gateway.connect().await;
    idle.send("GET /no HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(idle.answer().await.status, 404);
    gateway.stop().await;
    assert_eq!(gateway.drained().await, Drained::Clean);
}

#[tokio::test]
async fn requests_are_taken_during_the_delay() {
    let (address, _arrivals, leave) = held().await;
    leave.add_permits(8);
    let config = leading_to(address).replace(
        "listen: 127.0.0.1:0 }\nadmin",
        "listen: 127.0.0.1:0, drain_delay: 500ms }\nadmin",
    );
    let gateway = run(&config).await;
    gateway.stop().await;
    while gateway.gateway.readiness().phase() != Phase::Draining {
        tokio::task::yield_now().await;
    }
    assert_eq!(gateway.ask("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await.status, 200);
    assert_eq!(gateway.drained().await, Drained::Clean);
}

#[tokio::test]
async fn a_second_word_ends_it_at_once() {
    let (address, mut arrivals, _leave) = held().await;
    let gateway = run(&leading_to(address)).await;
    let mut client = gateway.connect().await;
    client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    soon(arrivals.recv()).await.unwrap();
    gateway.stop().await;
    gateway.stop().await;
    assert_eq!(gateway.drained().await, Drained::Cut);
}

#[tokio::test]
async fn a_drain_that_is_cut_after_a_handover_is_told_from_others() {
    let (address, mut arrivals, _leave) = held().await;
    let gateway = run(&leading_to(address)).await;
    let mut client = gateway.connect().await;
    client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    soon(arrivals.recv()).await.unwrap();
    gateway.replace().await;
    gateway.stop().await;
    assert_eq!(gateway.drained().await, Drained::Replaced);
}

#[tokio::test]
async fn a_drain_does_not_last_for_ever() {
    let (address, mut arrivals, _leave) = held().await;
    let config = leading_to(address).replace(
        "listen: 127.0.0.1:0 }\nadmin",
        "listen: 127.0.0.1:0, drain_timeout: 200ms }\nadmin",
    );
    let gateway = run(&config).await;
    let mut client = gateway.connect().await;
    client.send("GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    soon(arrivals.recv()).await.unwrap();
    gateway.stop().await;
    assert_eq!(gateway.drained().await, Drained::Cut);
}
