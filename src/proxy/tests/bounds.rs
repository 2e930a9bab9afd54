//! How many requests an upstream is given at a time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Semaphore;

use super::harness::{Client, Running, run, soon, upstream};

const REQUEST: &str = "GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n";

const YAML: &str = "
version: 1
server: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
log: { access: false }
upstreams:
  app: { targets: ['@APP@'], limits: { concurrent: 100, queue: 50, queue_timeout: 500ms } }
routes:
  - { name: all, match: { path: /app/** }, upstream: app, auth: none }
";

/// What of that a test says itself.
const USUAL: &str = "{ concurrent: 100, queue: 50, queue_timeout: 500ms }";

/// An upstream that answers when it is told to, and how many requests it has got.
struct Slow {
    leave: Arc<Semaphore>,
    got: Arc<AtomicUsize>,
    gateway: Running,
}

impl Slow {
    async fn behind(limits: &str) -> Self {
        let (leave, got) = (Arc::new(Semaphore::new(0)), Arc::<AtomicUsize>::default());
        let (leaves, gots) = (leave.clone(), got.clone());
        let address = upstream(move |mut client: Client| {
            let (leave, got) = (leaves.clone(), gots.clone());
            async move {
                loop {
                    client.head().await;
                    got.fetch_add(1, SeqCst);
                    leave.acquire().await.unwrap().forget();
                    client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                }
            }
        })
        .await;
        let config = YAML.replace("@APP@", &format!("http://{address}")).replace(USUAL, limits);
        Self { leave, got, gateway: run(&config).await }
    }

    /// A request that is under way.
    async fn begin(&self) -> Client {
        let before = self.got.load(SeqCst);
        let mut client = self.gateway.connect().await;
        client.send(REQUEST).await;
        soon(async {
            while self.got.load(SeqCst) == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
        client
    }
}

#[tokio::test]
async fn beyond_what_an_upstream_takes_a_request_is_503_at_once() {
    let slow = Slow::behind("{ concurrent: 2 }").await;
    let (mut first, mut second) = (slow.begin().await, slow.begin().await);
    let answer = slow.gateway.ask(REQUEST).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["code"], "no_upstream");
    assert_eq!(slow.got.load(SeqCst), 2, "it was not sent");
    slow.leave.add_permits(2);
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 200));
    slow.leave.add_permits(1);
    assert_eq!(slow.gateway.ask(REQUEST).await.status, 200, "its place is free again");
}

#[tokio::test]
async fn a_request_that_may_wait_is_sent_when_another_ends() {
    let slow = Slow::behind("{ concurrent: 1, queue: 1, queue_timeout: 60s }").await;
    let mut first = slow.begin().await;
    let mut waiting = slow.gateway.connect().await;
    waiting.send(REQUEST).await;
    // Two are in: the third finds the queue full, whichever of the two waits.
    let beyond = soon(async {
        let mut client = slow.gateway.connect().await;
        client.send(REQUEST).await;
        tokio::select! {
            status = client.next_status() => status,
            // It waits itself, and the other is turned away.
            status = waiting.next_status() => {
                waiting = client;
                status
            }
        }
    })
    .await;
    assert_eq!(beyond, Some(503));
    assert_eq!(slow.got.load(SeqCst), 1);
    slow.leave.add_permits(2);
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(waiting.next_status().await, Some(200));
}

#[tokio::test]
async fn a_request_does_not_wait_longer_than_it_may() {
    let slow = Slow::behind("{ concurrent: 1, queue: 5, queue_timeout: 30ms }").await;
    let mut first = slow.begin().await;
    assert_eq!(slow.gateway.ask(REQUEST).await.status, 503);
    slow.leave.add_permits(2);
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(slow.gateway.ask(REQUEST).await.status, 200);
}

#[tokio::test]
async fn who_leaves_while_it_waits_makes_room_for_the_next() {
    let body = "POST /app/a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n";
    for (request, later) in [(REQUEST, ""), (body, "abc")] {
        let slow = Slow::behind("{ concurrent: 1, queue: 1, queue_timeout: 60s }").await;
        let mut first = slow.begin().await;
        let mut leaving = slow.gateway.connect().await;
        leaving.send(request).await;
        leaving.send(later).await;
        drop(leaving);
        let counted = || String::from_utf8(slow.gateway.gateway.exposition().unwrap()).unwrap();
        soon(async {
            while !counted().contains("status=\"499\"") {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut next = slow.gateway.connect().await;
        next.send(REQUEST).await;
        slow.leave.add_permits(2);
        assert_eq!(first.answer().await.status, 200);
        assert_eq!(next.next_status().await, Some(200), "the queue had room for it");
        assert_eq!(slow.got.load(SeqCst), 2, "who left was not sent");
    }
}

#[tokio::test]
async fn what_is_sent_while_a_place_is_waited_for_arrives_whole_and_the_wait_is_no_overhead() {
    let slow = Slow::behind("{ concurrent: 1, queue: 1, queue_timeout: 60s }").await;
    let mut first = slow.begin().await;
    let mut waiting = slow.gateway.connect().await;
    waiting.send("POST /app/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\nab").await;
    waiting.send("x".repeat(2998)).await;
    let pause = std::time::Duration::from_millis(300);
    tokio::time::sleep(pause).await;
    slow.leave.add_permits(2);
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(waiting.next_status().await, Some(200));
    let sum = soon(async {
        loop {
            let count = slow.gateway.metric("portcullis_gateway_overhead_seconds_count");
            if count == Some(2.0) {
                break slow.gateway.metric("portcullis_gateway_overhead_seconds_sum").unwrap();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(sum < pause.as_secs_f64(), "{sum}");
}
