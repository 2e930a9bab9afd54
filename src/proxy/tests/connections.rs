//! How many connections there may be, and whose they are.

use tokio::net::TcpSocket;

use super::harness::{Client, Running, run, soon};

const YAML: &str = "
version: 1
server: { listen: 127.0.0.1:0, limits: { connections: 1000, connections_per_ip: 1000 } }
admin: { listen: 127.0.0.1:0 }
log: { access: false }
upstreams: { app: { builtin: echo } }
routes:
  - { name: all, match: { path: /** }, upstream: app, auth: none }
";

/// What of that a test says itself.
const USUAL: &str = "listen: 127.0.0.1:0, limits: { connections: 1000, connections_per_ip: 1000 }";

fn config(server: &str) -> String {
    assert!(YAML.contains(USUAL));
    YAML.replace(USUAL, server)
}

const REQUEST: &str = "GET /app HTTP/1.1\r\nHost: h\r\n\r\n";

/// A connection from this address of the machine.
async fn from(address: &str, gateway: &Running) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    Client::over(socket.connect(gateway.address).await.unwrap())
}

/// Whether a request on it is answered.
async fn is_served(client: &mut Client) -> bool {
    client.offer(REQUEST).await;
    client.next_status().await == Some(200)
}

/// Who asked, as the echo was told.
async fn asker(client: &mut Client, bytes: &[u8]) -> String {
    client.send(bytes).await;
    let answer = client.answer().await;
    answer.json()["client"].as_str().unwrap().to_owned()
}

async fn eventually_served(gateway: &Running, address: &str) {
    soon(async {
        while !is_served(&mut from(address, gateway).await).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn more_connections_than_may_be_are_closed_as_they_come() {
    let gateway = run(&config("listen: 127.0.0.1:0, limits: { connections: 2 }")).await;
    let mut first = from("127.0.0.1", &gateway).await;
    let mut second = from("127.0.0.2", &gateway).await;
    assert!(is_served(&mut first).await && is_served(&mut second).await);
    for address in ["127.0.0.1", "127.0.0.3"] {
        assert!(!is_served(&mut from(address, &gateway).await).await);
    }
    let series = format!(
        "portcullis_connections_refused_total{{listener=\"{}\",reason=\"total\"}}",
        gateway.address
    );
    assert_eq!(gateway.metric(&series), Some(2.0));
    assert!(is_served(&mut first).await, "those that are open go on");
    drop(second);
    eventually_served(&gateway, "127.0.0.3").await;
}

#[tokio::test]
async fn one_address_has_its_share_of_connections_and_others_theirs() {
    let limits = "listen: 127.0.0.1:0, trusted_proxies: [127.0.0.9], limits: { connections: 100, connections_per_ip: 2 }";
    let gateway = run(&config(limits)).await;
    let mut open = vec![from("127.0.0.1", &gateway).await, from("127.0.0.1", &gateway).await];
    for client in &mut open {
        assert!(is_served(client).await);
    }
    assert!(!is_served(&mut from("127.0.0.1", &gateway).await).await);
    assert!(is_served(&mut from("127.0.0.2", &gateway).await).await);
    let mut proxied = Vec::new();
    for _ in 0..4 {
        let mut client = from("127.0.0.9", &gateway).await;
        assert!(is_served(&mut client).await, "a trusted proxy brings many clients");
        proxied.push(client);
    }
    open.pop();
    eventually_served(&gateway, "127.0.0.1").await;
}

const ANNOUNCED: &str =
    "listen: { address: 127.0.0.1:0, proxy_protocol: true }, trusted_proxies: [127.0.0.1]";

#[tokio::test]
async fn whom_a_trusted_proxy_announces_is_the_client() {
    let gateway = run(&config(ANNOUNCED)).await;
    let line = format!("PROXY TCP4 203.0.113.9 192.0.2.1 49153 443\r\n{REQUEST}");
    let mut client = from("127.0.0.1", &gateway).await;
    assert_eq!(asker(&mut client, line.as_bytes()).await, "203.0.113.9");
    assert_eq!(asker(&mut client, REQUEST.as_bytes()).await, "203.0.113.9", "once a connection");
    let mut binary =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x0a\xc0\0\x02\x01\xc0\x01\x01\xbb".to_vec();
    binary.extend(REQUEST.as_bytes());
    let mut client = from("127.0.0.1", &gateway).await;
    assert_eq!(asker(&mut client, &binary).await, "203.0.113.10");
}

#[tokio::test]
async fn who_is_announced_may_not_speak_for_others() {
    let gateway = run(&config(ANNOUNCED)).await;
    let request = REQUEST.replace("\r\n\r\n", "\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
    let line = format!("PROXY TCP4 203.0.113.9 192.0.2.1 49153 443\r\n{request}");
    let mut client = from("127.0.0.1", &gateway).await;
    assert_eq!(asker(&mut client, line.as_bytes()).await, "203.0.113.9");
    // The proxy's own connections are the proxy's.
    let own = format!("PROXY UNKNOWN\r\n{REQUEST}");
    let mut client = from("127.0.0.1", &gateway).await;
    assert_eq!(asker(&mut client, own.as_bytes()).await, "127.0.0.1");
}

#[tokio::test]
async fn only_a_trusted_proxy_announces_a_client_and_it_must() {
    let gateway = run(&config(ANNOUNCED)).await;
    let line = format!("PROXY TCP4 203.0.113.9 192.0.2.1 49153 443\r\n{REQUEST}");
    let mut stranger = from("127.0.0.2", &gateway).await;
    stranger.send(&line).await;
    let told = stranger.closed().await;
    assert!(told.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&told));
    let mut stranger = from("127.0.0.2", &gateway).await;
    assert_eq!(asker(&mut stranger, REQUEST.as_bytes()).await, "127.0.0.2");
    let mut silent = from("127.0.0.1", &gateway).await;
    silent.offer(REQUEST).await;
    assert!(silent.closed().await.is_empty(), "a request without an announcement is not answered");
    let series = format!(
        "portcullis_connections_refused_total{{listener=\"{}\",reason=\"announcement\"}}",
        gateway.address
    );
    assert_eq!(gateway.metric(&series), Some(1.0));
}

#[tokio::test]
async fn a_proxy_that_announces_nobody_is_not_waited_for_long() {
    let limits = format!("{ANNOUNCED}, limits: {{ header_timeout: 50ms }}");
    let gateway = run(&config(&limits)).await;
    let mut silent = from("127.0.0.1", &gateway).await;
    silent.send("PROXY TCP4 203.0").await;
    assert!(silent.closed().await.is_empty());
}

#[tokio::test]
async fn announced_clients_have_their_share_of_connections() {
    let limits = format!("{ANNOUNCED}, limits: {{ connections_per_ip: 1 }}");
    let gateway = run(&config(&limits)).await;
    let announced = async |client: &str| {
        let mut connection = from("127.0.0.1", &gateway).await;
        connection.offer(format!("PROXY TCP4 {client} 192.0.2.1 49153 443\r\n{REQUEST}")).await;
        (connection.next_status().await, connection)
    };
    let (first, _open) = announced("203.0.113.9").await;
    assert_eq!(first, Some(200));
    assert_eq!(announced("203.0.113.9").await.0, None);
    assert_eq!(announced("203.0.113.10").await.0, Some(200));
}
