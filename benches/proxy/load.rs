//! Load over keep-alive connections: one thread, every connection with one request under way.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::Outcome;

const CONNECTIONS: usize = 32;

/// The bytes of one GET.
pub fn request(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: bench.example.com\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Sends so many requests in turn over all connections; every answer must have this status.
pub fn run(port: u16, requests: &[Vec<u8>], status: u16, count: usize) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let requests: Arc<[Vec<u8>]> = requests.into();
    let next = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async move {
        let mut tasks = JoinSet::new();
        for _ in 0..CONNECTIONS {
            tasks.spawn(drive(port, requests.clone(), status, next.clone(), count));
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome??;
        }
        Ok(())
    })
}

async fn drive(
    port: u16,
    requests: Arc<[Vec<u8>]>,
    status: u16,
    next: Arc<AtomicUsize>,
    count: usize,
) -> Result<(), String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        let turn = next.fetch_add(1, Ordering::Relaxed);
        if turn >= count {
            return Ok(());
        }
        stream.write_all(&requests[turn % requests.len()]).await.map_err(text)?;
        answer(&mut stream, &mut buffer, status).await?;
    }
}

async fn answer(stream: &mut TcpStream, buffer: &mut [u8], status: u16) -> Result<(), String> {
    let mut filled = 0;
    let mut whole = None;
    while whole.is_none_or(|whole| filled < whole) {
        let read = stream.read(&mut buffer[filled..]).await.map_err(text)?;
        if read == 0 {
            return Err("the connection was closed before the answer's end".into());
        }
        filled += read;
        if whole.is_none() {
            whole = length(&buffer[..filled], status)?;
        }
    }
    Ok(())
}

/// The length of the whole answer, once its head is there.
fn length(bytes: &[u8], status: u16) -> Result<Option<usize>, String> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if !text.starts_with(&format!("http/1.1 {status} ")) {
        return Err(format!("expected {status}, got: {text}"));
    }
    let body = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse::<usize>().ok())
        .ok_or("an answer without Content-Length")?;
    Ok(Some(head + 4 + body))
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
